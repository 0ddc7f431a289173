"""What rows of one table are called where one strategy has several settings."""

import polars as pl
import pytest

from gnnrec.config.compose import compose
from gnnrec.runs.report import names

PLAIN = ["strategy=fine_tune", "objective=softmax"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([[], []], ["fine_tune", "fine_tune"]),
        ([["fit.lr=0.1"], ["fit.lr=0.2"]], ["fine_tune[fit.lr=0.1]", "fine_tune[fit.lr=0.2]"]),
        ([["init=random"], ["init=zero"]], ["fine_tune[init=Random]", "fine_tune[init=Zero]"]),
        (
            [["encoder=mf", "encoder.width=8"], ["encoder=lightgcn", "encoder.width=4"]],
            ["fine_tune[encoder=MF,encoder.width=8]", "fine_tune[encoder=LightGCN,encoder.width=4]"],
        ),
        (
            [["encoder=mf"], ["encoder.layers=2"], ["encoder.layers=3"]],
            ["fine_tune[encoder=MF]", "fine_tune[encoder=LightGCN,encoder.layers=2]"],
        ),
        (
            [["scorer.companion=ease"], ["scorer.companion=nearest_items"]],
            ["fine_tune[scorer.companion=EASE]", "fine_tune[scorer.companion=NearestItems]"],
        ),
    ],
)
def test_a_row_is_named_by_what_tells_it_from_its_like(settings, expected):
    configs = [compose([*PLAIN, *s]) for s in settings]
    frames = [{"results": pl.DataFrame({"strategy": ["fine_tune"]})} for _ in configs]
    found = [n.strategy for n in names(configs, frames)]
    assert found[: len(expected)] == expected
