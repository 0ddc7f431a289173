"""A store under any order of ingests, replays, checkouts, erasures and crashes, against a plain list of events."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.stores import DAY, START, add, events, rows, write

from gnnrec.store import erase
from gnnrec.store.table import Store
from gnnrec.store.verify import verify


class Stop(BaseException):
    """A crash: nothing catches it."""


class StoreMachine(RuleBasedStateMachine):
    """Rows of a pair count once, all days are new, so that the model is a list of versions' events."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(self.folder / "store")
        self.files: list[Path] = []
        self.model: dict[int, Counter] = {}
        self.day = 0

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, n):
        self.day += 1
        lines = rows(n, self.day, START + self.day * DAY, users=5 + self.day)
        return write(self.folder / f"day{self.day}.csv", [*lines, *(["broken"] if lines else [])])

    def _seen(self):
        return {row[:2] for rows_of in self.model.values() for row in rows_of}

    @rule(n=st.integers(0, 12))
    def ingest(self, n):
        file = self._file(n)
        done = add(self.store, file)
        if done.version is None:  # an empty file is equal to any other
            assert not n
            return
        self.files.append(file)
        fresh = events(self.store)
        for rows_of in self.model.values():
            fresh -= rows_of
        assert not {row[:2] for row in fresh} & self._seen()
        assert sum(fresh.values()) == done.version.counts.kept
        self.model[done.version.number] = fresh

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def replay(self, data):
        head = self.store.head
        done = add(self.store, data.draw(st.sampled_from(self.files)))
        assert done.version is None
        assert self.store.head == head

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data())
    def forget(self, data):
        users = sorted({row[0] for rows_of in self.model.values() for row in rows_of})
        user = data.draw(st.sampled_from(users))
        erase.erase(self.store, user)
        for number, rows_of in self.model.items():
            self.model[number] = Counter({row: n for row, n in rows_of.items() if row[0] != user})
        assert erase.found_in(self.store, user) == []

    @rule(n=st.integers(1, 6), where=st.sampled_from(["before", "after"]))
    def crash(self, n, where):
        """Die just before, or just after, the commit; the file is ingested again by whoever comes next."""
        file = self._file(n)
        real = Store.append

        def dies(store, rows_of, version):
            if where == "after":
                real(store, rows_of, version)
            raise Stop

        Store.append = dies
        try:
            add(Store(self.store.path), file)
        except Stop:
            pass
        finally:
            Store.append = real
        self.store = Store(self.store.path)
        head = self.store.head
        done = add(self.store, file)
        assert (done.version is None) == (where == "after")
        self.files.append(file)
        number = head if done.version is None else done.version.number
        fresh = events(self.store)
        for rows_of in self.model.values():
            fresh -= rows_of
        self.model[number] = fresh

    @invariant()
    def holds_what_the_model_holds(self):
        if not self.model:
            return
        assert {v.number for v in self.store.versions} == set(self.model)
        total = Counter()
        for number in sorted(self.model):
            total += self.model[number]
            assert events(self.store, number) == total
        assert [p for _, p in verify(self.store) if p] == []


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=12, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
