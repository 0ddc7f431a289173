"""Where a run's curves go: Weights & Biases (offline by default), CSV, TensorBoard, or nowhere.

`increment` is the step axis: each fit has a Trainer of its own, whose global step starts again at 0.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from gnnrec.config.check import fitting
from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.core.files import write_atomic
from gnnrec.evaluation.record import Record
from gnnrec.evaluation.results import public

log = logging.getLogger(__name__)
LOGS = ("csv", "tensorboard", "wandb")
"""Folders that loggers write to, in the folder of a run."""
NEXT = ("recall@20", "ndcg@20", "mse")
Config = Mapping[str, Any]


class Tracker:
    """Sends one run's numbers to a Lightning logger; a logger that fails is warned of once and left alone.

    Args:
        logger: Lightning's, or None for nowhere.
        least: users by whom a figure must be made to be logged.
    """

    def __init__(self, logger: Logger | None, least: int = 1) -> None:
        self.logger, self.least = logger, least

    @staticmethod
    @contextmanager
    def open(
        config: Config, row: str, folder: Path, identity: str | None = None, name: str | None = None
    ) -> Iterator[Tracker]:
        """Yield the tracker of a run and close it whatever happens, so that the next run gets one of its own.

        One that goes on has the `identity` it had, and takes its place at the logger. `name` is what W&B calls it, whatever
        the configuration calls the runs; None: as that says.
        """
        tracker = Tracker(None, int(config.get("privacy", {}).get("least_users", 1)))
        try:
            tracker.logger = _make(config, row, folder, identity, name)
        except GnnrecError:
            raise
        except Exception as error:  # a logger must never cost a run
            log.warning("the logger could not be started and is left out: %s", error)
        try:
            yield tracker
        finally:
            tracker.close()

    def increment(self, t: int, record: Record) -> None:
        """Log what was measured on increment t and how its fit went."""
        results = public(pl.concat(record.results), self.least)
        results = results.filter(pl.col("trained_to") == t, pl.col("segment") == "all", pl.col("value").is_not_null())
        values = {
            f"{split}/{scorer}/{metric}": value
            for scorer, split, metric, value in results.select("scorer", "split", "metric", "value").rows()
            if (split in ("next", "valid") and metric in NEXT) or (split == "cost" and metric in ("seconds", "steps"))
        }
        values |= {f"fit/{m}": value for m, value in results.filter(split="fit").select("metric", "value").rows()}
        self.log(values, t)

    def increments(self, t: int, record: Record) -> None:
        """Log again what had been measured up to increment t by a run that goes on."""
        for earlier in range(1, t + 1):
            self.increment(earlier, record)

    def log(self, values: dict[str, float], t: int) -> None:
        """Log values at increment t."""
        if self.logger is None:
            return
        try:
            self.logger.log_metrics({**values, "increment": float(t)}, step=t)
        except Exception as error:  # a logger must never cost a run
            log.warning("the logger failed and is left out: %s", error)
            self.logger = None

    def report(self, figures: list[Path], table: pl.DataFrame) -> None:
        """Log a comparison's figures, table and numbers, where the logger has a place for them.

        The numbers are means over seeds, `strategy/scorer/metric`, with their deviation over seeds under `…/deviation`.
        """
        if not isinstance(self.logger, WandbLogger):
            return
        try:
            self.logger.experiment.summary.update(_numbers(table))
            cells = [[str(v) for v in row] for row in table.rows()]
            self.logger.log_table("summary", columns=table.columns, data=cells)
            for figure in figures:
                self.logger.log_image(f"figures/{figure.stem}", [str(figure)])
        except Exception as error:  # a logger must never cost a run
            log.warning("the logger failed and is left out: %s", error)

    def close(self) -> None:
        """End the run at the logger's."""
        if self.logger is None:
            return
        try:
            self.logger.finalize("success")
            if isinstance(self.logger, WandbLogger):
                self.logger.experiment.finish()
        except Exception as error:  # a logger must never cost a run
            log.warning("the logger could not be closed: %s", error)
        self.logger = None


def log_identity(folder: Path, resume: bool) -> str:
    """Return the id of a run at its logger, the same for one that goes on, and remove what was logged: it is logged again."""
    for name in LOGS:
        shutil.rmtree(folder / name, ignore_errors=True)
    path = folder / ".log-id"
    if not (resume and path.is_file()):
        write_atomic(path, secrets.token_hex(8))
    return path.read_text()


def _numbers(table: pl.DataFrame) -> dict[str, float]:
    """Return the numbers of a table of rows, by strategy, scorer and column."""
    found = {}
    for row in table.iter_rows(named=True):
        for column, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                what = f"{column.removesuffix('_deviation')}/deviation" if column.endswith("_deviation") else column
                found[f"{row['strategy']}/{row['scorer']}/{what}"] = float(value)
    return found


def check_logger(options: Config) -> None:
    """Refuse a logger that cannot be started, before a run is paid for that nobody would see.

    Raises:
        GnnrecError: the kind or a key is not known, or its package is not installed.
    """
    kind = str(options["kind"])
    if kind not in KINDS:
        raise GnnrecError(f"logger.kind={one_line(kind)} is not known{nearest(kind, KINDS)}")
    known = _wandb_keys() if kind == "wandb" else []
    for key in options:
        if key not in ("kind", *known):
            allowed = nearest(str(key), known) if known else ": it takes none but kind"
            raise GnnrecError(f"logger={kind} takes no '{one_line(str(key))}'{allowed}")
    if kind == "tensorboard" and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        raise GnnrecError("logger=tensorboard needs a package: pip install tensorboard, or choose logger=csv")
    if kind == "wandb":
        _check_wandb(options)


def _check_wandb(options: Config) -> None:
    for key, kind in (("project", str), ("name", str | None), ("group", str | None), ("tags", list[str])):
        if key in options:
            fitting(options[key], kind, f"logger.{key}")
    fitting(options.get("offline"), bool | None, "logger.offline")
    _offline(options)


def _wandb_keys() -> list[str]:
    """Return what may be passed on to W&B; what a run sets itself is not among it."""
    import wandb

    ours = {
        "self",
        "kwargs",
        "save_dir",
        "dir",
        "config",
        "reinit",
        "mode",
        "experiment",
        "job_type",
        "anonymous",
        "version",
    }
    known = [*signature(WandbLogger.__init__).parameters, *signature(wandb.init).parameters]
    return [k for k in dict.fromkeys(known) if k not in ours]


def _offline(options: Config) -> bool | None:
    """Return whether W&B writes to disk alone; None: the environment has switched it off."""
    mode = os.environ.get("WANDB_MODE", "").strip().lower()
    if mode == "disabled" or os.environ.get("WANDB_DISABLED", "").strip().lower() in ("true", "1"):
        return None
    if (given := options.get("offline")) is not None:
        return bool(given)
    if mode not in _MODES:
        raise GnnrecError(f"WANDB_MODE={one_line(mode)} is not known{nearest(mode, [m for m in _MODES if m])}")
    return _MODES[mode]


def _make(config: Config, row: str, folder: Path, identity: str | None, name: str | None = None) -> Logger | None:
    options = dict(config["logger"])
    check_logger(options)
    kind = str(options.pop("kind"))
    if kind == "wandb":
        options = {"id": identity, **options, "name": name or options.get("name")}
    made: Logger | None = KINDS[kind](config, row, folder, options)
    return made


def _csv(config: Config, row: str, folder: Path, options: dict[str, Any]) -> Logger:
    return CSVLogger(str(folder), name="", version="csv")


def _tensorboard(config: Config, row: str, folder: Path, options: dict[str, Any]) -> Logger:
    return TensorBoardLogger(str(folder), name="", version="tensorboard")


def _wandb(config: Config, row: str, folder: Path, options: dict[str, Any]) -> Logger | None:
    offline = _offline(options)
    if offline is None:
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_CONSOLE", "off")
    tags = [str(config["name"]), row, *(options.pop("tags", None) or [])]
    own: dict[str, Any] = {
        "name": options.pop("name", None) or f"{row}-seed{config['seed']}",
        "group": options.pop("group", None) or str(config["name"]),
        "offline": offline,
    }
    options.pop("offline", None)
    logger = WandbLogger(
        save_dir=str(folder),
        job_type=row,
        tags=tags,
        config=dict(config),
        reinit="finish_previous",
        **own,
        **options,
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning always passes it, and wandb warns of it on every run
    logger.experiment.define_metric("*", step_metric="increment")
    return logger


def _none(config: Config, row: str, folder: Path, options: dict[str, Any]) -> None:
    return None


KINDS: dict[str, Callable[[Config, str, Path, dict[str, Any]], Logger | None]] = {
    "none": _none,
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
"""How each kind of logger is made."""
_MODES = {"": True, "offline": True, "dryrun": True, "online": False, "run": False, "shared": False}
"""Values of WANDB_MODE, and whether they mean offline."""
