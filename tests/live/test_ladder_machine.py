"""The gate and the ladder by tries of which it is told what the gate says: where it stops, and what it may cost."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.live_runs import made

from gnnrec.core.errors import DivergedError
from gnnrec.live import run as live
from gnnrec.live.champion import LiveFolder
from gnnrec.live.gate import AcceptanceGate, Check, Judgement
from gnnrec.live.journal import ACCEPTED, KEPT, Journal
from gnnrec.live.ladder import Rung
from gnnrec.live.update import Backlog, Updater
from gnnrec.policies.amount import Every
from gnnrec.testing.worlds import fingerprint

PASSES, FAILS, OPEN, DIVERGES = "passes", "fails", "open", "diverges"
SAID = {PASSES: True, FAILS: False, OPEN: None}


class Scripted(AcceptanceGate):
    """Says of the try that is made now what was foretold of it, and notes its share of the chance of a wrong yes."""

    def __init__(self):
        super().__init__()
        self.now, self.shares = "", []

    def judge(self, champion, challenger, judged, world, known, measure, seconds=0.0, share=1.0):
        self.shares.append(share)
        return Judgement((Check("said", 0.0, 0.0, SAID[self.now], 0, self.now),))


class LadderMachine(RuleBasedStateMachine):
    """Tries absorb the events and train nothing: what a model learns is nothing to the ladder."""

    origin: Path
    scene: object

    @initialize(tries=st.integers(1, 5))
    def begin(self, tries):
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(self.origin / "state", self.folder / "state")
        saved = replace(live.one_run(self.origin), folder=self.folder)
        config = {**saved.config, "live": {"tries": tries, "keep": 2, "valid_share": 0.1, "judged_share": 0.1}}
        self.tries, self.gate, self.decisions = tries, Scripted(), 0
        self.live = LiveFolder(saved, config, self.scene)
        self.version = max(map(int, saved.versions))
        self.rows = self._day()
        self.champion = self.live.load(self.rows.clear(), {})

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _day(self):
        self.version += 1
        n, start = 12, 1e9 * 2 + self.version
        return pl.DataFrame(
            {
                "user": [f"u{k + self.version}" for k in range(n)],
                "item": [f"i{(k * 7 + self.version) % 60}" for k in range(n)],
                "value": [3.0] * n,
                "time": [start + k / n for k in range(n)],
                "late": [False] * n,
                "version": [self.version] * n,
            },
            schema_overrides={"version": self.rows.schema["version"]} if hasattr(self, "rows") else None,
        )

    def _rung(self, number, outcome):
        def attempt(learner, make, new):
            self.gate.now, strategy = outcome, make()
            strategy.serve(learner)
            if outcome == DIVERGES:
                raise DivergedError("the training loss became nan")
            learner.extend(new)
            learner.absorb(new)
            return strategy

        return Rung(f"try {number}", attempt)

    @rule()
    def arrives(self):
        if self.rows["version"].n_unique() < 4:
            self.rows = pl.concat([self.rows, self._day()])

    @precondition(lambda self: self.rows.height)
    @rule(
        outcomes=st.lists(st.sampled_from([FAILS, FAILS, FAILS, FAILS, PASSES, OPEN, DIVERGES]), min_size=5, max_size=5)
    )
    def update(self, outcomes):
        before, number = fingerprint(self.champion.learner), self.champion.number
        ladder = [self._rung(n, o) for n, o in enumerate(outcomes)]
        self.gate.shares = []
        updater = Updater(self.live, Every(), self.gate, ladder=ladder)
        contents = {v: str(v) for v in self.rows["version"].unique().to_list()}
        entry, champion = updater.round(self.champion, Backlog(self.rows, contents, {}), again=True)
        allowed = outcomes[: self.tries]
        made = next((n + 1 for n, o in enumerate(allowed) if o in (PASSES, OPEN)), len(allowed))
        assert [t["try"] for t in entry.tries] == [f"try {n}" for n in range(made)], "it stops at the first that passes"
        assert [t["passed"] for t in entry.tries] == [o == PASSES for o in allowed[:made]]
        assert sum(self.gate.shares) <= 1 + 1e-12
        if made == self.tries and DIVERGES not in allowed:
            assert sum(self.gate.shares) == pytest.approx(1.0), "all tries together have the whole chance"
        passed = allowed[made - 1] == PASSES
        assert entry.outcome == (ACCEPTED if passed else KEPT)
        assert fingerprint(self.champion.learner) == before, "a try leaves no trace in what serves"
        if passed:
            assert champion.number > number
            self.rows = self.rows.clear()
        else:
            assert champion is self.champion
            assert entry.reason == entry.tries[-1]["reason"]
        self.champion, self.decisions = champion, self.decisions + 1
        entries = Journal(self.live.folder).entries()
        assert len(entries) == self.decisions
        assert len(entries[-1].tries) == made, "every try is written down"
        assert self.live.number() == champion.number


@pytest.fixture(scope="module", autouse=True)
def origin(tmp_path_factory):
    store, LadderMachine.origin = made(tmp_path_factory.mktemp("live"))
    given = {"live": {"tries": 1, "keep": 1, "valid_share": 0.1, "judged_share": 0.1}}
    LadderMachine.scene = live.open_live(live.one_run(LadderMachine.origin), store.path, given).scene


TestLadderMachine = LadderMachine.TestCase
TestLadderMachine.settings = settings(
    max_examples=12, stateful_step_count=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
