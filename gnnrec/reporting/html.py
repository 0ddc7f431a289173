"""The page of a comparison: nine questions, in one HTML file that loads nothing from elsewhere and runs nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import page
from gnnrec.reporting.headings import around, compared, often, serve
from gnnrec.reporting.headings.content import PageContent

QUESTIONS = (
    ("serve", "What should I serve?", serve.serve),
    ("distance", "How far is it from full retraining?", compared.distance),
    ("table", "What did each row reach, and what did it cost?", compared.compared),
    ("often", "How often should I update?", often.often),
    ("time", "How did it go over time?", around.over_time),
    ("data", "What were the data like?", around.data),
    ("differences", "Are the differences real?", compared.tested),
    ("more", "What else was measured?", around.more),
    ("again", "How do I get this again?", around.again),
)
"""(id, heading, what answers it)."""


def write(path: Path, content: PageContent) -> None:
    """Write the page of a comparison to `path`, whole or not at all."""
    sections = [(name, f"{n}. {asked}", answered(content)) for n, (name, asked, answered) in enumerate(QUESTIONS, 1)]
    page.save(path, page.page(content.title, content.answer, sections))


def increments_and_segments(results: pl.DataFrame, k: int = 20, first: int = 1) -> list[tuple[str, pl.DataFrame]]:
    """Return tables of recall@k and MSE on every next increment, of recall@k by segment, beyond accuracy; means over seeds."""
    wanted = [
        (f"recall@{k} on each next increment, all users", _wide(results, f"recall@{k}", "all")),
        (f"recall@{k} on each next increment, known users", _wide(results, f"recall@{k}", "known_user")),
        ("MSE on each next increment", _wide(results, "mse", "all")),
        (f"recall@{k} by segment, mean over increments (n summed over them)", _segments(results, f"recall@{k}", first)),
        ("Beyond accuracy: the lists of next, and what an update took; means over increments", _beyond(results, first)),
    ]
    return [(heading, frame) for heading, frame in wanted if frame.height and frame.width > 2]


def _beyond(results: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return what lists are like, and energy; where no row has any energy, core-seconds say it all the same."""
    frame = table.beyond_accuracy(results, first)
    told = {"core_seconds": "core-seconds", "energy_joules": "joules, of all the machine did"}
    return frame.rename({name: heading for name, heading in told.items() if name in frame.columns})


def _segments(results: pl.DataFrame, metric: str, first: int) -> pl.DataFrame:
    """Return the table by segment, each headed by the n it rests on."""
    frame = table.by_segment(results, metric, first)
    scored = {s: max(table.next_mean(results, metric, s, first)["n"].to_list()) for s in frame.columns[2:]}
    return frame.rename({name: f"{name} (n {n:,})" for name, n in scored.items()})


def _wide(results: pl.DataFrame, metric: str, segment: str) -> pl.DataFrame:
    """Return a row per strategy × scorer and a column per increment, headed by it and by the n that was scored there."""
    frame = table.per_increment(results, metric, segment)
    if not frame.height:
        return frame
    scored = dict(frame.group_by("evaluated_on").agg(pl.col("n").max()).iter_rows())
    what = "events" if metric == "mse" else "users"
    headed = {t: f"{t} ({n:,} {what})" for t, n in scored.items()}
    frame = frame.with_columns(pl.col("evaluated_on").replace_strict(headed, return_dtype=pl.String))
    return frame.pivot("evaluated_on", index=["strategy", "scorer"], values="mean").sort(
        pl.col("scorer") == REFERENCE, maintain_order=True
    )
