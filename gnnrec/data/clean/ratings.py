"""What a cell of the rating column is worth: a number as it is, an action by its weight, a quantity by its logarithm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.clean.cells import number, spelt

Bounds = tuple[float, float]
QUANTITY = ("log2",)


@dataclass(frozen=True, slots=True)
class Valuation:
    """How cells become values; without any field set, numbers stay as they are.

    Attributes:
        weights: text of a cell → value, where cells name actions; every other cell is set aside as `unknown_action`.
        quantity: "log2": a quantity q ≥ 0 becomes log2(1 + q), so that 1 stays 1 and bulk orders do not drown the rest.
        scale: lowest and highest number that is possible.
        rescale: what `scale` is stretched to.
    """

    weights: Mapping[str, float] | None = None
    quantity: str | None = None
    scale: Bounds | None = None
    rescale: Bounds | None = None

    @property
    def reason(self) -> str:
        """Why a cell without a value is set aside."""
        return "bad_rating" if self.weights is None else "unknown_action"

    @property
    def weighs(self) -> bool:
        """Whether values are weights of implicit events rather than ratings."""
        return self.weights is not None or self.quantity is not None

    @property
    def bounds(self) -> Bounds | None:
        """Lowest and highest value, where they are declared."""
        return self.rescale or (None if self.weighs else self.scale)

    def read(self, cell: pl.Expr, decimal: str = ".") -> pl.Expr:
        """Return the number in each cell of text; null or not finite where there is none."""
        if self.weights is not None:
            names = cell.str.strip_chars()
            return names.replace_strict(dict(self.weights), default=None, return_dtype=pl.Float64)
        found = number(cell, decimal)
        return found if self.quantity is None else pl.when(found >= 0).then(found)

    def finish(self, number: pl.Expr) -> pl.Expr:
        """Return the value of each number that was found possible."""
        if self.quantity is not None:
            return number.log1p() / math.log(2)
        if self.rescale is None or self.scale is None:
            return number
        (low, high), (least, most) = self.scale, self.rescale
        return least + (number - low) * ((most - least) / (high - low))


def make_valuation(
    weights: Mapping[object, object] | None,
    quantity: str | None,
    scale: Sequence[float] | None,
    rescale: Sequence[float] | None,
) -> Valuation:
    """Check the user's settings and return them as `Valuation`."""
    bounds, stretched = _bounds("scale", scale), _bounds("rescale", rescale)
    if stretched is not None and bounds is None:
        raise GnnrecError("data.rescale needs data.scale, the lowest and highest rating of the file")
    if quantity is not None and quantity not in QUANTITY:
        raise GnnrecError(f"data.quantity={quantity} is not a choice{nearest(str(quantity), QUANTITY)}")
    ways = {"weights": weights, "quantity": quantity, "rescale": rescale}
    used = [name for name, way in ways.items() if way is not None]
    if len(used) > 1:
        raise GnnrecError(f"data.{' and data.'.join(used)} exclude each other; set one")
    return Valuation(None if weights is None else _weights(weights), quantity, bounds, stretched)


def _weights(weights: Mapping[object, object]) -> dict[str, float]:
    found: dict[object, float] = {}
    for action, weight in weights.items():
        if not isinstance(weight, int | float) or not math.isfinite(weight) or weight <= 0:
            raise GnnrecError(
                f"data.weights: '{action}' weighs {weight}; give a number above 0, or leave the action out"
            )
        found[action] = float(weight)
    return spelt(found)


def _bounds(key: str, given: Sequence[float] | None) -> Bounds | None:
    if given is None:
        return None
    try:
        bounds = [float(x) for x in given]
    except (TypeError, ValueError):
        bounds = []
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise GnnrecError(f"data.{key}={given} is not [lowest, highest]; write for example data.{key}=[1,5]")
    return bounds[0], bounds[1]
