"""The learner: a model that grows, with the graph it lives on and the counts it has absorbed."""

from gnnrec.learner.learner import Learner

__all__ = ["Learner"]
