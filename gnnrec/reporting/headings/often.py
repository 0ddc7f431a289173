"""4. How often should I update? What policies served, what waiting loses, and what retraining has cost."""

from __future__ import annotations

import polars as pl

from gnnrec.reporting import page, tables
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.worth.spending import ROW, cumulative

MOST = 12
"""Increments whose sums of seconds stand in a table; of more every so many."""


def often(content: PageContent) -> str:
    """Return policies by what they served, the figure of staleness, and what updates have cost together."""
    return _policies(content) + content.figure("staleness") + _spent(content)


def _policies(content: PageContent) -> str:
    results = content.results
    waits = None if results is None else results.filter(split="policy", metric="waits")
    if results is None or waits is None or not waits.height:
        return page.small(
            "Every row was updated with every increment, so what was served at other intervals is n/a: "
            "compare policies=[every,{every_n: {n: 4}}] sets them beside each other."
        )
    counted = waits.filter(pl.col("trained_to") >= content.first).group_by(ROW).agg(waited=pl.len())
    timed = results.filter(split="cost", metric="seconds").filter(pl.col("trained_to") >= content.first)
    spent = timed.group_by(ROW, maintain_order=True).agg(
        n=pl.len(), seeds=pl.col("seed").n_unique(), s=pl.col("value").sum()
    )
    rows = content.summary.join(spent, on=ROW, maintain_order="left").join(
        counted, on=ROW, how="left", maintain_order="left"
    )
    lines = [
        page.row(
            [
                *(r["strategy"], r["scorer"]),
                f"{(r['n'] - (r['waited'] or 0)) / r['seeds']:.1f} of {r['n'] / r['seeds']:.0f}",
                tables.cell(r[content.metric], r.get(f"{content.metric}_deviation"), 4),
                tables.number(r["s"] / r["seeds"], 1),
            ]
        )
        for r in rows.sort(content.metric, descending=True, nulls_last=True).iter_rows(named=True)
    ]
    heads = ["strategy", "scorer", "updates", f"recall@{content.k} served", "seconds in all"]
    return page.grid(
        heads, lines, caption="What was served, by whatever had been updated by then; the same increments for all"
    )


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
