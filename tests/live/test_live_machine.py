"""Versions, updates that pass or do not, rollbacks, restarts in any order: the journal says what serves, to the byte."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.live_runs import Says, grow, made, own, pointed

from gnnrec.core.errors import GnnrecError
from gnnrec.live import run as live
from gnnrec.live.champion import LiveFolder, turn_back
from gnnrec.live.journal import ACCEPTED, KEPT, ROLLED_BACK, lineage
from gnnrec.live.update import Updater
from gnnrec.policies.amount import Every
from gnnrec.testing.worlds import fingerprint

KEEP = 3
OFTEN = st.sampled_from([True, True, False])
SETTINGS = {"tries": 1, "keep": KEEP, "valid_share": 0.1, "judged_share": 0.1}


class LiveMachine(RuleBasedStateMachine):
    """A gate that says what it is told; what each champion is, is noted as it is made."""

    origin: Path
    scene: object

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store, self.run = own(self.origin, self.folder / "own")
        self.seen = len(self.store.versions)
        self.gate, self.serves = Says(), 0
        self.open()
        self.made = {0: (fingerprint(self.live.champion.learner), set())}

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self):
        """Begin again from what is on disk."""
        found = live.one_run(self.run)
        folder = LiveFolder(found, {**found.config, "live": SETTINGS}, self.scene)
        self.live = live.Live(folder, self.store, Updater(folder, Every(), self.gate, blocked=True))

    @property
    def champion(self):
        return self.live.champion

    @property
    def waiting(self):
        return set(range(self.seen, len(self.store.versions))) - self.made[self.serves][1]

    @precondition(lambda self: len(self.waiting) < 3)
    @rule()
    def arrives(self):
        grow(self.store, len(self.store.versions), 60)

    @rule(passed=OFTEN, again=OFTEN)
    def update(self, passed, again):
        if not self.waiting:
            assert self.live.round(again) is None
            self.arrives()
        self.gate.passed, waited = passed, self.waiting
        entry = self.live.round(again)
        if entry is None:
            assert not again, "what was tried already is tried again where that is asked for"
            return
        assert set(entry.numbers) == waited
        assert entry.outcome == (ACCEPTED if passed else KEPT)
        if passed:
            assert entry.champion == max(self.made) + 1
            assert entry.parent == self.serves
            learnt = self.made[self.serves][1] | waited
            self.serves = entry.champion
            self.made[self.serves] = fingerprint(self.champion.learner), learnt

    @precondition(lambda self: len(self.made) > 1)
    @rule(data=st.data(), on=OFTEN)
    def roll_back(self, data, on):
        to = data.draw(st.sampled_from(sorted(self.made)))
        there = {int(p.name) for p in (self.run / "live" / "states").iterdir()} | {0}
        if to not in there:
            with pytest.raises(GnnrecError, match=f"the state of champion {to} is gone"):
                turn_back(self.run / "live", to)
            return
        assert turn_back(self.run / "live", to).outcome == ROLLED_BACK
        self.serves = to
        self.open()
        if on and self.waiting:
            self.update(True, True)

    @rule()
    def restart(self):
        self.open()
        assert fingerprint(self.champion.learner) == self.made[self.serves][0]

    @invariant()
    def what_serves_is_what_the_journal_says(self):
        if not hasattr(self, "live"):
            return
        serves, learnt = self.champion, self.made[self.serves][1]
        assert serves.number == self.live.folder.number() == self.serves
        assert pointed(self.run) == self.serves
        chain = lineage(self.live.folder.journal.entries(), self.serves)
        absorbed = [v for e in chain for v in e.numbers]
        assert absorbed == sorted(learnt), "each version is learnt once, in order"
        assert learnt | self.waiting == set(range(self.seen, len(self.store.versions)))
        events = sum(len(x) for x in serves.learner.counters.log)
        held = self.store.rows(serves.version).collect().height
        assert events == held if chain else events <= held, "no event twice, none lost"
        states = {int(p.name) for p in (self.run / "live").glob("states/*")}
        assert not self.serves or self.serves in states
        assert len(states) <= KEEP + 1


@pytest.fixture(scope="module", autouse=True)
def origin(tmp_path_factory):
    LiveMachine.origin = tmp_path_factory.mktemp("live")
    store, run = made(LiveMachine.origin)
    LiveMachine.scene = live.open_live(live.one_run(run), store.path, {"live": SETTINGS}).scene


TestLiveMachine = LiveMachine.TestCase
TestLiveMachine.settings = settings(
    max_examples=6, stateful_step_count=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
