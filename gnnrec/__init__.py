"""gnnrec compares ways to update a graph recommender as its data grows."""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# Tables lie in huge pages where the system lends them: torch asks for them only if told before it takes memory first. Without,
# a step makes thousands of small ones anew and looks each up when it gathers rows: an eighth of its time. 0 switches it off.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_PLACES = {
    **dict.fromkeys(
        ("Log", "LogStream", "Result", "compare", "from_frame", "load", "read", "run", "simulate"), "gnnrec.api"
    ),
    "GnnrecError": "gnnrec.core.errors",
    **dict.fromkeys(("Interactions", "Observed", "Stream"), "gnnrec.data.types"),
    "results": "gnnrec.interop.results",
    "to_pandas": "gnnrec.interop.frames",
    "Learner": "gnnrec.learner",
    "Strategy": "gnnrec.strategies.base",
    "Expand": "gnnrec.strategies.adapted.expand",
    "IGC": "gnnrec.strategies.adapted.igc",
    "GraphPrompt": "gnnrec.strategies.adapted.prompt",
    "Chain": "gnnrec.strategies.chain",
    "ContrastiveDistill": "gnnrec.strategies.distil.contrastive",
    "EWC": "gnnrec.strategies.distil.ewc",
    "GraphSAIL": "gnnrec.strategies.distil.graph_sail",
    "PISA": "gnnrec.strategies.distil.pisa",
    "UserWeights": "gnnrec.strategies.distil.piw",
    "Pull": "gnnrec.strategies.distil.pull",
    **dict.fromkeys(("Distill", "LightDistill"), "gnnrec.strategies.distil.scores"),
    "FineTune": "gnnrec.strategies.fine_tune",
    "FoldInUsers": "gnnrec.strategies.fold_in",
    "Frozen": "gnnrec.strategies.frozen",
    **dict.fromkeys(("FullRetrain", "WarmRetrain"), "gnnrec.strategies.full_retrain"),
    **dict.fromkeys(("EMA", "Align"), "gnnrec.strategies.parts"),
    "Influence": "gnnrec.strategies.influence",
    **dict.fromkeys(
        ("InverseDegree", "LossRank", "NewestShare", "Proportional", "Recency"), "gnnrec.strategies.policies"
    ),
    "Refresh": "gnnrec.strategies.refresh",
    **dict.fromkeys(("AllEvents", "Replay", "Reservoir"), "gnnrec.strategies.replay"),
    "SML": "gnnrec.strategies.sml",
    "Selector": "gnnrec.strategies.selection.select",
    "Stale": "gnnrec.strategies.stale",
    "Unlearn": "gnnrec.strategies.unlearn",
    "Encoder": "gnnrec.encoders.base",
    "LightGCN": "gnnrec.encoders.lightgcn",
    "MF": "gnnrec.encoders.mf",
    "PyG": "gnnrec.encoders.pyg",
    "Objective": "gnnrec.objectives.base",
    "BPR": "gnnrec.objectives.bpr",
    "Joint": "gnnrec.objectives.joint",
    "Rating": "gnnrec.objectives.rating",
    "Softmax": "gnnrec.objectives.softmax",
}
"""The public names and where they lie. They are imported when asked for: `import gnnrec` loads no torch."""

__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gnnrec' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
