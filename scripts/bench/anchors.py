"""Is each model as good as published? One static split that the field's tables use, and one of ratings.

gowalla-static (He et al., SIGIR 2020): all items ranked, train rows masked. Of the train rows 5 % are held back as valid, and
epochs are chosen there; then the model is fitted to all train rows for so many, as the published ones are, and the test rows
are scored once. Pairs of which nothing is published are fitted once, for 8 epochs at most, NGCF for 4, cross-entropy over all
items for 2. ml-100k: a random 80/20 split; what is calibrated on valid is not fitted again. Each is a shipped configuration
with the overrides that its line names; its seconds are those of all fits, scoring the test left out.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import static
from bench.timing import Line
from gnnrec.config.compose import compose
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Observed, Stream
from gnnrec.evaluation.evaluate import evaluate
from gnnrec.evaluation.reference import Absorbed
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.runs import build
from gnnrec.runs.build import Config
from gnnrec.runs.experiment import Scenario
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.model import Scorer
from gnnrec.untrained.base import Untrained

NAME = "anchors"
PROCEDURE = 3
"""Version of how an anchor is measured; raise it with every change, or what was kept under another is taken for it."""
FIT = ("fit.base.batch_size=8192", "fit.base.patience=5", "init=spectral")
"""Batches and start of the implicit logs."""
LARGE = (*FIT, "scorer=model")
"""The same, and nothing but the model is scored."""
WITH_FILTER = (*FIT, "scorer.companion=gf_cf", "scorer.grid={alpha:[1.0],beta:[0.0],kappa:[0.0,0.125,0.25,0.5]}")
"""The model and GF-CF together, the weight of the second chosen on valid."""

BRIEF = ("fit.base.max_epochs=8",)
"""For pairs that are there to be compared with each other."""
HARD = ("objective=bpr", "objective.candidates=32", "objective.l2=0.001")
"""BPR against the hardest of 32 items: against any one valid NDCG is a quarter (MF) to two fifths (LightGCN) lower."""


@dataclass(frozen=True)
class Anchor:
    """A configuration and what is published, or asked, of it.

    Attributes:
        overrides: of the shipped configuration.
        published: metric → figure; empty: none is known on this split.
        asked: metric → least (for errors, most) that the project asks of it.
        seconds: most seconds asked; None: none.
        why: what is known of a miss.
        row: of the rows without training that predict values; "": a model, or the reference that is listed.
        once: whether what is fitted without the valid rows is what is scored.
    """

    overrides: tuple[str, ...]
    published: dict[str, float]
    asked: dict[str, float]
    seconds: float | None = None
    why: str = ""
    row: str = ""
    once: bool = False


def ranks(recall: float, ndcg: float) -> dict[str, float]:
    """Return a pair of figures by metric."""
    return {"recall@20": recall, "ndcg@20": ndcg}


LIGHTGCN, MF, SIMPLEX = ranks(0.1824, 0.1547), ranks(0.1627, 0.1378), ranks(0.1872, 0.1557)
BSPM = ranks(0.1920, 0.1597)
GF_CF, KNN = ranks(0.1849, 0.1518), ranks(0.1570, 0.1214)
PLAIN = "{neighbours:null,shrinkage:0,asymmetry:0.5,exponent:0}"
UNTRAINED = {
    "filter": Anchor(("references=[gf_cf]",), GF_CF, ranks(0.184, 0.151), 60),
    "filter, linear, exponents chosen on a random valid": Anchor(("references=[filter]",), {}, {}),
    "turbo_cf": Anchor(("references=[turbo_cf]",), {}, {}),
    "itemknn": Anchor(("references=[nearest_items]",), KNN, KNN, 60),
    "itemknn, all neighbours, plain cosine": Anchor((f"references=[{{nearest_items:{PLAIN}}}]",), {}, {}),
    "ease": Anchor(("references=[ease]",), ranks(0.1765, 0.1467), {}, why="of 40,981 items the 12,000 commonest"),
    "ials": Anchor(("references=[ials]",), {}, {}),
    "popularity": Anchor(("references=[{recent_popularity:{half_life:null}}]",), {}, {}),
}
NAMED = {
    "default for implicit logs": Anchor(LARGE, LIGHTGCN, LIGHTGCN, 600, "width 128 reaches the NDCG, xsimgcl both"),
    "default, width 128": Anchor((*LARGE, "encoder.width=128"), LIGHTGCN, {}),
    "default with gf_cf": Anchor(WITH_FILTER, {}, ranks(0.190, 0.160), 1800),
    "best: xsimgcl with gf_cf": Anchor((*WITH_FILTER, "encoder=xsimgcl"), BSPM, ranks(0.190, 0.160), 1800),
}
ENCODERS = {
    "mf": ("encoder=mf",),
    "lightgcn": (),
    "ngcf": ("encoder=ngcf",),
    "gcmc": ("encoder=gcmc", "encoder.levels=[]"),
    "xsimgcl": ("encoder=xsimgcl",),
    "inmo": ("encoder=inmo",),
}
OBJECTIVES = {
    "bpr": HARD,
    "softmax": (),
    "contrastive": ("objective=contrastive", "objective.margin=0.9"),
    "directau": ("objective=directau",),
}
OWN = {
    "mf, bpr": ("objective.l2=0.01", "fit.base.lr=0.005", "objective.candidates=64"),
    **{f"ngcf, {objective}": ("fit.base.max_epochs=4",) for objective in OBJECTIVES},
}
"""What a pair has for itself. An epoch of NGCF takes three times as long."""
KNOWN = {
    "mf, bpr": MF,
    "lightgcn, bpr": LIGHTGCN,
    "lightgcn, contrastive": SIMPLEX,
    "ngcf, bpr": ranks(0.1570, 0.1327),
    "gcmc, bpr": ranks(0.1395, 0.1204),
    "xsimgcl, softmax": LIGHTGCN,
}
WHY = {
    "lightgcn, bpr": "unlike the paper's, 13 epochs and not 1,000",
    "lightgcn, contrastive": "unlike the paper's, no mean of a user's items",
}
ASKED = {"mf, bpr": (MF, 600.0), "xsimgcl, softmax": (LIGHTGCN, None)}
FULL = {*KNOWN, "mf, softmax", "inmo, softmax", "lightgcn, directau"} - {"ngcf, bpr"}
"""Pairs that are fitted as long as valid rises, and once more; the others, and NGCF, are fitted once, and briefly."""
PAIRS = {
    name: Anchor(
        (*LARGE, *objective, *encoder, *(() if name in FULL else BRIEF), *OWN.get(name, ())),
        KNOWN.get(name, {}),
        *ASKED.get(name, ({}, None)),
        WHY.get(name, ""),
        once=name not in FULL,
    )
    for e, encoder in ENCODERS.items()
    for o, objective in OBJECTIVES.items()
    if (name := f"{e}, {o}") != "lightgcn, softmax"  # the default
}
EVERY_ITEM = Anchor((*LARGE, "objective=cross_entropy", "fit.base.max_epochs=2"), {}, {}, once=True)
RANKING = {**NAMED, **PAIRS, "lightgcn, cross_entropy": EVERY_ITEM}
RATING = {
    "bias": Anchor((), {}, {}, row="bias"),
    "recent_bias": Anchor((), {}, {}, row="recent_bias"),
    "residual_itemknn": Anchor((), {}, {}, row="residual_itemknn"),
    "lightgcn, joint": Anchor(("scorer=model",), {}, {}),
    "lightgcn, rating": Anchor(("scorer=model", "objective=rating"), {}, {}),
    "mf, rating": Anchor(("scorer=model", "encoder=mf", "objective=rating"), {}, {}),
    "gcmc, gcmc": Anchor(
        ("scorer=model", "encoder=gcmc", "objective=gcmc", "graph.values=true"), {"rmse": 0.905}, {"rmse": 0.93}
    ),
}


def run(quick: bool, runs: Path | None = None) -> Iterator[Line]:
    """Yield the lines of this benchmark.

    Args:
        quick: a tenth of the split, two epochs.
        runs: folder that keeps what each anchor found, so that what was cut off goes on; None: a temporary one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for split, anchors in ((static.gowalla, UNTRAINED | RANKING), (static.movielens, RATING)):
            stream = split(quick)
            if stream is None:
                yield Line(NAME, split.__doc__ or "", None, "", note="the data set is not here")
                continue
            for name, anchor in anchors.items():
                found = _kept(name, anchor, stream, quick, (runs or Path(temporary)) / NAME)
                # A fraction of the split says nothing of what is published on the whole.
                told = replace(anchor, published={}, asked={}, seconds=None) if quick else anchor
                yield from _lines(name, told, found)


def _kept(name: str, anchor: Anchor, stream: Stream, quick: bool, folder: Path) -> dict[str, float]:
    """Return what an anchor measures: from its file where the same configuration has been run on the same data."""
    # What is fitted without valid goes on for the epochs that are asked for.
    overrides = [*anchor.overrides, "logger=none", "seed=0", "fit.base.epochs_without_valid=1000"]
    overrides += ["scorer.grid.counters=[inf]"]  # rows of a static split are in no order of time
    overrides += ["fit.base.max_epochs=2"] if quick else []
    asked = {"overrides": overrides, "data": stream.fingerprint, "procedure": PROCEDURE}
    file = folder / f"{name.replace(', ', '_').replace(' ', '_')}.json"
    if file.exists() and (kept := json.loads(file.read_text()))["asked"] == asked:
        return dict(kept["found"])
    found = _measured(overrides, stream, anchor)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps({"asked": asked, "found": found}, indent=1) + "\n")
    return found


def _measured(overrides: list[str], stream: Stream, anchor: Anchor) -> dict[str, float]:
    """Fit on the base, choose on valid, score the test rows once."""
    config = compose(overrides)
    setting = build.scene_on(config, static.NO_LOG, stream).setting
    if anchor.row:
        return _predicted(anchor.row, setting)
    if any(o.startswith("references=") for o in overrides):
        return _untrained(config, setting)
    return _trained(config, setting, anchor.once)


def _trained(config: Config, setting: Scenario, once: bool) -> dict[str, float]:
    """Choose the number of epochs on valid, then, unless `once`, fit to all train rows for so many."""
    base = setting.stream.increments[0].observed
    begin = time.perf_counter()
    chosen = _fitted(config, setting, base, None)
    again = not chosen.objective.calibrates and not once
    learner = _fitted(config, setting, static.whole(base), max(chosen.log.kept, 1)) if again else chosen
    learner.blend.choice = chosen.blend.choice
    learner.ready()
    seconds = time.perf_counter() - begin
    row = setting.scorers[-1]  # the blend where there is one
    served = Learner.blend_scorer if row == "blend" else Learner.scorer
    valid = {f"valid {m}": v for segment, m, v, _ in chosen.valid_rows[row] if segment == "all"}
    held = {f"without valid {m}": v for m, v in _test(served(chosen), setting).items()} if again else {}
    found = {**_test(served(learner), setting), **valid, **held, "kappa": chosen.blend.weights.kappa}
    return {**found, "epochs": float(chosen.log.kept), "seconds": seconds}


def _fitted(config: Config, setting: Scenario, base: Observed, epochs: int | None) -> Learner:
    learner = build.learner(config, setting)
    learner.extend(base)
    learner.fit(base.train, schedule="base", epochs=epochs)
    learner.absorb(base)
    return learner


def _untrained(config: Config, setting: Scenario) -> dict[str, float]:
    """Score what trains nothing; its seconds are those of scoring every test user too, which is all the work there is."""
    (made,), base = build.references(config).values(), setting.stream.increments[0].observed
    assert isinstance(made, Untrained)
    begin = time.perf_counter()
    for events in (base.arrived, base.folded):
        made.absorb(events, base.num_users, base.num_items)
    found = _test(made, setting)
    return {**found, "seconds": time.perf_counter() - begin}


def _predicted(row: str, setting: Scenario) -> dict[str, float]:
    """Score a row without training that predicts values; its seconds are those of the counts and of the predictions."""
    kept, base = Absorbed(Grid().model_alone()), setting.stream.increments[0].observed
    begin = time.perf_counter()
    kept.absorb(base, BipartiteGraph.empty(), setting.measure)
    found = _test(kept.scorers(explicit=True)[row], setting)
    return {**found, "seconds": time.perf_counter() - begin}


def _test(scorer: Scorer, setting: Scenario) -> dict[str, float]:
    rows = evaluate(scorer, setting.stream.increments[0].test, setting.worlds[0], setting.measure, segments=False).rows
    return {metric: value for segment, metric, value, _ in rows if segment == "all"}


def _most(anchor: Anchor) -> str:
    """Return how many epochs a brief pair may take."""
    return [o.rpartition("=")[2] for o in anchor.overrides if o.startswith("fit.base.max_epochs=")][-1]


def _beside(value: float, public: float, better: Callable[[float, float], bool]) -> str:
    """Return how a figure stands beside the published one, to the four digits that papers print."""
    apart = abs(round(value, 4) - public)
    return "met" if apart < 5e-5 else f"{'better' if better(value, public) else 'short'} by {apart:.4f}"


def _lines(name: str, anchor: Anchor, found: dict[str, float]) -> Iterator[Line]:
    """Yield a line per metric that is published or asked of, or the usual ones."""
    usual = ("rmse",) if "rmse" in found else ("recall@20", "ndcg@20")
    for metric in usual:
        public, asked = anchor.published.get(metric), anchor.asked.get(metric)
        better = (lambda a, b: a <= b) if metric == "rmse" else (lambda a, b: a >= b)
        met = None if asked is None else better(found[metric], asked)
        told = [] if public is None else [f"published {public:.4f}, {_beside(found[metric], public, better)}"]
        told += [f"valid {found[f'valid {metric}']:.4f}"] if f"valid {metric}" in found else []
        held = f"without valid {metric}"
        told += [f"fitted without the valid rows {found[held]:.4f}"] if held in found else []
        told += [f"{found['epochs']:.0f} epochs kept"] if "epochs" in found else []
        told += [f"fitted once, for {_most(anchor)} epochs at most"] if anchor.once else []
        told += [f"weight of gf_cf {found['kappa']}"] if found.get("kappa") else []
        told += [f"{found['seconds']:.0f} s", *filter(None, [anchor.why])]
        target = "" if asked is None else f"{'≤' if metric == 'rmse' else '≥'} {asked:.4f}"
        yield Line(NAME, f"{name}: {metric}", found[metric], "", target=target, met=met, note="; ".join(told))
    if anchor.seconds is not None:
        met = found["seconds"] <= anchor.seconds
        yield Line(NAME, f"{name}: seconds", found["seconds"], "s", target=f"≤ {anchor.seconds:.0f} s", met=met)
