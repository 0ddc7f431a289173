"""Where classes lie that saved configurations name by an older place."""

from __future__ import annotations

_MODULES = {
    "gnnrec.models.blend": "gnnrec.scorers.blend",
    "gnnrec.models.initial": "gnnrec.encoders.initial",
    "gnnrec.models.lightgcn": "gnnrec.encoders.lightgcn",
    "gnnrec.models.mf": "gnnrec.encoders.mf",
    "gnnrec.models.pyg": "gnnrec.encoders.pyg",
    "gnnrec.data.synthetic": "gnnrec.data.simulate.world",
    "gnnrec.data.stream": "gnnrec.data.stream.cuts",
}
_NAMES = {
    "gnnrec.graph.views.Block": "gnnrec.graph.views.NewestOnly",
    "gnnrec.strategies.replay.Everything": "gnnrec.strategies.replay.AllEvents",
    "gnnrec.models.objectives.BPR": "gnnrec.objectives.bpr.BPR",
    "gnnrec.models.objectives.Joint": "gnnrec.objectives.joint.Joint",
    "gnnrec.models.objectives.Rating": "gnnrec.objectives.rating.Rating",
    "gnnrec.models.objectives.Softmax": "gnnrec.objectives.softmax.Softmax",
    "gnnrec.models.objectives.for_feedback": "gnnrec.objectives.default.for_feedback",
}


def present(target: str) -> str:
    """Return the place where the class or function that `target` names lies now: `target` itself where it never moved."""
    if target in _NAMES:
        return _NAMES[target]
    module, _, name = target.rpartition(".")
    return f"{_MODULES[module]}.{name}" if module in _MODULES else target
