"""Which column is the user, the item, the rating and the time: declared, or found among common names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from gnnrec.core.errors import GnnrecError, nearest, one_line

ROLES = ("user", "item", "rating", "time", "title")
_COMMON: dict[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid", "customerid", "customer", "reviewerid", "memberid", "member", "visitorid",
             "accountid", "profileid", "personid", "clientid", "users", "u"),
    "item": ("item", "itemid", "iid", "movieid", "movie", "stockcode", "product", "productid", "asin", "parentasin",
             "bookid", "isbn", "articleid", "trackid", "songid", "artistid", "businessid", "venueid", "locationid",
             "clickarticleid", "newsid", "sku", "items", "i"),
    "rating": ("rating", "ratings", "value", "stars", "score", "overall", "preference", "weight", "bookrating", "r"),
    "time": ("timestamp", "time", "datetime", "date", "unixtime", "unixreviewtime", "unixtimestamp", "invoicedate",
             "eventtime", "createdat", "reviewtime", "clicktimestamp", "ts", "t"),
}  # fmt: skip
_LONG = {name for names in _COMMON.values() for name in names if len(name) > 1}
_ABSENT = {"none", "no", "false"}
_DIGITS = re.compile(r"-?\d[\d.,:/ TZ+-]*")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
EARLIEST_SECONDS = 1e8
"""Numbers below are no seconds of an event: 1973 is before the first log."""


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def names_columns(fields: Sequence[str], known: Collection[str]) -> int:
    """Return how many of these fields are declared or common names of columns."""
    stripped = [f.strip().strip("\ufeff") for f in fields]
    return sum(f in known or _plain(f.split(":")[0]) in _LONG for f in stripped)


def looks_like_header(fields: Sequence[str], known: set[str], doubtful: bool) -> bool:
    """Return whether the first line names columns: it has a declared or common name or, unless doubtful, no number."""
    stripped = [f.strip() for f in fields]
    return names_columns(stripped, known) > 0 or (not doubtful and not any(map(_is_value, stripped)))


def _is_value(text: str) -> bool:
    """Return whether a text is a number, with a decimal comma too, or a date in digits."""
    try:
        float(text)
    except ValueError:
        return _DIGITS.fullmatch(text) is not None
    return True


def _is_time(text: str) -> bool:
    try:
        return abs(float(text)) >= EARLIEST_SECONDS
    except ValueError:
        return _DATE.match(text) is not None


def check_declared(declared: Mapping[str, object]) -> dict[str, str | int | bool | None]:
    """Return the declared columns by role.

    Raises:
        GnnrecError: a role that does not exist.
    """
    if not isinstance(declared, Mapping):
        raise GnnrecError(
            f"data.columns={one_line(str(declared))} is no mapping; write data.columns.user=NAME and the like"
        )
    for role in declared:
        if role not in ROLES:
            raise GnnrecError(f"data.columns.{role} is not a role{nearest(str(role), ROLES)}")
    return {role: declared.get(role) for role in ROLES}  # type: ignore[misc]


def resolve(
    file: str, names: Sequence[str], headerless: bool, first: Mapping[str, str], declared: Mapping[str, object]
) -> tuple[dict[str, str | None], list[str]]:
    """Return the column of each role (None: absent) and notes on what was inferred."""
    guesses = _by_position(names, first) if headerless else _by_name(names)
    chosen: dict[str, str | None] = {}
    notes: list[str] = []
    for role in ROLES:
        wish = declared.get(role)
        if wish is False or (isinstance(wish, str) and wish.lower() in _ABSENT and wish not in names):
            chosen[role] = None
        elif wish is not None:
            chosen[role] = find(file, names, str(wish), f"data.columns.{role}")
        else:
            chosen[role] = guesses.get(role)
            if chosen[role] is not None and not headerless and _plain(str(chosen[role])) != role:
                notes.append(f"{file}: {role} is column '{one_line(str(chosen[role]))}' (inferred)")
    if headerless:
        order = ", ".join(f"{role} {name}" for role, name in chosen.items() if name is not None)
        notes.append(f"{file} has no header: columns by position from 0: {order}")
    for role in ("user", "item"):
        if chosen[role] is None:
            found = _listed(names)
            raise GnnrecError(
                f"{file}: no column for the {role} (found: {found}); set data.columns.{role}=NAME, "
                "or data.header=false if the first line is a row"
            )
    return chosen, notes


def find(file: str, names: Sequence[str], wish: str, key: str) -> str:
    """Return `wish` if the file has that column.

    Raises:
        GnnrecError: it has not; lists the columns and the nearest.
    """
    if wish in names:
        return wish
    near = nearest(wish, names)
    hint = near if near.startswith("; did") else ""
    raise GnnrecError(f"{file}: {key}={one_line(wish)} is not a column (found: {_listed(names)}){one_line(hint)}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(n) or "''" for n in names[:20])
    return shown + (f", and {len(names) - 20} more" if len(names) > 20 else "")


def _by_name(names: Sequence[str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    letters = {"u", "i"} <= set(plain)  # a lone column "t" says nothing; u, i, r, t together do
    found = {}
    for role, common in _COMMON.items():
        hit = next((plain[c] for c in common if c in plain and (letters or len(c) > 1)), None)
        if hit is not None:
            found[role] = hit
    return found


def _by_position(names: Sequence[str], first: Mapping[str, str]) -> dict[str, str]:
    third, fourth = (first.get(names[k], "") if len(names) > k else "" for k in (2, 3))
    # Events come as user, item, time, or with the rating last, too.
    timed = _is_time(third) and not _is_time(fourth)
    roles = ["user", "item", "time", "rating"] if timed and len(names) < 5 else ["user", "item", "rating", "time"]
    return dict(zip(roles, names, strict=False))
