"""Runs that can be served: quick, and by a blend all of whose parts count."""

from __future__ import annotations

from gnnrec.cli.main import main
from gnnrec.cli.serving import serving
from gnnrec.runs.saved import one

WORLD = [
    *("data=simulated", "data.users=60", "data.items=45", "data.events=1200", "stream.increments=3", "encoder.width=8"),
    *(
        "fit.max_epochs=2",
        "fit.base.max_epochs=4",
        "fit.batch_size=64",
        "evaluation.topk=[20]",
        "references=[popularity]",
    ),
    *("logger=none", "threads=1", "evaluation.matrix=off"),
]
ALL_PARTS = ["scorer.grid.alpha=[1.0]", "scorer.grid.beta=[0.5]", "scorer.grid.kappa=[0.5]"]


def finished(folder, *given):
    """Return the folder of a finished run."""
    chosen = given if any(g.startswith("strategy=") for g in given) else (*given, "strategy=fine_tune")
    assert main(["run", *WORLD, f"output={folder}", *ALL_PARTS, *chosen]) == 0
    (run,) = (p for p in folder.iterdir() if (p / "results.parquet").is_file() and not p.name.startswith("ref"))
    return run


def model_of(run):
    """Return what a run serves."""
    return serving(one(run), (), ())
