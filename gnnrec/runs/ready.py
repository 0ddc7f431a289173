"""Can all that a configuration names be built? Asked before data are read and anything is trained."""

from __future__ import annotations

import numpy as np

from gnnrec.config.instantiate import instantiate
from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Stream
from gnnrec.runs import build
from gnnrec.runs.build import Config
from gnnrec.runs.experiment import Scenario
from gnnrec.training.loggers import check_logger
from gnnrec.training.trainer import check_trainer


def ready(config: Config) -> None:
    """Build data set, stream, learner, strategy and logger of a run, and let go of them; nothing is read or written.

    Raises:
        GnnrecError: the first that cannot be built, and why.
    """
    check_trainer(config["trainer"])
    check_logger(config["logger"])
    try:
        _build(config)
    except GnnrecError:
        raise
    except Exception:
        # Raised by the code of a plug-in: that run's alone, which says so with its traceback when its turn comes.
        if not config["plugins"]["allow"]:
            raise


def _build(config: Config) -> None:
    allow = [str(p) for p in config["plugins"]["allow"]]
    for part in ("stream", "data"):
        instantiate(config[part], allow, at=part)
    nobody = np.empty(0, object)
    empty = Stream((), nobody, nobody, "explicit", None, False, {}, "")
    build.learner(config, Scenario(empty, [], build.measure(config, empty), build.rows(config)))
    build.strategy(config)
    build.policy(config)
    build.references(config)
