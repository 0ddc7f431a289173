"""Where a run's curves go: Weights & Biases (offline by default), CSV, TensorBoard, or nowhere.

`increment` is the step axis: each fit has a Trainer of its own, whose global step starts again at 0.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.evaluation.record import Record

log = logging.getLogger(__name__)
LOGS = ("csv", "tensorboard", "wandb")
"""Folders that loggers write to, in the folder of a run."""
NEXT = ("recall@20", "ndcg@20", "mse")
Config = Mapping[str, Any]


class Tracker:
    """Sends one run's numbers to a Lightning logger; a logger that fails is warned of once and left alone.

    Args:
        logger: Lightning's, or None for nowhere.
    """

    def __init__(self, logger: Logger | None) -> None:
        self.logger = logger

    @staticmethod
    @contextmanager
    def open(config: Config, row: str, folder: Path, identity: str | None = None) -> Iterator[Tracker]:
        """Yield the tracker of a run and close it whatever happens, so that the next run gets one of its own.

        One that goes on has the `identity` it had, and takes its place at the logger.
        """
        tracker = Tracker(None)
        try:
            tracker.logger = _make(config, row, folder, identity)
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
        results = pl.concat(record.results).filter(pl.col("trained_to") == t, pl.col("segment") == "all")
        values = {
            f"{split}/{scorer}/{metric}": value
            for scorer, split, metric, value in results.select("scorer", "split", "metric", "value").rows()
            if (split == "next" and metric in NEXT) or (split == "cost" and metric in ("seconds", "steps"))
        }
        values |= {f"fit/{m}": value for m, value in results.filter(split="fit").select("metric", "value").rows()}
        self.log(values, t)

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
        """Log a comparison's figures and table, where the logger has a place for them."""
        if not isinstance(self.logger, WandbLogger):
            return
        try:
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


def _make(config: Config, row: str, folder: Path, identity: str | None) -> Logger | None:
    options = dict(config["logger"])
    kind = str(options.pop("kind"))
    makers = {
        "none": lambda: None,
        "csv": lambda: CSVLogger(str(folder), name="", version="csv"),
        "tensorboard": lambda: TensorBoardLogger(str(folder), name="", version="tensorboard"),
        "wandb": lambda: _wandb(config, row, folder, {"id": identity, **options}),
    }
    if kind not in makers:
        raise GnnrecError(f"logger.kind={kind} is not known{nearest(kind, makers)}")
    made: Logger | None = makers[kind]()  # type: ignore[no-untyped-call]
    return made


def _wandb(config: Config, row: str, folder: Path, options: dict[str, Any]) -> WandbLogger:
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_CONSOLE", "off")
    tags = [str(config["name"]), row, *options.pop("tags", [])]
    logger = WandbLogger(
        name=f"{row}-seed{config['seed']}",
        save_dir=str(folder),
        group=str(config["name"]),
        job_type=row,
        tags=tags,
        config=dict(config),
        reinit="finish_previous",
        **options,
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning always passes it, and wandb warns of it on every run
    logger.experiment.define_metric("*", step_metric="increment")
    return logger
