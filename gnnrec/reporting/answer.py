"""The answer in at most four plain sentences, a line each, for somebody who has never read the protocol.

What to serve; how retraining from scratch stands to it and at what cost; from which price that pays; what could not be told.
"""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.bootstrap import FEWEST
from gnnrec.evaluation.noninferiority import MARGIN
from gnnrec.evaluation.pairs import Key
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR, FULL
from gnnrec.reporting.tables import FEW, NA, number, short
from gnnrec.reporting.verdicts import SummaryRow, Verdicts, key_of, name_of
from gnnrec.reporting.worth.columns import full_of
from gnnrec.reporting.worth.criterion import metric_of

_SAID = {"not shown": "not shown", "untested": "untested", "here": "shown for these increments and seeds alone"}
"""What stands behind an interval that says less than it may seem to."""
_OPEN = {"not shown": "", "untested": "", "here": " beyond these increments and seeds"}
"""What is open of a pair that is not shown to differ."""
NOTHING = "No row of this table has a recall or an error on the next increment: nothing can be compared."


def best_row(summary: pl.DataFrame, k: int = 20) -> Key | None:
    """Return strategy and scorer of the trained row with the highest recall@k of all users; None where there is none."""
    best = _best(_trained(summary.rows(named=True)), f"recall@{k}_all")
    return None if best is None else key_of(best)


def lowest_error(summary: pl.DataFrame) -> Key | None:
    """Return strategy and scorer of the row with the lowest MSE, trained or not; None where no row predicts values."""
    rows = [r for r in summary.rows(named=True) if r["scorer"] != "blend" and r["strategy"] != "oracle"]
    best = _best(rows, ERROR)
    return None if best is None else key_of(best)


def best_counter(summary: pl.DataFrame, metric: str) -> SummaryRow | None:
    """Return the best row that trains nothing, by a column that rows are compared by; None: none was scored by it."""
    rows = summary.filter(pl.col("scorer") == REFERENCE, pl.col("strategy") != "oracle").rows(named=True)
    return _best(rows, metric)


def answer(summary: pl.DataFrame, significance: pl.DataFrame | None = None, k: int = 20) -> str:
    """Return at most four sentences, a line each, that claim no more than the tests of the pairs carry.

    Args:
        summary: gnnrec.evaluation.results.summary, with the columns of gnnrec.reporting.worth.columns where they are known.
        significance: of gnnrec.evaluation.significance; None: nothing was tested.
        k: cut-off. Rows are compared by recall of it, or by MSE (`gnnrec.reporting.worth.criterion`).
    """
    rows, verdicts = _comparable(summary, significance, k)
    best = _to_serve(rows, verdicts)
    return NOTHING if best is None else _Said(rows, verdicts, k, best).text()


def to_serve(summary: pl.DataFrame, significance: pl.DataFrame | None = None, k: int = 20) -> SummaryRow | None:
    """Return the row to serve: the best, trained or not; where that is full retraining, the cheapest shown to be as good.

    As good as that row: a row of its scorer, or one that trains nothing, which is cheaper than all that do. Of equal rows the
    one that trains nothing is taken. None where no row has a recall or an error. Arguments as of `answer`.
    """
    return _to_serve(*_comparable(summary, significance, k))


def _comparable(summary: pl.DataFrame, significance: pl.DataFrame | None, k: int) -> tuple[list[SummaryRow], Verdicts]:
    """Return the rows that can be served, and what is said of them by what rows are compared by."""
    rows = [r for r in summary.rows(named=True) if r["strategy"] != "oracle"]  # which knows the truth, and is no choice
    verdicts = Verdicts(significance, metric_of(summary, k))
    # A blend predicts what its model does, and its errors are not tested for themselves.
    return [r for r in rows if verdicts.metric != ERROR or r["scorer"] != "blend"], verdicts


def _to_serve(rows: list[SummaryRow], verdicts: Verdicts) -> SummaryRow | None:
    choices = sorted(rows, key=lambda r: r["scorer"] != REFERENCE)
    best = _best(choices, verdicts.metric)
    if best is None or best["strategy"] != FULL:
        return best
    level = [r for r in choices if _cheaper(r, best) and verdicts.as_good(r, best)[0] == "yes"]
    found = _best([r for r in level if r["scorer"] == REFERENCE], verdicts.metric)
    return found or min(level, key=lambda r: float(r["seconds_per_update"]), default=best)


def _cheaper(row: SummaryRow, full: SummaryRow) -> bool:
    """Return whether a row is known to cost less than full retraining under its scorer: by seconds, or as it trains nothing."""
    return row["scorer"] == REFERENCE or (row["scorer"] == full["scorer"] and (row["vs_full"] or 0) > 1)


class _Said:
    """The sentences about one table by one metric."""

    def __init__(self, rows: list[SummaryRow], verdicts: Verdicts, k: int, best: SummaryRow) -> None:
        self.verdicts, self.k, self.metric, self.error = verdicts, k, verdicts.metric, verdicts.metric == ERROR
        self.rows, self.best = rows, best

    def text(self) -> str:
        """Return the sentences, a line each."""
        row: SummaryRow | None = self.best
        other = full_of(self.rows, self.best, self.metric)
        if self.best["strategy"] == FULL:
            like = [r for r in _trained(self.rows) if _cheaper(r, self.best)]
            row, other = _best(like, self.metric), self.best
        lines = [self._serve(), self._beside(row, other), self._price(row, other), self._open(row, other)]
        return "\n".join(line for line in lines if line)

    def _serve(self) -> str:
        """What to serve, and how it stands to the best row of the other kind: trained or not."""
        trained, other = self.best["scorer"] != REFERENCE, self._other()
        if trained and self.best.get("model_off") == 1:
            stands = "" if other is None else f" ({name_of(other)} alone finds {self._apart(other, self.best)})"
            return f"The model adds nothing here: serve popularity and co-occurrence{stands}."
        text = (
            f"the squared error of what it predicts is {number(self.best[ERROR], 4)} on average"
            if self.error
            else f"its first {self.k} suggestions hold {self.best[self.metric]:.1%} of what a user takes next"
        )
        kind = "the best that trains nothing" if trained else "the best that is trained"
        beside = "" if other is None else f", {self._apart(self.best, other, named=True)}, {kind}"
        return f"Serve {name_of(self.best)}: {text}{beside}."

    def _other(self) -> SummaryRow | None:
        """Return the best row of the other kind: trained where the one to serve is not."""
        trained = self.best["scorer"] != REFERENCE
        return _best([r for r in self.rows if (r["scorer"] == REFERENCE) == trained], self.metric)

    def _beside(self, row: SummaryRow | None, full: SummaryRow | None) -> str:
        """How retraining from scratch stands to the row, at what cost, and whether it is shown that the row is as good."""
        if full is None:
            return f"How far it is from retraining from scratch is {NA}: {FULL} has no result here."
        if row is None:
            like = [r for r in _trained(self.rows) if r["scorer"] == full["scorer"] and r is not full]
            if any(r["vs_full"] is None for r in like):
                return f"It is retraining from scratch, and what is cheaper is {NA}: seconds do not compare here."
            seconds = _seconds(full)
            return (
                "It is retraining from scratch, and no trained row is cheaper"
                f"{'' if seconds == NA else f' ({seconds} an update)'}."
            )
        finds = "errs by" if self.error else "finds"
        head = "Retraining from scratch"
        if self.best is full:
            head = f"That is retraining from scratch: beside {name_of(row)}, the best of what is cheaper, it"
        known = {
            "yes": f"; that {name_of(row)} is at least as good, within {100 * MARGIN:g} %, is shown",
            "no": f"; {name_of(row)} is shown not to be as good within {100 * MARGIN:g} %",
        }.get(self.verdicts.as_good(row, full)[0], "")
        return f"{head} {finds} {self._apart(full, row)}{_cost(row, full)}{known}."

    def _price(self, row: SummaryRow | None, full: SummaryRow | None) -> str:
        if full is None or row is None:
            return ""
        value, low, high = (row.get(f"retrain_price{end}") for end in ("", "_low", "_high"))
        by = "" if self.verdicts.standing(row, full) in ("shown", "equal") else "by the means, "
        if value is not None:
            span = " (untested)" if low is None or high is None else f" ({short(low)} to {short(high)})"
            return (
                f"Each second that retraining from scratch takes longer brings about {short(value)} more right "
                f"suggestions{span}: it pays where a second costs less than that."
            )
        if row.get("retrain_pays") == "never":
            most = "" if high is None else f" (at most {short(high)} a second would be in its interval)"
            return f"Retraining from scratch pays at no price: {by}it costs more and brings no more right suggestions{most}."
        if row.get("retrain_pays") == "any":
            return f"Retraining from scratch pays at any price: {by}it costs no more and finds no less."
        return f"From which price retraining from scratch pays is {NA}: {self._why(row, full)}."

    def _why(self, row: SummaryRow, full: SummaryRow) -> str:
        if self.error:
            return "it is told by recall, and rows are compared by their squared error"
        if row["seconds_per_update"] is None or full["seconds_per_update"] is None:
            why = (
                "what trains nothing has no seconds per update"
                if row["scorer"] == REFERENCE
                else "no seconds are known"
            )
            return why
        if row["vs_full"] is None:
            return "the seconds do not compare"
        return "it costs no more, and finds less" if (row["vs_full"] or 0) <= 1 else "the events are not known"

    def _open(self, row: SummaryRow | None, full: SummaryRow | None) -> str:
        """What could not be told."""
        best, other, found = self.best, self._other(), list[str]()
        if other is not None and (open_ := _OPEN.get(self.verdicts.standing(best, other))) is not None:
            ahead = (best[self.metric] >= other[self.metric]) != self.error
            found.append(
                f"whether {name_of(best)} is any {'better' if ahead else 'worse'} than {name_of(other)}{open_}"
            )
        if row is not None and full is not None:
            good, would = self.verdicts.as_good(row, full)
            if good in ("cannot tell", "untested"):
                tells = f" ({would} would tell)" if would else " (untested)" if good == "untested" else ""
                found.append(f"whether {name_of(row)} is as good as retraining within {100 * MARGIN:g} %{tells}")
            if self.verdicts.standing(row, full) == "here":
                found.append("whether the difference to retraining is there beyond these increments and seeds")
        if any(r["seeds"] == 1 for r in _trained(self.rows)):
            found.append("what other seeds give (one ran)")
        if (ran := best["increments"]) < FEWEST:
            found.append(f"what other increments give ({ran} ran, {FEWEST} are the least)")
        users = best.get("users_all")
        if users and ran and users / ran < FEW:
            found.append(f"much at all, with about {users / ran:.0f} users an increment")
        return f"Not told: {'; '.join(found)}." if found else ""

    def _apart(self, a: SummaryRow, b: SummaryRow, named: bool = False) -> str:
        """Return by how much a is above b, and its interval: "0.40 points more than b (0.10 to 0.70)"."""
        gap, said = a[self.metric] - b[self.metric], self.verdicts.standing(a, b)
        if said == "equal":
            return f"exactly as much{f' as {name_of(b)}' if named else ''} for every user"
        low, high = self.verdicts.interval(a, b)
        if gap < 0 and low is not None and high is not None:
            low, high = -high, -low
        span = [] if low is None or high is None else [f"{self._amount(low)} to {self._amount(high)}"]
        told = ", ".join([*span, *([_SAID[said]] if said in _SAID else [])])
        name = f" than {name_of(b)}" if named else ""
        return (
            f"{self._amount(abs(gap))}{'' if self.error else ' points'} {'less' if gap < 0 else 'more'}{name} ({told})"
        )

    def _amount(self, value: float) -> str:
        return number(value, 4) if self.error else number(100 * value, 2)


def _seconds(row: SummaryRow) -> str:
    value = row["seconds_per_update"]
    return NA if number(value, 2) == NA else f"{value:,.2f} s" if value >= 0.1 else f"{short(value)} s"


def _cost(row: SummaryRow, full: SummaryRow) -> str:
    one, other = _seconds(full), _seconds(row)
    if NA in (one, other):
        return f"; its seconds are {one}" if one == NA else f" and takes {one} an update"
    # Of the seconds that are said: the table has the mean of each seed's.
    known = row["vs_full"] is not None
    how = f", {short(full['seconds_per_update'] / row['seconds_per_update'])} times as long" if known else ""
    return f" and takes {one} an update against {other}{how}"


def _trained(rows: list[SummaryRow]) -> list[SummaryRow]:
    return [r for r in rows if r["scorer"] != REFERENCE]


def _best(rows: list[SummaryRow], metric: str) -> SummaryRow | None:
    have = [r for r in rows if r.get(metric) is not None and r[metric] == r[metric]]
    if metric == ERROR:
        return min(have, key=lambda r: float(r[metric]), default=None)
    return max(have, key=lambda r: float(r[metric]), default=None)
