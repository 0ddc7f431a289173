"""8, in part. What five users are shown: the row to serve beside full retraining, or beside the best that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.pairs import Key
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import page, tables
from gnnrec.reporting.answer import best_counter, best_row, to_serve
from gnnrec.reporting.headings.content import ExampleLists, PageContent
from gnnrec.reporting.verdicts import key_of
from gnnrec.reporting.worth.columns import full_of

MOST = 10
"""Items that a user takes next which are named."""


def lists(content: PageContent) -> str:
    """Return users and their lists under two rows, folded; why there are none, or nothing where that is not known."""
    given = content.lists
    if given is None:
        return ""
    rows = _rows(content, given.frame) if not given.why else []
    if not rows:
        return page.folded("Lists of single users", page.small(given.why or f"{tables.NA}: no row of them ranks."))
    users = (
        given.frame.select("user", "known").unique(maintain_order=True).sort("known", "user", descending=[True, False])
    )
    on = given.frame["evaluated_on"][0]
    note = (
        f"Drawn by a seed among the users of increment {on}, a new one with them where there is one. The first places of their "
        f"lists by models that had absorbed everything up to increment {on - 1}, before they saw increment {on}; hit: the user "
        "takes it in that increment; new: it was not among these places one increment before. The first seed of each row; ties "
        "in one order throughout. Users are numbered, or named by their pseudonyms; examples.parquet tells who they are."
    )
    shown = "".join(_user(given, str(name), bool(known), rows) for name, known in users.iter_rows())
    return page.folded(f"What {users.height} users are shown", page.small(note) + shown)


def _rows(content: PageContent, frame: pl.DataFrame) -> list[Key]:
    """Return the row to serve, and full retraining or the best that trains nothing, of those that have lists."""
    rows, served = content.summary.rows(named=True), to_serve(content.summary, content.tests, content.k)
    full = None if served is None else full_of(rows, served, content.metric)
    counter = best_counter(content.summary, f"recall@{content.k}_all")
    best = best_row(content.summary, content.k)
    keys = [key_of(r) for r in (served, full, counter) if r is not None] + ([best] if best else [])
    there = set(frame.select("strategy", "scorer").iter_rows())
    return [key for key in dict.fromkeys(keys) if key in there][:2]


def _user(given: ExampleLists, name: str, known: bool, rows: Sequence[Key]) -> str:
    taken = [given.titles.get(item, str(item)) for item in given.taken.get(name, ())]
    more = f", and {len(taken) - MOST} more" if len(taken) > MOST else ""
    took = f"Takes next: {'; '.join(taken[:MOST])}{more}." if taken else ""
    kind = "known" if known else "new: nothing of the user was known"
    columns = "".join(_list(given, name, key) for key in rows)
    heading = f"<h3>User {page.text(name)} ({kind})</h3>"
    return f'<div class="user">{heading}{page.small(took)}<div class="pair">{columns}</div></div>'


def _list(given: ExampleLists, name: str, key: Key) -> str:
    """Return the list of a user under a row, and what is no longer in it."""
    strategy, scorer = key
    own = given.frame.filter(user=name, strategy=strategy, scorer=scorer)
    own = own.filter(pl.col("seed").is_null() | (pl.col("seed") == pl.col("seed").min())).sort("rank")
    now, before = (own.filter(pl.col("trained_to") == pl.col("evaluated_on") - back) for back in (1, 2))
    old = dict.fromkeys(before["item"].to_list())
    places = "".join(
        _place(given, row["item"], row["relevant"], row["item"] not in old) for row in now.rows(named=True)
    )
    gone = [given.titles.get(i, str(i)) for i in old if i not in set(now["item"].to_list())]
    heading = one_line(strategy) if scorer == REFERENCE else f"{one_line(strategy)} ({one_line(scorer)})"
    left = page.small(f"No longer there: {'; '.join(gone)}." if gone else "Nothing has left it.")
    listed = f"<ol>{places}</ol>" if places else page.small("Nothing is left to show.")
    return f"<div><h4>{page.text(heading)}</h4>{listed}{left}</div>"


def _place(given: ExampleLists, item: int, hit: bool, new: bool) -> str:
    kind = ' class="hit"' if hit else ""
    return f"<li{kind}>{page.text(given.titles.get(item, str(item)))}{''.join(_tags(hit, new))}</li>"


def _tags(hit: bool, new: bool) -> Iterator[str]:
    yield from (f' <b class="tag">{word}</b>' for word, there in (("hit", hit), ("new", new)) if there)
