"""What can be said of two rows of the table, in words that carry no more than the test of the pair."""

from __future__ import annotations

from typing import Any

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.bootstrap import FEWEST
from gnnrec.evaluation.pairs import Key
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.tables import NA, number

SummaryRow = dict[str, Any]
_TELL = {"increments_to_tell": "increments", "seeds_to_tell": "seeds", "users_to_tell": "users"}


class Verdicts:
    """What can be said of a pair of rows on one metric."""

    def __init__(self, tests: pl.DataFrame | None, metric: str) -> None:
        """Take tested pairs.

        Args:
            tests: of gnnrec.evaluation.significance; None: nothing was tested.
            metric: column of the summary that rows are compared by.
        """
        self.metric, self._better = metric, -1 if metric == ERROR else 1
        rows = [] if tests is None else tests.filter(metric=metric.removesuffix("_all")).rows(named=True)
        self._pairs = {((r["strategy"], r["scorer"]), (r["reference"], r["reference_scorer"])): r for r in rows}

    def say(self, a: SummaryRow, b: SummaryRow) -> str:
        """Return how a stands to b, by name: "better than b by 0.0100 (0.0040 to 0.0160)"."""
        name = name_of(b)
        if a[self.metric] is None or b[self.metric] is None:
            return f"{NA} against {name}"
        test = self._test(a, b)
        if test is None:
            return f"untested against {name} ({_signed(a[self.metric] - b[self.metric])})"
        if test["low"] == test["high"] == 0:
            return f"equal to {name} for every user"
        here, beyond = (self._side(test[f"{wide}low"], test[f"{wide}high"]) for wide in ("", "wide_"))
        span = f"({number(test['low'], 4)} to {number(test['high'], 4)})"
        if not here:
            return f"not shown to differ from {name} {span}"
        if here == beyond:
            span = f"({number(test['wide_low'], 4)} to {number(test['wide_high'], 4)})"
        scope = "" if here == beyond else " on these increments and seeds"
        return f"{here} than {name} by {number(abs(test['difference']), 4)} {span}{scope}"

    def as_good(self, row: SummaryRow, full: SummaryRow) -> tuple[str, str | None]:
        """Return whether a row is at least as good as full retraining (yes, no, cannot tell, untested), and what would tell.

        The second is None where nothing is known to: neither more increments, nor seeds, nor users alone would.
        """
        test = self._pairs.get((key_of(row), key_of(full)))
        if test is None or test["as_good"] is None:
            return "untested", None
        if test["as_good"] != "cannot tell":
            return str(test["as_good"]), None
        if test["wide_low"] is None:
            return "cannot tell", f"no fewer than {FEWEST} increments"
        enough = [f"{test[column]:,} {what}" for column, what in _TELL.items() if test.get(column) is not None]
        return "cannot tell", f"about {' or '.join(enough)}" if enough else None

    def interval(self, a: SummaryRow, b: SummaryRow) -> tuple[float | None, float | None]:
        """Return the interval of a − b that speaks of other increments and seeds, else the one for these; None: untested."""
        if (test := self._test(a, b)) is None:
            return None, None
        wide = "" if test["wide_low"] is None else "wide_"
        return test[f"{wide}low"], test[f"{wide}high"]

    def standing(self, a: SummaryRow, b: SummaryRow) -> str:
        """Return whether it is shown that a and b differ.

        "shown"; "here": for these increments and seeds; "not shown"; "equal": for every user; "untested".
        """
        if (test := self._test(a, b)) is None:
            return "untested"
        if test["low"] == test["high"] == 0:
            return "equal"
        here, beyond = (self._side(test[f"{wide}low"], test[f"{wide}high"]) for wide in ("", "wide_"))
        return "not shown" if not here else "shown" if here == beyond else "here"

    def _side(self, low: float | None, high: float | None) -> str:
        """Return what an interval says; nothing where it is n/a or holds 0."""
        if low is None or high is None or low <= 0 <= high:
            return ""
        return "better" if low * self._better > 0 else "worse"

    def _test(self, a: SummaryRow, b: SummaryRow) -> SummaryRow | None:
        """Return the tested pair as a − b, whichever of the two was the reference."""
        if (row := self._pairs.get((key_of(a), key_of(b)))) is not None:
            return row
        if (row := self._pairs.get((key_of(b), key_of(a)))) is None:
            return None
        turned = {
            "low": "high",
            "high": "low",
            "wide_low": "wide_high",
            "wide_high": "wide_low",
            "difference": "difference",
        }
        return row | {name: None if row[other] is None else -row[other] for name, other in turned.items()}


def key_of(row: SummaryRow) -> Key:
    """Return what a row is told by."""
    return row["strategy"], row["scorer"]


def name_of(row: SummaryRow) -> str:
    """Return a row's name for a sentence."""
    name = one_line(str(row["strategy"]))
    return name if row["scorer"] == REFERENCE else f"{name} ({one_line(str(row['scorer']))})"


def _signed(value: float) -> str:
    text = number(value, 4)
    return text if text.startswith("-") else f"+{text}"
