"""Settings of 0 that would make a loss no number, or a model that learns nothing, are told before anything runs."""

from __future__ import annotations

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.initial import Spectral
from gnnrec.encoders.xsimgcl import XSimGCL
from gnnrec.objectives.contrastive import Contrastive
from gnnrec.objectives.cross_entropy import CrossEntropy
from gnnrec.objectives.gcmc import RatingLevels
from gnnrec.objectives.softmax import Softmax
from gnnrec.scorers.blend import Grid
from gnnrec.untrained.filter import GraphFilter
from gnnrec.untrained.popularity import PopularItems

CASES = {
    "objective.temperature=0": lambda: Softmax(temperature=0),
    "objective.samples=0": lambda: Softmax(samples=0),
    "objective.temperature=-1": lambda: CrossEntropy(temperature=-1),
    "objective.samples=0 ": lambda: Contrastive(samples=0),
    "objective.bases=0": lambda: RatingLevels(bases=0),
    "encoder.temperature=0": lambda: XSimGCL(temperature=0),
    "encoder.sample=0": lambda: XSimGCL(sample=0),
    "init.passes=0": lambda: Spectral(passes=0),
    "passes=0": lambda: GraphFilter(low_pass=1.0, passes=0),
    "half_life=nan": lambda: PopularItems(float("nan")),
    "scorer.grid.half_life=0": lambda: Grid(half_life=(1000.0, 0)),
}


@pytest.mark.parametrize("said", CASES)
def test_a_setting_of_nothing_is_refused_by_name(said):
    with pytest.raises(GnnrecError, match=f"{said.strip()} must be above 0"):
        CASES[said]()
