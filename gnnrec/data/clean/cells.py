"""What cells of a text stand for: numbers with a decimal point or comma, and the spellings of values in YAML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest

DECIMALS = (".", ",")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_COMMA = r"^-?\d+,\d+$"
_POINT = r"^-?\d*\.\d+$"
_THOUSANDS = r"^-?\d{1,3}(,\d{3})+$"
_GROUPED = r"^-?\d{1,3}(\.\d{3})+(,\d+)?$"


def check_decimal(decimal: str | None) -> str | None:
    """Return the decimal sign.

    Raises:
        GnnrecError: it is neither a point nor a comma.
    """
    if decimal is not None and decimal not in DECIMALS:
        raise GnnrecError(f"data.decimal={decimal} is not a choice{nearest(str(decimal), DECIMALS)}")
    return decimal


def number(cell: pl.Expr, decimal: str = ".") -> pl.Expr:
    """Return the number in each cell of text, null where there is none.

    Args:
        cell: text.
        decimal: what stands before the fraction; under a comma, points part groups of three digits.
    """
    cell = cell.str.strip_chars()
    if decimal == ",":
        grouped, pointed = cell.str.contains(_GROUPED), cell.str.contains(".", literal=True)
        cell = pl.when(grouped).then(cell.str.replace_all(".", "", literal=True)).when(~pointed).then(cell)
        cell = cell.str.replace(",", ".", literal=True)
    return cell.cast(pl.Float64, strict=False)


def decimals(text: pl.Series) -> tuple[int, int]:
    """Return how many cells can only have a decimal comma, and how many a decimal point.

    A comma before three digits may part thousands.
    """
    if text.dtype != pl.String or not text.str.contains(",", literal=True).any():
        return 0, 0
    text = text.drop_nulls().str.strip_chars()
    commas, thousands = text.str.contains(_COMMA), text.str.contains(_THOUSANDS)
    return int((commas & ~thousands).sum()), int(text.str.contains(_POINT).sum())


def spellings(value: object) -> tuple[str, ...]:
    """Return the texts that a value given in YAML may have in a file: true, True, TRUE, yes …; 1 and 1.0."""
    if isinstance(value, bool):
        words = _TRUE if value else _FALSE
        return tuple(s for word in words for s in (word, word.capitalize(), word.upper()))
    if value is None:
        return "null", "None", "NULL"
    if isinstance(value, int | float) and float(value).is_integer():
        return str(value), str(int(value)), f"{int(value)}.0"
    return (str(value),)


def spelt(values: Mapping[object, float]) -> dict[str, float]:
    """Return what each text of a cell is worth, given values by what YAML made of their names.

    A name that was written down once comes back as text: ``true`` then still is the truth value.
    """
    found = {str(name): worth for name, worth in values.items() if not isinstance(name, bool)}
    for name, worth in values.items():
        for text in spellings(_truth(name)):
            found.setdefault(text, worth)
    return found


def _truth(name: object) -> object:
    """Return the truth value or number that a name as text stands for, else the name."""
    if not isinstance(name, str):
        return name
    if name in ("true", "false"):
        return name == "true"
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else name


def all_spellings(values: Iterable[object]) -> tuple[str, ...]:
    """Return the texts that any of these values may have in a file."""
    return tuple(dict.fromkeys(text for value in values for text in spellings(value)))
