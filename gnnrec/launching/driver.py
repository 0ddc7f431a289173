"""`python -m gnnrec.launching.driver FOLDER`: drives a launch that is left to itself, until its runs have ended."""

from __future__ import annotations

import sys
from pathlib import Path

from gnnrec.config.instantiate import instantiate
from gnnrec.core import signals
from gnnrec.launching.base import Place
from gnnrec.launching.supervise import Supervisor
from gnnrec.launching.tasks import read
from gnnrec.runs.folder import locked
from gnnrec.runs.progress import Progress


def main(argv: list[str]) -> int:
    """Drive the launch in a folder and return 0, or 128 and a signal's number."""
    launch = read(Path(argv[0]))
    place: Place = instantiate(launch.launcher, launch.plugins, at="launcher")
    try:
        progress = Progress()
        # A command that asks whether somebody has the launch has it meanwhile: that is waited for.
        with signals.watched(), locked(launch.folder, wait=progress):
            Supervisor(launch.tasks, place, progress.say).run()
    except signals.Interrupted as error:
        return 128 + (signals.received(error) or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
