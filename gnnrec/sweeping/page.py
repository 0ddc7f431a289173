"""The page of a sweep: one HTML file that loads nothing and runs nothing, beside best-ROW.yaml."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import yaml
from matplotlib.figure import Figure
from optuna.importance import PedAnovaImportanceEvaluator

from gnnrec.core.errors import one_line
from gnnrec.reporting import page
from gnnrec.reporting.style import label
from gnnrec.runs.point import LAST
from gnnrec.sweeping import pictures
from gnnrec.sweeping.plan import MAXIMISED, Plan
from gnnrec.sweeping.study import STATES, Ledger, Tried
from gnnrec.sweeping.text import SECONDS, counts, named, value

Section = tuple[str, str, str]
IMPORTANCE = (
    "How much each key tells the best tenth of the trials from the others (PED-ANOVA of Optuna; shares add up to 1). It says "
    "what mattered within this space and to these trials, not what would matter elsewhere."
)
MEASURED = (
    f"Each trial is a run that ends with increment {LAST}; its value is the mean over increments 1 to {LAST} of the model "
    "alone on valid events, and over the seeds where there are several; ± is the deviation over seeds. Valid events also "
    f"select within a run, so these numbers are not tested; what is, lies behind increment {LAST}.\n\n"
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows whatever is said above it."""

    title: str
    sections: tuple[Section, ...]

    @staticmethod
    def of(plan: Plan, ledger: Ledger, command: str) -> Page:
        """Return the page of a study that has ended."""
        tried, best = ledger.tried(), ledger.best()
        drawn = bool(plan.config.get("figures", True))
        sections = [
            ("points", counts(tried), _points(plan, tried, best)),
            ("front", "The front", _front(plan, tried, best) if drawn and len(plan.metrics) > 1 else ""),
            ("history", "History", _history(plan, tried) if drawn else ""),
            ("importances", "Which keys mattered", _importances(plan, ledger, drawn)),
            ("parallel", "Settings side by side", _parallel(plan, tried) if drawn else ""),
            ("searched", "What was searched", _searched(plan)),
            ("again", "How to get this again", page.block(command) + _configuration(plan)),
        ]
        title = f"{plan.config['name']}: a sweep of {plan.row}"
        return Page(title, tuple(s for s in sections if s[2]))

    def write(self, path: Path, said: Sequence[str]) -> None:
        """Write it under a few lines."""
        page.save(path, page.page(self.title, "\n".join(said), self.sections))


def _points(plan: Plan, tried: Sequence[Tried], best: Sequence[Tried]) -> str:
    keys, chosen = [d.key for d in plan.space], {t.number for t in best}
    which = "best" if len(plan.metrics) == 1 else "front"
    lines = []
    for t in _ranked(plan, tried):
        what = [which] * (t.number in chosen) + ["default"] * (t.params == plan.default)
        values = [value(v) for v in t.values] if t.values else ["n/a"] * len(plan.metrics)
        if t.deviations:
            values = [f"{v} ± {value(d)}" for v, d in zip(values, t.deviations, strict=False)]
        seconds = "n/a" if t.seconds is None else f"{t.seconds:.3g}"
        shown = [_plain(t.params[k]) for k in keys]
        cells = [", ".join(what), t.state, str(t.number), *shown, *values, seconds, label(t.more, 40)]
        lines.append(page.row(cells, "" if t.state == "complete" else "reference"))
    heads = ["", "state", "trial", *keys, *map(named, plan.metrics), "s/update", "note"]
    failed = [f"trial {t.number}: {t.more}" for t in tried if t.state == "failed"]
    why = (
        page.folded("Why trials failed", f"<ul>{''.join(f'<li>{page.text(f)}</li>' for f in failed)}</ul>")
        if failed
        else ""
    )
    order = "The best first" if len(plan.metrics) == 1 else f"The best by {plan.metrics[0]} first"
    return page.grid(heads, lines) + f'<p class="small">{page.text(f"{order}. {SECONDS}")}</p>' + why


def _ranked(plan: Plan, tried: Sequence[Tried]) -> list[Tried]:
    """Return complete points, the best by the first metric first, then pruned ones, then those without a value."""
    sign = -1.0 if MAXIMISED[plan.metrics[0]] else 1.0
    return sorted(tried, key=lambda t: (STATES.index(t.state), sign * t.values[0] if t.values else 0.0, t.number))


def _plain(found: object) -> str:
    return f"{found:.5g}" if isinstance(found, float) else str(found)


def _history(plan: Plan, tried: Sequence[Tried]) -> str:
    drawn = [pictures.history(tried, m, n, MAXIMISED[m]) for n, m in enumerate(plan.metrics)]
    said = "Each trial in the order in which it was asked for; the configured setting is the first."
    shown = [_picture(figure, said if n == 0 else f"The same by {plan.metrics[n]}.") for n, figure in enumerate(drawn)]
    return f'<div class="gallery">{"".join(shown)}</div>' if len(shown) > 1 else shown[0]


def _front(plan: Plan, tried: Sequence[Tried], best: Sequence[Tried]) -> str:
    said = "Trials of the front, by their number: no other is as good by each metric and better by one."
    return _picture(pictures.front(tried, best, plan.metrics, plan.default), said)


def _importances(plan: Plan, ledger: Ledger, drawn: bool) -> str:
    found = {}
    for n, metric in enumerate(plan.metrics):
        try:
            found[metric] = importances(ledger.study, n, MAXIMISED[metric])
        except (ValueError, RuntimeError) as error:
            return f'<p class="small">n/a: {page.text(one_line(str(error)))}</p>'
    if drawn:
        return _picture(pictures.importances(found), IMPORTANCE)
    lines = [page.row([m, k, f"{share:.3f}"]) for m, shares in found.items() for k, share in shares.items()]
    return page.grid(["metric", "key", "share"], lines) + f'<p class="small">{page.text(IMPORTANCE)}</p>'


def importances(study: optuna.Study, at: int, maximised: bool) -> dict[str, float]:
    """Return each key's share of what tells the best tenth of the complete points from the others, the largest first.

    Raises:
        ValueError: there are too few points, or all came to the same.
    """
    values = [t.values[at] for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    if len(values) < 3 or len(set(values)) < 2:
        raise ValueError("it takes three complete trials, not all of one value")
    sign = 1.0 if maximised else -1.0  # of two metrics or more, the evaluator takes larger values for the better ones
    several = len(study.directions) > 1
    with warnings.catch_warnings(action="ignore"):
        found = optuna.importance.get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(),
            target=(lambda t: sign * float(t.values[at])) if several else None,
        )
    return {key: float(share) for key, share in found.items()}


def _parallel(plan: Plan, tried: Sequence[Tried]) -> str:
    metric = plan.metrics[0]
    figure = pictures.parallel(tried, plan.space, metric, 0, MAXIMISED[metric])
    return "" if figure is None else _picture(figure, "A line is a complete trial; the brighter, the better.")


def _searched(plan: Plan) -> str:
    lines = [page.row([d.key, d.shown(), "log" if d.log else "", _plain(d.default)], left=3) for d in plan.space]
    table = page.grid(["key", "choices or range", "scale", "as configured"], lines, left=3)
    how = [
        f"sampler {plan.sampler}, seed {plan.config['seed']}",
        f"{plan.wanted} trials",
        f"seeds of each trial {', '.join(map(str, plan.seeds))}",
        f"pruning {'by the median after increment 1 (the first five trials are whole)' if plan.prune else 'off'}",
    ]
    return table + f'<p class="small">{page.text("; ".join(how))}.</p>' + page.paragraphs(MEASURED)


def _configuration(plan: Plan) -> str:
    text = yaml.safe_dump(dict(plan.config), sort_keys=False, allow_unicode=True)
    return page.folded("The configuration of the default", page.block(text))


def _picture(figure: Figure, caption: str) -> str:
    data, said = base64.b64encode(pictures.svg(figure)).decode("ascii"), page.text(caption)
    image = f'<img alt="{said}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure style="max-width: 54rem">{image}<figcaption>{said}</figcaption></figure>'
