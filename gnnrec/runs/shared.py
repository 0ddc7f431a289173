"""What the runs of a comparison share, made by the first that needs it: the base model of a seed, the reference rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnrec.config.instantiate import instantiate
from gnnrec.core import signals
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.reference import reference_rows
from gnnrec.runs import build, experiment, state
from gnnrec.runs.again import environment
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import Frames, finished, locked, note_status, read_frames, write_frames
from gnnrec.runs.progress import Progress
from gnnrec.training.checkpoint import FitCheckpoint

MODEL, DATA = "model", "data"
"""In the folder of a base: what its model was made of, and the fingerprint of all the data that its rows are of."""


def base_state(config: Config, scene: Scene, progress: Progress) -> state.State:
    """Return the base model's state, trained at most once per events, configuration and seed."""
    signals.check()
    seed, stream = int(config["seed"]), scene.setting.stream
    folder = base_folder(config, stream)
    with locked(folder, wait=progress):
        found, made_of = state.load_newest(folder / "state"), build.model_digest(config, stream)
        checkpoint = FitCheckpoint(folder / "fit.checkpoint")
        if found is None:
            learner = build.learner(config, scene.setting)
            every_state = replace(scene.setting, keep=0)  # the base has one, and it stays
            name, states = Name(config["name"], "base", seed), folder / "state"
            other = _alike(folder, made_of)
            if other is not None and (known := state.load_newest(other / "state")) is not None:
                progress.say(f"base, seed {seed}: fitted before, on the same events; scoring it by what comes now")
                environment.take_over(other, folder)
                found = experiment.score_base(learner, every_state, name, known, states)
            else:
                environment.note(folder, config, build.base_digest(config, stream), resume=checkpoint.path.is_file())
                begun = "going on with a fit that was cut off" if checkpoint.path.is_file() else "fitting"
                progress.say(f"base, seed {seed}: {begun}, {len(stream.increments[0].observed.train):,} events")
                learner.checkpoint = checkpoint
                with progress.job("base", seed, 0, learner) as bar:
                    found = experiment.train_base(learner, every_state, name, states)
                    bar.increment(0)
        checkpoint.remove()
        for told, text in ((MODEL, made_of), (DATA, stream.fingerprint)):
            if not (folder / told).is_file():
                write_atomic(folder / told, text + "\n")
        return found


def base_folder(config: Config, stream: Stream) -> Path:
    """Return where the base of a run lies."""
    return Path(config["output"]) / f"base-seed{int(config['seed'])}-{build.base_digest(config, stream)}"


def references_folder(config: Config, stream: Stream) -> Path:
    """Return where the reference rows of a comparison lie."""
    return Path(config["output"]) / f"references-{build.reference_digest(config, stream)}"


def _alike(folder: Path, made_of: str) -> Path | None:
    """Return the base beside this folder that was fitted on the same events, and differs in what comes after it."""
    for other in sorted(folder.parent.glob(f"{folder.name.rsplit('-', 1)[0]}-*")):
        path = other / MODEL
        if other != folder and path.is_file() and path.read_text().strip() == made_of:
            return other
    return None


def references(config: Config, scene: Scene, progress: Progress) -> Frames:
    """Return the reference rows, computed once per data and evaluation."""
    stream, measure = scene.setting.stream, scene.setting.measure
    folder = references_folder(config, stream)
    with locked(folder, wait=progress):
        if not finished(folder):
            made = build.references(config)
            progress.say(f"reference rows: {', '.join(made) or 'none that rank'}")
            grid, companion = instantiate(config["scorer"]["grid"], at="scorer.grid"), build.companion(config)
            asked = config["name"], stream, scene.setting.worlds, measure, grid, made, companion
            write_frames(folder, reference_rows(*asked))
            note_status(folder, "done", scene, config)
        frames = read_frames(folder)
        return {**frames, "results": frames["results"].with_columns(experiment=pl.lit(config["name"]))}
