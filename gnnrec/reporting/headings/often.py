"""4. How often should I update? What policies served, what waiting loses, and what retraining has cost."""

from __future__ import annotations

import polars as pl

from gnnrec.reporting import page, tables
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.verdicts import SummaryRow, key_of
from gnnrec.reporting.worth.spending import ROW, cumulative
from gnnrec.reporting.worth.waiting import updates_of

PAYS = (
    "Waiting pays above: the price of a second, in events with a recall of 1 that it must bring back, from which on updating "
    "so seldom pays against the row of the same strategy that is updated most often; any price: by the means it loses nothing."
)
MOST = 12
"""Increments whose sums of seconds stand in a table; of more every so many."""


def often(content: PageContent) -> str:
    """Return policies by what they served, the figure of staleness, and what updates have cost together."""
    return content.figure("waiting") + _policies(content) + content.figure("staleness") + _spent(content)


def _policies(content: PageContent) -> str:
    results = content.results
    if results is None or not results.filter(split="policy", metric="waits").height:
        return page.small(
            "Every row was updated with every increment, so what was served at other intervals is n/a: "
            "compare policies=[every,{every_n: {n: 4}}] sets them beside each other."
        )
    rows = content.summary.join(updates_of(results, content.first), on=ROW, maintain_order="left")
    known = {key_of(r): r for r in content.policies.rows(named=True)}
    lines = [
        page.row(
            [
                *(r["strategy"], r["scorer"], f"{r['updates']:.1f} of {r['of']:.0f}"),
                tables.cell(r[content.metric], r.get(f"{content.metric}_deviation"), 4),
                tables.number(r["spent"], 1),
                *([_pays(known.get(key_of(r)))] if known else []),
            ]
        )
        for r in rows.sort(content.metric, descending=not content.falls, nulls_last=True).iter_rows(named=True)
    ]
    heads = ["strategy", "scorer", "updates", f"{content.called} served", "seconds in all"]
    heads += ["waiting pays above"] if known else []
    what = "What was served, by whatever had been updated by then; the same increments for all"
    return page.grid(heads, lines, caption=what) + page.small(PAYS if known else "")


def _pays(row: SummaryRow | None) -> str:
    """Return the price of a second from which on waiting pays, and its interval."""
    if row is None:
        return tables.NA
    if row["group"] == row["strategy"]:
        return "–"
    low, high = row["price_low"], row["price_high"]
    if row["pays"] is not None:
        most = f" (0 to {tables.short(high)})" if row["pays"] == "any" and high is not None else ""
        return f"any price{most}" if row["pays"] == "any" else "no price"
    if row["price"] is None:
        return tables.NA
    span = "untested" if low is None or high is None else f"{tables.short(low)} to {tables.short(high)}"
    return f"{tables.short(row['price'])} ({span})"


def _spent(content: PageContent) -> str:
    """Return the sums of seconds up to each increment, and when full retraining has cost what all updates of a row have."""
    spent = cumulative(content.results, content.first) if content.results is not None else pl.DataFrame()
    if not spent.height:
        return page.small("What updates have cost together is n/a: no update was timed.")
    steps = sorted(set(spent["increment"].to_list()))
    kept = steps[::-1][:: -(-len(steps) // MOST)][::-1]  # the last, with the sum of all, always
    after = {(r["strategy"], r["scorer"]): r.get("as_much_after") for r in content.summary.rows(named=True)}
    lines = []
    for key, part in spent.group_by(ROW, maintain_order=True):
        sums = dict(part.select("increment", "spent").iter_rows())
        name, scorer = map(str, key)
        n = after.get((name, scorer))
        lines.append(
            page.row([name, scorer, *(tables.number(sums[t], 1) for t in kept), tables.NA if n is None else str(n)])
        )
    heads = ["strategy", "scorer", *(f"to {t}" for t in kept), "full has cost it after"]
    caption = "Seconds of all updates up to an increment; last: after how many full retraining has cost what all of the row has"
    return content.figure("spent") + page.folded(
        "Seconds in all, increment by increment", page.grid(heads, lines, caption=caption)
    )
