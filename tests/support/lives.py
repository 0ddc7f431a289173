"""A run that is killed and continued: `python lives.py FOLDER KILLS SEED` forks a life, kills it, forks the next.

A process of its own, which imports everything and computes nothing: forking one with running thread pools can hang.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs import state
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.strategies.replay import Replay, Reservoir
from gnnrec.testing.worlds import FIT, MEASURE, simulated


def live(folder: Path) -> None:
    """Go on from what `folder` holds until the stream ends."""
    torch.set_num_threads(1)
    stream, name = simulated(increments=12, events=1400), Name("kill", "replay", 0)
    setting = Scenario(stream, worlds(stream), MEASURE)

    def learner() -> Learner:
        return Learner(LightGCN(8, 2), Joint(width=8), replace(FIT, optimiser_state="carry"), measure=MEASURE)

    base = state.load_newest(folder / "base") or train_base(learner(), setting, name, folder / "base")
    run(learner(), Replay(40, Reservoir(80)), setting, name, base, folder / "run")
    (folder / "done").touch()


def fork(folder: Path) -> int:
    """Return the process id of a new life."""
    if pid := os.fork():
        return pid
    try:
        live(folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def reached(folder: Path) -> int:
    """Return the newest increment saved, −1 before the base."""
    found = [int(p.name) for part in ("base", "run") for p in (folder / part).glob("[0-9]*")]
    return max(found, default=-1)


def main(folder: Path, kills: int, seed: int) -> None:
    """Live once undisturbed, then through `kills` kills; print where they hit and the folders that were finished."""
    rng, whole = random.Random(seed), folder / "whole"
    begin = time.perf_counter()
    if os.waitpid(fork(whole), 0)[1]:
        sys.exit("the undisturbed life failed")
    span, hits, done = time.perf_counter() - begin, [], []
    while len(hits) < kills:
        torn = folder / f"torn{len(done)}"
        while not (torn / "done").exists():
            pid = fork(torn)
            if len(hits) < kills:
                time.sleep(rng.uniform(0.0, 0.4 * span))
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            if os.WIFSIGNALED(status):
                hits.append(reached(torn))
            elif status:
                sys.exit("a life failed")
        done.append(str(torn))
    print(json.dumps({"whole": str(whole), "torn": done, "hits": hits}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
