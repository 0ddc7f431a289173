"""What a rule may look at: one number each of a version's rows, and of what became of all that was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gnnrec.quality.row_counts import RowCounts
from gnnrec.quality.statistics import Statistics, gini, top_share

Measures = Mapping[str, float | None]
MEASURES = (
    *("rows", "log_rows", "rows_ratio", "set_aside_share", "duplicate_share", "repeat_share", "late_share"),
    *("new_user_share", "new_item_share", "density", "mean_user_degree", "mean_item_degree", "user_gini", "item_gini"),
    *("top_user_share", "top_item_share", "top_percent_of_items", "mean_value", "deviation_of_values"),
    *("longest_gap_hours", "hours_since_last", "components"),
)
"""What a rule may look at beside the comparisons."""


def measured(
    new: Statistics,
    components: int,
    counts: RowCounts,
    new_users: int,
    new_items: int,
    past: Sequence[Measures] = (),
    since: float | None = None,
) -> dict[str, float | None]:
    """Return `MEASURES` of a version; None where there is nothing to divide by.

    Args:
        new: its statistics.
        components: connected parts of the graph of its events.
        counts: what became of the rows read.
        new_users, new_items: of it.
        past: measures of the accepted versions, oldest first.
        since: hours between the last event before it and its first.
    """
    users, items = new.users["count"].to_numpy(), new.items["count"].to_numpy()
    aside, read = sum(counts.set_aside.values()), counts.read
    cells = new.users.height * new.items.height
    return {
        "rows": float(new.rows),
        "log_rows": float(np.log(new.rows)) if new.rows else None,
        "rows_ratio": _ratio(new.rows, [float(m.get("rows") or 0) for m in past[1:]]),
        "set_aside_share": _share(aside, read),
        "duplicate_share": _share(counts.duplicate + sum(counts.known.values()), read),
        "repeat_share": _share(counts.repeat, read),
        "late_share": _share(counts.late, new.rows),
        "new_user_share": _share(new_users, new.users.height),
        "new_item_share": _share(new_items, new.items.height),
        "density": _share(new.rows, cells),
        "mean_user_degree": _share(new.rows, new.users.height),
        "mean_item_degree": _share(new.rows, new.items.height),
        "user_gini": gini(users),
        "item_gini": gini(items),
        "top_user_share": _share(float(users.max(initial=0)), new.rows),
        "top_item_share": _share(float(items.max(initial=0)), new.rows),
        "top_percent_of_items": top_share(items),
        "mean_value": new.mean,
        "deviation_of_values": new.deviation,
        "hours_since_last": since,
        "longest_gap_hours": None if new.gap is None else float(new.gap),
        "components": float(components),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _ratio(rows: int, before: Sequence[float]) -> float | None:
    """Return how many times more, or fewer, rows there are than in the middle one of the versions before but the first."""
    usual = float(np.median(before)) if before else 0.0
    return max(rows / usual, usual / rows) if rows and usual else None
