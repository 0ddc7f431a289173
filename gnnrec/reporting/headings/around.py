"""5, 6, 8 and 9. Over time, the data, what else was measured, and how to get it again."""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting import page, tables
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.headings.lists import lists
from gnnrec.reporting.verdicts import Verdicts, name_of

SEGMENTS = (
    "known_user, new_user: whether the user had an absorbed event by then; returning_user: known, none in the last increment; "
    "known_item, new_item likewise; head_item, middle_item, tail_item: thirds of the items by absorbed popularity at that time."
)


def over_time(content: PageContent) -> str:
    """Return the small multiples."""
    return content.figure("over_time") or page.small(
        "No figure was drawn: there are no scored increments, or figures=false."
    )


def data(content: PageContent) -> str:
    """Return warnings, drift and sizes."""
    counts = page.folded("Rows, sizes and dirt", page.block(content.data_text)) if content.data_text.strip() else ""
    return page.warnings(content.warnings) + content.figure("data_quality") + counts or page.small(
        "Nothing is known of them."
    )


def more(content: PageContent) -> str:
    """Return everything else, folded."""
    drawn = [
        ("Squared error of predicted values", page.small(_errors(content)) + content.figure("next_mse")),
        ("Curves of all users, of known ones, and NDCG", content.figure("next_recall", "next_ndcg")),
        ("R: what is learnt and what is forgotten", content.figure("r_matrix")),
        ("Predictions before and after", content.figure("predictions")),
    ]
    found = [page.folded(heading, inner) for heading, inner in drawn if inner]
    for heading, frame in content.details:
        note = page.small(SEGMENTS) if "segment" in heading else ""
        found.append(page.folded(heading, page.table(frame, heading) + note))
    others = "Lists of other users, with titles, are printed by gnnrec recommend FOLDER-OF-A-RUN --user ID."
    return "".join(found) + lists(content) + page.small(others)


def _errors(content: PageContent) -> str:
    """Return how the trained row with the lowest MSE stands to the best that trains nothing."""
    rows = [r for r in content.summary.rows(named=True) if r["mse"] is not None and r["strategy"] != "oracle"]
    trained = [r for r in rows if r["scorer"] not in (REFERENCE, "blend")]  # a blend predicts what its model does
    counters = [r for r in rows if r["scorer"] == REFERENCE]
    if not trained:
        return ""
    best = min(trained, key=lambda r: float(r["mse"]))
    text = f"Lowest MSE: {name_of(best)}, {tables.cell(best['mse'], best.get('mse_deviation'), 4)}"
    if not counters:
        return f"{text}."
    top = min(counters, key=lambda r: float(r["mse"]))
    stands = Verdicts(content.tests, ERROR).say(best, top)
    return f"{text}; without a model: {name_of(top)}, {tables.number(top['mse'], 4)}; the model is {stands}."


def again(content: PageContent) -> str:
    """Return command, differences from the defaults, versions and hashes; configuration and formulas folded."""
    command = content.record.get("command", "")
    rest = pl.DataFrame({"what": [k for k in content.record if k != "command"]}, schema={"what": pl.String})
    rest = rest.with_columns(value=pl.Series([v for k, v in content.record.items() if k != "command"], dtype=pl.String))
    parts = [
        page.block(command),
        page.folded(
            f"{len(content.changed)} settings that differ from the defaults", page.block("\n".join(content.changed))
        )
        if content.changed
        else "",
        page.folded("Machine, versions, hashes", page.table(rest, "What made it")) if rest.height else "",
        page.folded("The whole configuration", page.block(content.config_text)) if content.config_text.strip() else "",
        page.folded("How it was measured", page.paragraphs(content.protocol_text)),
        page.listed(content.notes),
    ]
    return "".join(parts)
