"""What a sweep has come to: the best setting or the front, as files and a page, and how they do on the rest of the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gnnrec.config.options import overrides
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.evaluation import significance
from gnnrec.evaluation.pairs import names_users
from gnnrec.reporting.tables import number
from gnnrec.reporting.verdicts import Verdicts, key_of
from gnnrec.runs.build import Scene
from gnnrec.runs.compare import RunnerOf, compare
from gnnrec.runs.folder import safe
from gnnrec.runs.pages import Report
from gnnrec.runs.point import LAST
from gnnrec.runs.progress import Progress
from gnnrec.sweeping import page
from gnnrec.sweeping.plan import Plan
from gnnrec.sweeping.space import tree
from gnnrec.sweeping.study import Ledger, Tried
from gnnrec.sweeping.text import SECONDS, counts, setting, valued

BIASED = "these numbers are of the events that chose, and not tested"


def points_file(plan: Plan) -> Path:
    """Return where the table of points is written, anew whenever one has begun or ended."""
    return Path(plan.config["output"]) / f"sweep-{safe(plan.row)}.csv"


def conclude(plan: Plan, ledger: Ledger, scene: Scene, command: str, progress: Progress, launch: RunnerOf) -> str:
    """Write the best setting or the front, score it and the configured one on the rest, and return what to print.

    Raises:
        GnnrecError: every point failed.
    """
    tried, best = ledger.tried(), ledger.best()
    if not best:
        raise GnnrecError(f"every trial failed: {next((t.more for t in tried if t.more), 'interrupted')}")
    output = Path(plan.config["output"])
    default = next((t for t in tried if t.params == plan.default), None)
    written = _write_best(output, plan, best, len(tried))
    drawn = page.Page.of(plan, ledger, command)
    drawn.write(path := output / f"sweep-{safe(plan.row)}.html", _found(plan, best, tried))
    names = {t.number: f"{plan.row}[best]" if len(plan.metrics) == 1 else f"{plan.row}[trial {t.number}]" for t in best}
    measured = default is not None and default.state == "complete"
    rows = {f"{plan.row}[default]": plan.default} if measured else {}
    rows |= {names[t.number]: dict(t.params) for t in best if t.params != plan.default}
    jobs = [job for row, params in rows.items() for job in plan.jobs(params, row)]
    done = compare(jobs, scene, command, progress, LAST + 1, output / f"sweep-{safe(plan.row)}", launch)
    found = _found(plan, best, tried)
    if len(plan.metrics) == 1:
        after = f"on the increments behind, t ≥ {LAST + 1}, the best setting is {_afterwards(done, plan)}"
        use = f"written to {written[0]}; use it with {' '.join(overrides(best[0].params))}"
    else:
        after = f"on the increments behind, t ≥ {LAST + 1}, they and the default stand in {done.path}"
        use = f"written to {', '.join(map(str, written))}"
    said = [f"default: {_told(plan, default)}", *found, f"{BIASED}; {after}"]
    drawn.write(path, [line[:1].upper() + line[1:] for line in said])
    notes = [SECONDS] if "seconds" in plan.metrics else []
    return "\n".join([counts(tried), *said, *notes, use, "", done.text, f"report: {done.path}", f"sweep: {path}"])


def _told(plan: Plan, default: Tried | None) -> str:
    """Return the configured point and what became of it."""
    if default is None or default.state != "complete" or default.values is None:
        return f"{setting(plan.default)}: {'not run' if default is None else default.state}"
    return f"{setting(plan.default)}: valid {valued(plan.metrics, default.values, default.deviations)}"


def _found(plan: Plan, best: Sequence[Tried], tried: Sequence[Tried]) -> list[str]:
    """Return a line for the best point, or one for each point of the front."""
    lines = [f"{setting(t.params)}: valid {valued(plan.metrics, t.values or (), t.deviations)}" for t in best]
    if len(plan.metrics) == 1:
        return [f"best of {counted(len(tried))}: {lines[0]}"]
    head = f"the front of {counted(len(tried))} by {', '.join(plan.metrics)}: no other is as good by each of them"
    shown = [f"trial {t.number}: {line}" for t, line in zip(best, lines, strict=True)]
    return [head, *shown]


def _write_best(output: Path, plan: Plan, best: Sequence[Tried], trials: int) -> list[Path]:
    """Write best-ROW.yaml, or a file for each point of the front, and remove those of an earlier front."""
    several = len(plan.metrics) > 1
    for old in output.glob(f"best-{safe(plan.row)}-trial*.yaml"):
        old.unlink()
    paths = []
    for t in best:
        which = "of the front" if several else "best"
        what = f"{which} of {counted(trials)} by valid {', '.join(plan.metrics)} on increments 1 to {LAST}"
        told = valued(plan.metrics, t.values or (), t.deviations)
        head = f"# @package _global_\n# {plan.row}: {what}: {told}\n"
        path = output / f"best-{safe(plan.row)}{f'-trial{t.number}' if several else ''}.yaml"
        write_atomic(path, f"{head}{yaml.safe_dump(tree(t.params), sort_keys=False)}")
        paths.append(path)
    return paths


def _afterwards(done: Report, plan: Plan) -> str:
    """Return how the best setting does on next increments that tuning has not seen, by the model alone."""
    metric, row = plan.metrics[0], plan.row
    column = "recall@20_all" if metric == "recall@20" else metric
    rows: Mapping[str, Any] = {r["strategy"]: r for r in done.summary.filter(scorer="model").iter_rows(named=True)}
    default, best = rows.get(f"{row}[default]"), rows.get(f"{row}[best]")
    if best is None:
        return "the default itself"
    if default is None or default[column] is None or best[column] is None:
        return f"alone: {metric} {number(best[column], 5)} (the default failed)"
    tests, base = None, key_of(default)
    if metric in done.per_user.columns:
        models = done.per_user.filter(scorer="model")
        tests = significance.compare(models, metric, references=(), best=base, first=LAST + 1)
    elif metric == significance.ERROR and names_users(done.predictions):
        models = done.predictions.filter(scorer="model")
        tests = significance.compare_errors(models, references=(), best=base, first=LAST + 1)
    values = f"{number(best[column], 5)} against {number(default[column], 5)}"
    return f"{Verdicts(tests, column).say(best, default)}, by {metric} of next: {values}"


def counted(trials: int) -> str:
    """Return how many trials, as it is said."""
    return f"{trials} trial{'' if trials == 1 else 's'}"
