"""What the runs of a comparison share, made by the first that needs it: the base model of a seed, the reference rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnrec.config.instantiate import instantiate
from gnnrec.core import signals
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.reference import reference_rows
from gnnrec.runs import build, experiment, state
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import Frames, finished, locked, note_status, read_frames, write_frames
from gnnrec.runs.progress import Progress
from gnnrec.training.checkpoint import FitCheckpoint


def base_state(config: Config, scene: Scene, progress: Progress) -> state.State:
    """Return the base model's state, trained at most once per data, configuration and seed."""
    signals.check()
    seed = int(config["seed"])
    digest = build.base_digest(config, scene.setting.stream)
    folder = Path(config["output"]) / f"base-seed{seed}-{digest}"
    with locked(folder, wait=progress):
        found, checkpoint = state.load_newest(folder / "state"), FitCheckpoint(folder / "fit.checkpoint")
        if found is None:
            learner = build.learner(config, scene.setting)
            learner.checkpoint = checkpoint
            begun = "going on with a fit that was cut off" if checkpoint.path.is_file() else "fitting"
            events = len(scene.setting.stream.increments[0].observed.train)
            progress.say(f"base, seed {seed}: {begun}, {events:,} events")
            every_state = replace(scene.setting, keep=0)  # the base has one, and it stays
            name = Name(config["name"], "base", seed)
            with progress.job("base", seed, 0, learner) as bar:
                found = experiment.train_base(learner, every_state, name, folder / "state")
                bar.increment(0)
        checkpoint.remove()
        return found


def references(config: Config, scene: Scene, progress: Progress) -> Frames:
    """Return the reference rows, computed once per data and evaluation."""
    stream, measure = scene.setting.stream, scene.setting.measure
    folder = Path(config["output"]) / f"references-{build.reference_digest(config, stream)}"
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
