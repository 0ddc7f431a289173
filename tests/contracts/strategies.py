"""Under its older name: gnnrec.testing.strategies."""

from gnnrec.testing.strategies import *  # noqa: F403
