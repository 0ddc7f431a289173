"""What the page of a comparison is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting.verdicts import Verdicts
from gnnrec.reporting.worth.criterion import called, metric_of

Details = Sequence[tuple[str, pl.DataFrame]]
"""(heading, table) pairs; text to the left, numbers with four decimals to the right."""


@dataclass(frozen=True, slots=True)
class ExampleLists:
    """Lists of a few users.

    Attributes:
        frame: of gnnrec.evaluation.record.EXAMPLES, all rows and seeds.
        titles: number of an item -> its title, or its id where there is none.
        taken: user -> numbers of the items taken in the increment that the lists were scored on.
        why: there are none; "" where there are.
    """

    frame: pl.DataFrame
    titles: Mapping[int, str] = field(default_factory=dict)
    taken: Mapping[str, Sequence[int]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the page of a comparison is made of.

    Attributes:
        title: of the page.
        answer: at most four sentences (gnnrec.reporting.answer).
        summary: gnnrec.evaluation.results.summary, with the columns of gnnrec.reporting.worth.columns where they are known.
        data_text: counts and dirt, shown as they are in fixed width.
        config_text: the configuration, likewise.
        notes: what was unusual or left out.
        protocol_text: how it was measured; empty lines separate paragraphs.
        results: the table of results; None: what needs it is left out.
        tests: of gnnrec.evaluation.significance, a table per metric; None where it was not tested.
        policies: of gnnrec.reporting.worth.waiting; empty where no rows differ in when they are updated alone.
        figures: by name (gnnrec.reporting.figures), as HTML.
        details: further tables (`gnnrec.reporting.html.increments_and_segments`).
        lists: of a few users; None: nothing is said of them.
        warnings: what is wrong with the data, or with the runs.
        record: command, machine, versions, hashes.
        changed: what differs from the defaults, as typed.
        k: cut-off of the ranking metrics.
        first: smallest t in means.
    """

    title: str
    answer: str
    summary: pl.DataFrame
    data_text: str
    config_text: str
    notes: Sequence[str]
    protocol_text: str
    results: pl.DataFrame | None = None
    tests: pl.DataFrame | None = None
    policies: pl.DataFrame = field(default_factory=pl.DataFrame)
    figures: Mapping[str, str] = field(default_factory=dict)
    details: Details = ()
    lists: ExampleLists | None = None
    warnings: Sequence[str] = ()
    record: Mapping[str, str] = field(default_factory=dict)
    changed: Sequence[str] = ()
    k: int = 20
    first: int = 1

    @property
    def metric(self) -> str:
        """Column that rows are compared by."""
        return metric_of(self.summary, self.k)

    @property
    def called(self) -> str:
        """What readers call it."""
        return called(self.metric)

    @property
    def falls(self) -> bool:
        """Whether less of it is better."""
        return self.metric == ERROR

    @property
    def verdicts(self) -> Verdicts:
        """What can be said of pairs by that column."""
        return Verdicts(self.tests, self.metric)

    def figure(self, *names: str) -> str:
        """Return the figures of these names that there are."""
        return "".join(html for name, html in self.figures.items() if name.startswith(names))
