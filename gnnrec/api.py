"""The notebook's level: a log, its stream, a comparison and its results, by the same runs as the command line's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from gnnrec.config import listed
from gnnrec.config import options as conf
from gnnrec.config.compose import compose
from gnnrec.config.instantiate import instantiate
from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.core.files import write_atomic
from gnnrec.data.dataset import Dataset
from gnnrec.data.types import Stream
from gnnrec.encoders.base import Encoder
from gnnrec.evaluation import results as table
from gnnrec.evaluation.reference import reference_rows
from gnnrec.interop.frames import FrameLog
from gnnrec.learner import Learner
from gnnrec.objectives.base import Objective
from gnnrec.reporting import curves, style, terminal
from gnnrec.runs import build, pages
from gnnrec.runs import compare as runs
from gnnrec.runs.build import Scene
from gnnrec.runs.folder import Frames
from gnnrec.runs.job import Job
from gnnrec.runs.memory import Description, Memory, by_row, described, given
from gnnrec.runs.progress import Progress
from gnnrec.serving.recommend import lists
from gnnrec.strategies.base import Strategy

GROUPS = ("fit", "graph", "init", "evaluation", "scorer", "trainer")
"""Of the configuration's keys, those that `compare` takes as options; what the others say is given as objects."""


@dataclass(frozen=True, slots=True)
class LogStream(Stream):
    """A stream with the log it was cut from, and how it was read and cut."""

    dataset: Dataset | None = None
    how: Mapping[str, Any] = field(default_factory=dict)


class Log:
    """A clean log.

    Args:
        node: the part of a configuration that says where it comes from.
    """

    def __init__(self, node: Description) -> None:
        self._node, self._source = node, instantiate(node, at="data")
        self.dataset: Dataset = self._source.load()

    def __len__(self) -> int:
        return len(self.dataset)

    def __repr__(self) -> str:
        log, aside = self.dataset, sum(self.dataset.counts.set_aside.values())
        counts = f"{len(log):,} events, {len(log.user_ids):,} users, {len(log.item_ids):,} items"
        return f"{log.name}: {counts}, {log.feedback}; {log.counts.rows_read:,} rows read, {aside:,} set aside"

    def stream(
        self, increments: int | None = None, width: str | None = None, column: str | None = None, **options: Any
    ) -> LogStream:
        """Return the log cut into a base and increments.

        Args:
            increments: that many of equally many events; 10 where nothing is said.
            width: or increments of equal calendar width, such as "1w" or "1mo".
            column: or increments named by a column of the file.
            options: further keys of the configuration's group `stream`: base, size, split, valid_share, test_share, …
        """
        ways = {"by_count": ("increments", increments), "by_time": ("width", width), "by_column": ("column", column)}
        chosen = [way for way, (_, value) in ways.items() if value is not None] or ["by_count"]
        if len(chosen) > 1:
            raise GnnrecError(f"give one of {' and '.join(ways[w][0] for w in chosen)}: a log is cut in one way")
        name, value = ways[chosen[0]]
        node = {**compose([f"stream={chosen[0]}"])["stream"], **({name: value} if value else {}), **options}
        splitter = instantiate(node, at="stream")
        log = self._source.load(keep=splitter.columns) if splitter.columns else self.dataset
        cut = splitter.build(log)
        own = {f.name: getattr(cut, f.name) for f in fields(Stream)}
        return LogStream(**own, dataset=log, how={"data": self._node, "stream": node})


def load(name: str, **options: Any) -> Log:
    """Return a data set by its name in the configuration, such as "ml-100k".

    Args:
        name: an option of the group `data`.
        options: further keys of that group.
    """
    return Log({**compose([f"data={name}"])["data"], **options})


def read(
    path: str | Path | Sequence[str | Path],
    user: str | int | None = None,
    item: str | int | None = None,
    time: str | int | bool | None = None,
    rating: str | int | bool | None = None,
    **options: Any,
) -> Log:
    """Return a log of your own, cleaned; what was set aside is counted by reason.

    Args:
        path: CSV, Parquet, JSON lines, …, or a list of them.
        user, item, time, rating: columns; None: found among common names; false: there is none.
        options: further keys of `data=file`: delimiter, encoding, scale, repeats, …
    """
    columns = {"user": user, "item": item, "time": time, "rating": rating, **options.pop("columns", {})}
    paths = [str(path)] if isinstance(path, str | Path) else [str(p) for p in path]
    own = {"name": Path(paths[0]).stem if paths else "file", "path": paths, "columns": columns}
    return Log({**compose(["data=file"])["data"], **own, **options})


def from_frame(
    frame: Any,
    user: str | None = None,
    item: str | None = None,
    time: str | bool | None = None,
    rating: str | bool | None = None,
    **options: Any,
) -> Log:
    """Return a data frame of pandas or polars as a log, cleaned as a file of its rows would be.

    Args:
        frame: a row per event.
        user, item, time, rating: columns; None: found among common names; false: there is none.
        options: name, and options of `gnnrec.data.datasets.File`: repeats, scale, filters, …
    """
    return Log(given(FrameLog(frame, user, item, rating, time, **options)))


def simulate(**options: Any) -> Log:
    """Return a log whose truth is known, so that the oracle is a row of the table.

    Args:
        options: keys of `data=simulated`: users, items, events, drift, feedback, seed, …
    """
    return load("simulated", **options)


def compare(
    stream: LogStream,
    strategies: Sequence[Strategy] | Mapping[str, Strategy],
    encoder: Encoder | Callable[[int], Encoder] | None = None,
    objective: Objective | None = None,
    seeds: int | Sequence[int] = 1,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    quiet: bool = False,
    references: Sequence[str | Mapping[str, Any]] | None = None,
) -> Result:
    """Run every strategy under every seed over the stream and return the results; nothing is written.

    Each run gets a fresh copy of its strategy and its models. Rows are named after the strategies' classes.

    Args:
        stream: of `Log.stream`.
        strategies: objects, or objects by the names of their rows.
        encoder: an object, or a function of the seed where its own first weights are to follow it; None: LightGCN(64).
        objective: None: Joint for explicit feedback, Softmax for implicit.
        seeds: how many, or which.
        options: keys of the configuration, dotted, such as {"fit.max_epochs": 5}.
        name: of the experiment; None: the data set's.
        quiet: print no progress.
        references: rows that train nothing, such as ["popularity", "ease", {"filter": {"half_life": 1000}}]; None: the usual.

    Raises:
        GnnrecError: an argument that cannot be used, or every run failed.
    """
    dataset = _checked(stream, strategies)
    named = dict(strategies) if isinstance(strategies, Mapping) else by_row(strategies)
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise GnnrecError(f"seeds={seeds} must be a number from 1, or different numbers")
    encoders = {seed: _encoder(encoder, seed) for seed in numbers}
    config = _configured(stream, objective, options or {})
    config |= {"name": name or dataset.name, "seeds": numbers}
    if references is not None:
        config["references"] = listed.references(references)
    scene, progress, memory = build.scene_on(config, dataset, stream), Progress(quiet), Memory()
    jobs = [Job(row, _job(config, encoders[seed], s, seed)) for row, s in named.items() for seed in numbers]
    try:
        parts, failed = runs.run_all(jobs, scene, progress, lambda *_: memory.run)
    except GnnrecError:
        if not memory.errors:
            raise
        # Nothing is left to show but what ended the first run, with its traceback.
        raise next(iter(memory.errors.values())) from None
    setting, grid = scene.setting, instantiate(config["scorer"]["grid"], at="scorer.grid")
    made = build.references(config)
    asked = config["name"], stream, setting.worlds, setting.measure, grid, made, build.companion(config)
    parts.append(reference_rows(*asked))
    shown = {
        **_job(config, encoders[numbers[0]], None, numbers[0]),
        "strategies": {n: described(s) for n, s in named.items()},
    }
    return Result(runs.joined(parts, config), scene, _told(shown), memory, tuple(failed))


def run(stream: LogStream, strategy: Strategy, **more: Any) -> Result:
    """Return the results of one strategy; `more` as `compare` takes it."""
    return compare(stream, [strategy], **more)


def _checked(stream: LogStream, strategies: Sequence[Strategy] | Mapping[str, Strategy]) -> Dataset:
    """Return the log of a stream, if stream and strategies are what they should be."""
    if getattr(stream, "dataset", None) is None:
        raise GnnrecError(f"a stream comes from log.stream(…); this is a {type(stream).__name__}")
    every = list(strategies.values()) if isinstance(strategies, Mapping) else list(strategies)
    if not every:
        raise GnnrecError("nothing to compare: give at least one strategy")
    for odd in (s for s in every if not isinstance(s, Strategy)):
        what = f"the class {odd.__name__}; write {odd.__name__}()" if isinstance(odd, type) else one_line(repr(odd))
        raise GnnrecError(f"strategies are objects, such as FineTune(); this is {what}")
    assert stream.dataset is not None
    return stream.dataset


def _encoder(given_as: Encoder | Callable[[int], Encoder] | None, seed: int) -> Encoder | None:
    """Return the encoder of a seed's runs. A module is no function of the seed, though it can be called too."""
    return given_as if given_as is None or isinstance(given_as, Encoder) else given_as(seed)


def _configured(stream: LogStream, objective: Objective | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a comparison, but for what differs between its runs."""
    for key in options:
        if key.partition(".")[0] not in GROUPS or key == "evaluation.graph":
            allowed = nearest(key.partition(".")[0], GROUPS)
            raise GnnrecError(f"options: '{one_line(key)}' is given otherwise, or not at all, in a notebook{allowed}")
    config = {**compose(["logger=none", *conf.overrides(options)]), **stream.how}
    if objective is not None:
        config["objective"] = given(objective)
    return config


def _job(config: Mapping[str, Any], encoder: Encoder | None, strategy: Strategy | None, seed: int) -> dict[str, Any]:
    """Return the configuration of one run."""
    own = {"seed": seed, "strategy": given(strategy, seed), **({} if encoder is None else {"encoder": given(encoder)})}
    return {**config, **own}


def _told(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with descriptions in place of objects, without what a notebook has not."""
    hidden = ("strategy", "sweep", "output", "resume", "state", "plugins", "seed")
    shown = {k: v for k, v in config.items() if k not in hidden}
    return {k: described(v["made"]) if isinstance(v, Mapping) and "made" in v else v for k, v in shown.items()}


class Printed(str):
    """Text that shows itself as it is."""

    def __repr__(self) -> str:
        return str(self)


class Picture:
    """A figure that a notebook shows.

    Args:
        figure: of matplotlib.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def save(self, path: str | Path) -> Path:
        """Write it as PNG."""
        return style.save(self.figure, Path(path))

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.figure.savefig(buffer, format="png", dpi=style.DPI)
        return buffer.getvalue()


class Result:
    """What a comparison found.

    Args:
        frames: results, per_user and predictions.
        scene: data, stream and measures.
        config: what was compared, described.
        memory: what the runs ended with.
        failed: a sentence for each run that failed.

    Attributes:
        learners: of the first seed, by row, as the stream left them.
        errors: what ended the runs that failed, by row and seed.
    """

    def __init__(
        self,
        frames: Frames,
        scene: Scene,
        config: Mapping[str, Any],
        memory: Memory,
        failed: tuple[str, ...] = (),
    ) -> None:
        self.results, self.per_user, self.predictions = (frames[t] for t in ("results", "per_user", "predictions"))
        self._frames = frames
        self.scene, self.config, self.failed = scene, config, failed
        self.learners: Mapping[str, Learner] = memory.learners
        self.errors: Mapping[tuple[str, int], Exception] = memory.errors

    def __repr__(self) -> str:
        return str(self.table())

    @property
    def summary(self) -> pl.DataFrame:
        """A row per strategy and scorer: means over increments and seeds, deviations, cost."""
        return table.summary(table.check(self.results), budget=str(self.config["fit"]["budget"]))

    def table(self) -> Printed:
        """Return the comparison as text, with a line for each run that failed."""
        return Printed("\n".join([terminal.comparison(self.summary), *self.failed]))

    def plot(self, metric: str = "recall@20", segment: str = "all") -> Picture:
        """Return a figure of a metric on each next increment.

        Args:
            metric: such as recall@20, ndcg@10, mse.
            segment: users or items it is taken over, such as known_user.
        """
        shown = self.results.filter(pl.col("split") == "next")
        for what, column in ((metric, "metric"), (segment, "segment")):
            if what not in (allowed := shown[column].unique().to_list()):
                raise GnnrecError(f"there is no {column} '{one_line(what)}'{nearest(what, allowed)}")
        with style.styled():
            look = style.Look.of(self.results)
            figure = curves.metric_by_increment(self.results, metric, segment, f"{metric}, {segment}", look)
        if figure is None:
            raise GnnrecError(f"{metric} was not measured on {segment}")
        return Picture(figure)

    def report(self, path: str | Path) -> Path:
        """Write the report as one HTML file and return where it is."""
        own = {"results": self.results, "per_user": self.per_user, "predictions": self.predictions}
        with tempfile.TemporaryDirectory() as folder:
            done = pages.report(
                {**self._frames, **own},
                self.config,
                self.scene,
                "gnnrec.compare(…)",
                output=Path(folder),
                remarks=self.failed,
                selected=self._selected,
            )
            write_atomic(Path(path), done.path.read_text(encoding="utf-8"))
        return Path(path)

    @property
    def _selected(self) -> str:
        """The valid metric by which all models were selected."""
        found = {learner.objective.selects_by for learner in self.learners.values()}
        return found.pop() if len(found) == 1 else "ndcg"

    @property
    def best(self) -> tuple[str, str]:
        """(strategy, scorer) of the trained row with the highest recall@20 on the next increment, first seed included."""
        trained = self.summary.filter(
            pl.col("strategy").is_in(list(self.learners)), pl.col("scorer") != table.REFERENCE
        )
        top = trained.sort("recall@20_all", descending=True, nulls_last=True, maintain_order=True)
        return str(top["strategy"][0]), str(top["scorer"][0])

    def recommend(self, user: str, k: int = 10, strategy: str | None = None, scorer: str | None = None) -> pl.DataFrame:
        """Return the k best items for a user, in original ids, that the user has not taken.

        A user without an absorbed event gets the list of a user nobody knows.

        Args:
            user: external id.
            k: length of the list.
            strategy: row whose model, of the first seed, ranks; None: that of `best`.
            scorer: "model" or "blend"; None: that of `best`.
        """
        if k < 1:
            raise GnnrecError(f"k={k} must be at least 1")
        best = self.best
        row, ranks = strategy or best[0], scorer or best[1]
        if row not in self.learners:
            raise GnnrecError(f"there is no strategy '{one_line(row)}'{nearest(row, self.learners)}")
        if ranks not in (known := self.scene.setting.scorers):
            raise GnnrecError(f"there is no scorer '{one_line(ranks)}'{nearest(ranks, known)}")
        found = lists(self.learners[row], self.scene.setting.stream, [str(user)], k, ranks).rows
        return found.select("rank", "item", "title", score=f"{ranks}_score")
