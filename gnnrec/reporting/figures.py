"""All figures of a comparison; a figure without data is skipped and named in the notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting import curves, panels, style
from gnnrec.reporting.drawing import dots, interval, multiples, spent, svg
from gnnrec.reporting.verdicts import Verdicts
from gnnrec.reporting.worth.criterion import metric_of
from gnnrec.reporting.worth.spending import cumulative

SETTING = (
    "The mean over seeds; the band is ± one deviation. Grey dashes are reference rows, computed once. Shaded: drawn, not "
    "averaged."
)
CAPTIONS = {
    "from_full": "A row less full retraining under the same scorer, with the interval that speaks of other increments "
    "and seeds (of these, where there are fewer than five increments). Grey band: less than 1 % worse. Right: seconds per "
    "update. Filled: the first scorer.",
    "over_time": "Each next increment, a strategy a panel, the others grey behind it: the mean over seeds; the band "
    "is ± one deviation. Hatched: drawn, not averaged. The number is the last value. Above twenty increments the line is a "
    "moving mean over five.",
    "waiting": "What was served on the same increments, by how many an update took up on average (log scale). Band: the "
    "interval of the difference to the row of the line that is updated most often or, where that pair was not tested, to the "
    "best row. The number at a point is the break-even: the price of a second, in events with a recall of 1, from which on "
    "waiting so long pays (0: at any price, by the means). Dashed: rows that have no such line.",
    "spent": "Seconds of all updates up to each increment, mean over seeds (log scale).",
    "next_recall_all": f"Recall of the next increment, all users, by the model that had not seen it. {SETTING}",
    "next_recall_known": f"Recall of the next increment, users known by then only. {SETTING}",
    "next_ndcg": f"NDCG of the next increment, all users. {SETTING}",
    "next_mse": f"Squared error of the next increment's ratings (events whose user and item were known). {SETTING}",
    "r_matrix": "R[t, k]: recall on the test slice of increment k by the model trained up to t. Down a column: what is "
    "learnt (above the diagonal to it) and forgotten (below it). Empty: not measured.",
    "cost_quality": "Quality against the seconds an update takes (log scale), ± deviation over seeds. On the line "
    "nothing is both cheaper and better: ringed and named.",
    "predictions": "Predicted against true values of unseen events before the first update and after the last (each "
    "model on the increment that came next): quartiles, 5th and 95th percentile. The line is a perfect prediction.",
    "data_quality": "Each next increment above what its data look like: how far its items' popularity is from the "
    "increments before (PSI), and the shares of new users, new items and of rows set aside or repeated.",
    "staleness": "How quality changes with the number of increments since the last update, over the same increments for "
    "every δ.",
}


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """A figure of a comparison and the name of its files."""

    name: str
    figure: Figure

    @property
    def wide(self) -> bool:
        """Whether it is scrolled rather than shrunk on a narrow screen."""
        return bool(self.figure.get_size_inches()[0] > style.NARROW)

    @property
    def caption(self) -> str:
        """What it shows."""
        return caption(Path(self.name))


def caption(path: Path) -> str:
    """Return the caption of a figure by its file name."""
    return next((text for name, text in CAPTIONS.items() if path.stem.startswith(name)), path.stem)


def draw_all(
    results: pl.DataFrame,
    summary: pl.DataFrame,
    predictions: pl.DataFrame | None,
    *,
    tests: pl.DataFrame | None = None,
    quality: pl.DataFrame | None = None,
    policies: pl.DataFrame | None = None,
    k: int = 20,
    first: int = 1,
) -> tuple[list[DrawnFigure], list[str]]:
    """Return every figure that the data allow, and a note for each that was skipped.

    Args:
        results: the table of results.
        summary: its summary.
        predictions: columns strategy, when ("before" or "after" the updates), true, predicted, or as recorded by a run
            (`trained_to` and `scorer` in place of `when`); None: no such figure.
        tests: of gnnrec.evaluation.significance; None: no intervals.
        quality: of each increment (gnnrec.quality.increments); None: no such figure.
        policies: of gnnrec.reporting.worth.waiting; None or without rows: no such figure.
        k: cut-off of the ranking metrics.
        first: first increment that counts (3 after a sweep); earlier ones are drawn, not averaged.
    """
    found, notes = list[DrawnFigure](), []
    drawn = _figures(results, summary, predictions, tests, k, first)
    if quality is not None:
        of = metric_of(summary, k).removesuffix("_all")
        drawn["data_quality"] = partial(curves.quality, results, quality, of, look=style.Look.of(results))
    if policies is not None and policies.height:
        by = metric_of(summary, k)
        drawn["waiting"] = partial(interval.by_interval, policies, summary, by, style.Look.of(results))
    for name, draw in drawn.items():
        with style.styled():
            figure = draw()
        if figure is None:
            notes.append(f"figure {name} skipped: there are no data for it")
        else:
            found.append(DrawnFigure(name, figure))
    return found, notes


def write(found: Sequence[DrawnFigure], folder: Path) -> list[Path]:
    """Write figures as PNG into a folder, which is made if missing, and return their paths."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GnnrecError(f"cannot write figures to {folder}: {error.strerror}") from error
    with style.styled():
        return [style.save(one.figure, folder / f"{one.name}.png") for one in found]


def inline(found: Sequence[DrawnFigure]) -> dict[str, str]:
    """Return figures as HTML by name."""
    return {one.name: svg.inline(one.figure, one.name, one.caption, one.wide) for one in found}


def _figures(
    results: pl.DataFrame,
    summary: pl.DataFrame,
    predictions: pl.DataFrame | None,
    tests: pl.DataFrame | None,
    k: int,
    first: int,
) -> dict[str, Callable[[], Figure | None]]:
    if predictions is not None and "when" not in predictions.columns:
        predictions = panels.before_and_after(predictions)
    look, recall = style.Look.of(results), f"recall@{k}"
    by = metric_of(summary, k)
    main = by.removesuffix("_all")
    # A blend expects what its model does: of errors the model's own are shown.
    own, models = (f.filter(pl.lit(by != ERROR) | (pl.col("scorer") != "blend")) for f in (results, summary))
    line = partial(curves.metric_by_increment, results, look=look, first=first)
    verdicts = Verdicts(tests, by)
    drawn: dict[str, Callable[[], Figure | None]] = {
        "from_full": partial(dots.distances, summary, verdicts, look),
        "over_time": partial(multiples.over_time, results, main, look, first),
        "spent": lambda: spent.spending(cumulative(results, first), look),
        "next_recall_all": partial(line, recall, "all", f"{recall}, all users"),
        "next_recall_known": partial(line, recall, "known_user", f"{recall}, known users"),
        "next_ndcg": partial(line, f"ndcg@{k}", "all", f"ndcg@{k}, all users"),
        "next_mse": lambda: line("mse", "all", "MSE", scorers=curves.scorers_of(results)[:1]),
        "cost_quality": partial(panels.cost_against_quality, models, look, by),
    }
    for scorer in curves.scorers_of(results):
        safe = "".join(c if c.isalnum() else "_" for c in scorer)
        drawn[f"r_matrix_{safe}"] = partial(panels.heat_maps, results, scorer, recall)
    drawn["staleness"] = partial(curves.staleness, own, main, look, first)
    drawn["predictions"] = lambda: None if predictions is None else panels.predicted_against_true(predictions, look)
    return drawn
