"""RecBole's atomic files written: NAME.inter, NAME.user, NAME.item, benchmark splits, and the YAML that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic
from gnnrec.interop.extract import Extract

USER, ITEM, RATING, TIME = "user_id", "item_id", "rating", "timestamp"
PADDING = "[PAD]"
"""RecBole's own id 0 of users and items; real ones begin at 1."""
BUNDLED = "ml-100k"
"""Of this name RecBole reads what it brings along, wherever the files lie."""
MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""What pandas, by which RecBole reads, takes for a missing cell: such an id would become the padding."""


def write_recbole(extract: Extract, folder: Path, more: Mapping[str, Any] | None = None) -> list[Path]:
    """Write an extract as RecBole's atomic files into a folder, whose name is the data set's, and return the files.

    One part becomes NAME.inter, several NAME.train.inter, NAME.valid.inter, NAME.test.inter. `NAME.yaml` beside them has what
    RecBole needs to read and score them: `run_recbole(model=…, config_file_list=["NAME.yaml"])`, started where this was.

    Args:
        extract: what is written.
        folder: DATA_PATH/NAME, made where there is none.
        more: further keys of RecBole's configuration.

    Raises:
        GnnrecError: the folder has the name of a data set that RecBole brings along or cannot be written, or an id would be
            read as another one.
    """
    name = folder.resolve().name
    if name == BUNDLED:
        raise GnnrecError(
            f"RecBole reads a copy of its own under the name {name}, whatever data_path says; name the folder otherwise"
        )
    rated = extract.explicit or any((p["value"] != 1).any() for p in extract.parts.values())
    contents = {
        f"{name}.{part}.inter" if part else f"{name}.inter": _inter(p, rated) for part, p in extract.parts.items()
    }
    for suffix, key, known in (("user", "user", extract.users), ("item", "item", extract.items)):
        if known is not None and known.height:
            contents[f"{name}.{suffix}"] = _side(known.rename({key: f"{key}_id"}), f"{key}_id")
    for frame in contents.values():
        _check_ids(frame)
    texts = {file: _text(frame) for file, frame in contents.items()}
    texts[f"{name}.yaml"] = _yaml(extract, folder, contents, dict(more or {}))
    try:
        for file, text in texts.items():
            write_atomic(folder / file, text)
    except OSError as error:
        raise GnnrecError(f"{folder} cannot be written: {error.strerror}; choose another folder") from error
    return [folder / file for file in texts]


def _inter(events: pl.DataFrame, rated: bool) -> pl.DataFrame:
    columns = {USER: pl.col("user"), ITEM: pl.col("item"), **({RATING: pl.col("value")} if rated else {})}
    if "time" in events.columns:
        columns[TIME] = pl.col("time").dt.epoch("us") / 1e6
    return events.select(**columns)


def _side(known: pl.DataFrame, key: str) -> pl.DataFrame:
    return known.select(key, *(n for n in known.columns if n != key))


def _check_ids(frame: pl.DataFrame) -> None:
    """Refuse ids that RecBole would read as something else, or as nothing."""
    for name in (n for n in (USER, ITEM) if n in frame.columns):
        ids = frame[name].unique()
        odd = ids.filter(ids.is_in([*MISSING, PADDING]) | ids.str.contains(r"[\t\r\n]"))
        if len(odd):
            shown = one_line(odd.sort()[0])
            raise GnnrecError(
                f"RecBole cannot tell the {name} '{shown}' from a missing cell, its padding or a separator; rename it in the "
                "log, or write another format"
            )


def _text(frame: pl.DataFrame) -> str:
    """Return the file: fields between tabs under a header of NAME:TYPE, lists with blanks between their words."""
    frame = frame.select(_cells(name, kind) for name, kind in frame.schema.items())
    return frame.write_csv(separator="\t", null_value="")


def _cells(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Array):
        column, kind = column.arr.to_list(), pl.List(kind.inner)
    if isinstance(kind, pl.List):
        words = column.list.eval(pl.element().cast(pl.String).str.replace_all(r"\s+", "_"))
        return words.list.join(" ").alias(f"{name}:{'float_seq' if kind.inner.is_numeric() else 'token_seq'}")
    if kind.is_numeric():
        return column.alias(f"{name}:float")
    return column.cast(pl.String).str.replace_all(r"[\t\r\n]+", " ").alias(f"{name}:token")


def _yaml(extract: Extract, folder: Path, files: Mapping[str, pl.DataFrame], more: dict[str, Any]) -> str:
    columns = {Path(file).suffix[1:]: frame.columns for file, frame in files.items()}
    split = [part for part in extract.parts if part]
    items = pl.concat([frame.select(ITEM) for frame in files.values() if ITEM in frame.columns])[ITEM].n_unique()
    order = (
        "TO" if TIME in columns["inter"] else "RO"
    )  # by time, all users together: nothing is trained on that came later
    known: dict[str, Any] = {
        "dataset": folder.resolve().name,
        "data_path": str(folder.parent),
        "USER_ID_FIELD": USER,
        "ITEM_ID_FIELD": ITEM,
        **({"RATING_FIELD": RATING} if RATING in columns["inter"] else {}),
        **({"TIME_FIELD": TIME} if TIME in columns["inter"] else {}),
        "load_col": columns,
        **({"benchmark_filename": split} if split else {}),
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": order, "group_by": "none", "mode": "full"},
        "repeatable": extract.repeatable,
        "metrics": ["Recall", "NDCG"],
        # RecBole fails on lists that are longer than there are items.
        "topk": (topk := [k for k in (10, 20, 50) if k <= items] or [items]),
        "valid_metric": f"NDCG@{20 if 20 in topk else topk[-1]}",
        "metric_decimal_place": 8,
    }
    ignored = "# eval_args.split is not used: the files are the split.\n" if split else ""
    return ignored + str(yaml.safe_dump(known | more, sort_keys=False, allow_unicode=True))
