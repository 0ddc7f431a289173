"""Can all that a configuration names be built? Asked before data are read and anything is trained."""

from __future__ import annotations

import numpy as np

from gnnrec.config.instantiate import instantiate
from gnnrec.data.types import Stream
from gnnrec.runs import build
from gnnrec.runs.build import Config
from gnnrec.runs.experiment import Setting
from gnnrec.training.loggers import check_logger
from gnnrec.training.trainer import check_trainer


def ready(config: Config) -> None:
    """Build data set, stream, learner, strategy and logger of a run, and let go of them; nothing is read or written.

    Raises:
        GnnrecError: the first that cannot be built, and why.
    """
    allow = [str(p) for p in config["plugins"]["allow"]]
    check_trainer(config["trainer"])
    check_logger(config["logger"])
    for part in ("stream", "data"):
        instantiate(config[part], allow, at=part)
    nobody = np.empty(0, object)
    empty = Stream((), nobody, nobody, "explicit", None, False, {}, "")
    build.learner(config, Setting(empty, [], build.measure(config, empty), build.rows(config)))
    build.strategy(config)
