"""The page of a comparison: table, figures and report of finished runs, never written over the page of others."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl
import yaml

from gnnrec.config import options as conf
from gnnrec.config.compose import compose
from gnnrec.core.files import write_atomic
from gnnrec.data.summary import summarise
from gnnrec.evaluation import results as table
from gnnrec.evaluation import significance
from gnnrec.evaluation.beyond.examples import example_users, last_scored
from gnnrec.evaluation.pairs import names_users
from gnnrec.quality import increments
from gnnrec.reporting import exports, figures, html, terminal
from gnnrec.reporting.answer import answer, best_row, lowest_error
from gnnrec.reporting.drawing import paper
from gnnrec.reporting.headings.content import ExampleLists, PageContent
from gnnrec.reporting.worth.columns import with_worth
from gnnrec.reporting.worth.criterion import metric_of
from gnnrec.reporting.worth.waiting import waiting
from gnnrec.runs import build
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import EXAMPLES, Frames, locked, write_frames
from gnnrec.runs.progress import Progress
from gnnrec.training.loggers import Tracker, log_identity

PAGE, RUNS, BELOW = "report.html", "runs", "comparison-"
PROTOCOL = """next: every event of increment t+1 is scored by the model that absorbed increments 0..t, before it sees any of \
them. Means run over t ≥ 1, unweighted, then over seeds; the deviation is over seeds. All candidates are ranked, none \
sampled; ties are broken by a seeded random order. Users without an absorbed event count, with the popularity of what the \
row's model absorbed. Valid events select (early stopping, and the blend unless it is judged by what came next) and are \
absorbed only then; test events are never absorbed. Seconds per update run from the increment's arrival until the model \
could serve: extension, fit, selection, one propagation; the choice of the blend is paid for by the blend's row alone. \
docs/protocol.md has the rules and formulas."""

NO_FIGURES = (
    "No figures were asked for (figures=false); gnnrec report draws them. Those that lie here, if any, are older."
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison has written: table and answer as text, where the report is, and which runs failed and why."""

    text: str
    path: Path
    summary: pl.DataFrame
    per_user: pl.DataFrame
    predictions: pl.DataFrame
    failed: tuple[str, ...] = ()


def report(
    frames: Frames,
    config: Config,
    scene: Scene,
    command: str,
    runs: Sequence[str] = (),
    first: int = 1,
    output: Path | None = None,
    remarks: Sequence[str] = (),
    latex: bool = False,
    vectors: Sequence[str] = (),
    selected: str = "ndcg",
    alike: Sequence[Sequence[str]] = (),
) -> Report:
    """Write results, summary, figures and report.html, and return the table and the answer.

    Args:
        frames: of all runs and the reference rows.
        config: of one of the runs.
        scene: data and stream of all of them.
        command: what was typed, for the record.
        runs: names of the folders of the runs: what makes this comparison another than that of other runs.
        first: smallest t in means.
        output: a folder that belongs to this comparison; None: `place` in the configuration's output.
        remarks: what went wrong, for the notes.
        latex: whether the tables are written as LaTeX too, beside CSV and Markdown.
        vectors: what figures are written as for a paper, beside PNG: "svg", "pdf".
        selected: the valid metric by which the models of all runs were selected.
        alike: groups of rows, by name, that differ in when they are updated alone.
    """
    there = output or Path(config["output"])  # a notebook's configuration names no folder
    # Seeds in processes of their own end together: one page is written after the other.
    with nullcontext() if output else locked(there, Progress()):
        output = output or place(there, runs)
        results, budget = table.check(frames["results"]), str(config["fit"]["budget"])
        summary = table.summary(results, first=first, budget=budget)
        tests, untested = _tests(frames, summary, first, int(config.get("privacy", {}).get("least_users", 1)))
        events = _events(frames["per_user"], first)
        summary = with_worth(summary, tests, results, events, first=first, selected=selected)
        known = None if budget == "equal" else events  # seconds do not compare there (rule 14)
        best = lowest_error(summary) if metric_of(summary) == significance.ERROR else best_row(summary)
        policies = waiting(summary, results, tests, alike, known, best, first=first)
        said, record = answer(summary, tests), _record(command, config, scene)
        write_frames(output, {**frames, "results": results})
        if EXAMPLES not in frames:  # those of an earlier page are not this one's, or not to be shown any more
            (output / f"{EXAMPLES}.parquet").unlink(missing_ok=True)
        write_atomic(output / "summary.csv", summary.write_csv())
        write_atomic(output / "run.json", json.dumps({**record, RUNS: sorted(runs)}, indent=1))
        details = html.increments_and_segments(results, first=first)
        exports.write(output, exports.tables_of(summary, tests, details), latex)
        quality = increments.per_increment(scene.setting.stream, scene.dataset.reports)
        drawn, missing = list[figures.DrawnFigure](), [NO_FIGURES]
        if config.get("figures", True):
            drawn, missing = figures.draw_all(
                results,
                summary,
                frames["predictions"],
                tests=tests,
                quality=quality,
                policies=policies,
                first=first,
            )
        pictures = figures.write(drawn, output / "figures") if drawn else []
        content = PageContent(
            title=f"{config['name']}: how the model absorbs each increment",
            answer=said,
            summary=summary,
            results=results,
            tests=tests,
            figures=figures.inline(drawn),
            policies=policies,
            data_text=summarise(scene.dataset, scene.setting.stream, increments.as_text(quality)),
            config_text=_shared(config, results),
            notes=[*untested, *table.incomplete(results), *missing],
            warnings=[*remarks, *scene.setting.stream.notes],
            protocol_text=PROTOCOL,
            details=details,
            lists=_lists(frames, config, scene),
            record=record,
            changed=_changed(config),
            first=first,
        )
        html.write(output / PAGE, content)
        paper.write(drawn, output / "figures", vectors)
    _log(config, output, pictures, summary)
    text = _text(summary, said, there / PAGE if output.name.startswith(BELOW) else None)
    return Report(text, output / PAGE, summary, frames["per_user"], frames["predictions"])


def _log(config: Config, output: Path, pictures: list[Path], summary: pl.DataFrame) -> None:
    """Have W&B show the comparison as a run of its own, the same one when it is made again; other loggers have no place."""
    options = config.get("logger", {})
    if options.get("kind") != "wandb":
        return
    name = options.get("name") or config["name"]
    with Tracker.open(config, "compare", output, log_identity(output, resume=True), f"{name}-compare") as tracker:
        tracker.report(pictures, summary)


def _events(per_user: pl.DataFrame, first: int) -> float | None:
    """Return the mean relevant events of a next increment, over those that means run over; None without one.

    Only these can be suggested rightly: events below `data.positive_from`, or masked, cannot.
    """
    scored = per_user.filter(pl.col("trained_to") >= first, pl.col("evaluated_on") == pl.col("trained_to") + 1)
    of_row = scored.group_by("strategy", "scorer", "seed", "trained_to").agg(pl.col("relevant").sum())
    counted = of_row.group_by("trained_to").agg(pl.col("relevant").max())["relevant"]  # the same for every whole row
    return sum(counted) / len(counted) if len(counted) else None


def _lists(frames: Frames, config: Config, scene: Scene) -> ExampleLists:
    """Return the lists of a few users with the titles of their items, or why there are none."""
    if (least := int(config.get("privacy", {}).get("least_users", 1))) > 1:
        why = f"A list is of one user, and privacy.least_users={least} leaves out what is of fewer."
        return ExampleLists(pl.DataFrame(), why=why)
    setting, frame = scene.setting, frames.get(EXAMPLES)
    last = last_scored(setting.stream)
    if frame is None or last is None:
        why = "n/a: no update was scored." if last is None else "n/a: these runs are of a version that kept none."
        return ExampleLists(pl.DataFrame(), why=why)
    asked = example_users(setting.stream, setting.worlds, setting.measure, last)
    taken = {} if asked is None else asked.taken()
    ids, titles = setting.stream.items, setting.stream.titles
    shown = {*frame["item"].to_list(), *(item for own in taken.values() for item in own)}
    # No id of a user stands on a page: they are numbered, but for pseudonyms.
    users = frame.select("user", "known").unique().sort("known", "user", descending=[True, False])["user"].to_list()
    called = {user: user if setting.stream.aliases is not None else str(n) for n, user in enumerate(users, 1)}
    return ExampleLists(
        frame.with_columns(pl.col("user").replace(called)),
        {i: titles.get(str(ids[i]), str(ids[i])) for i in shown},
        {called[user]: own for user, own in taken.items() if user in called},
    )


def _tests(frames: Frames, summary: pl.DataFrame, first: int, least: int = 1) -> tuple[pl.DataFrame, list[str]]:
    """Return the tested differences in recall, then those in MSE, of `least` users or more, and why others are not there."""
    tests, untested = _tested(frames, summary, first)
    few = pl.col("users") < least
    if tests.filter(few).height:
        untested = [*untested, f"differences of fewer than {least} users are left out (privacy.least_users)"]
    return tests.filter(few.not_()), untested


def _tested(frames: Frames, summary: pl.DataFrame, first: int) -> tuple[pl.DataFrame, list[str]]:
    ranked = significance.compare(frames["per_user"], best=best_row(summary), first=first)
    predictions, lowest = frames["predictions"], lowest_error(summary)
    if not predictions.height:
        return ranked, []
    if not names_users(predictions):
        return ranked, ["differences in MSE are untested: a run was made before predictions named their users"]
    errors = significance.compare_errors(predictions, best=lowest, first=first)
    return pl.concat([ranked, errors]), []


def _text(summary: pl.DataFrame, said: str, kept: Path | None) -> str:
    """Return what a terminal shows: table, answer, and which page of other runs was kept."""
    shown = f"{terminal.comparison(summary, width=terminal.width_of_terminal())}\n{said}\n"
    return shown if kept is None else f"{shown}\n{kept} is of other runs and is kept\n"


def place(output: Path, runs: Sequence[str]) -> Path:
    """Return the folder for the report of `runs`: `output`, unless the report of a run that is not among them is there.

    A report is written over only by one that holds all its runs; any other lies in a folder of its own below.
    """
    if not (output / PAGE).is_file():
        return output
    try:
        before = set(json.loads((output / "run.json").read_text())[RUNS])
    except (OSError, ValueError, KeyError):  # a report that does not say of what is not ours to replace
        before = {""}
    if before <= set(runs):
        return output
    return output / f"{BELOW}{hashlib.blake2b(' '.join(sorted(runs)).encode(), digest_size=4).hexdigest()}"


def _record(command: str, config: Config, scene: Scene) -> dict[str, str]:
    record = {**run_record(command), "protocol": build.protocol_hash(config)}
    record["fingerprint"] = scene.setting.stream.fingerprint
    if versions := scene.setting.stream.versions:
        newest = max(versions)
        record["data"] = f"versions {min(versions)} to {newest} of a store, content of the newest {versions[newest]}"
    return record


def _shared(config: Config, results: pl.DataFrame) -> str:
    """Return the configuration that all rows have in common, and which rows they are."""
    rows = results.filter(pl.col("scorer") != table.REFERENCE)
    own = {"strategies": rows["strategy"].unique(maintain_order=True).to_list()}
    own["seeds"] = rows["seed"].unique(maintain_order=True).to_list()
    common = {key: value for key, value in config.items() if key not in ("strategy", "seed")}
    return str(yaml.safe_dump({**common, **own}, sort_keys=False, allow_unicode=True))


def run_record(command: str) -> dict[str, str]:
    """Return command, machine size and versions, for the record."""
    packages = ("gnnrec", "torch", "torch-geometric", "pytorch-lightning", "hydra-core", "polars", "numpy", "scipy")
    return {
        "command": command,
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "processor": platform.machine(),
        "python": sys.version.split()[0],
        **{name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _changed(config: Config) -> list[str]:
    """Return what differs from the defaults, a line for each setting."""
    usual, own = conf.leaves(compose([])), conf.leaves(config)
    apart = ("strategy", "seed", "output", "plugins")  # each row has its own, or it says where and not what
    return [
        f"{key}: {value} (default {usual[key]})" if key in usual else f"{key}: {value}"
        for key, value in own.items()
        if key.split(".")[0] not in apart and usual.get(key, ...) != value
    ]
