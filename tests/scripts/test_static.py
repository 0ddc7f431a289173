"""Static splits: nothing is in two parts, nothing is lost, and nobody whom the fit does not know is scored as known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from bench import static, worlds


def parts_of(events, test):
    stream = static._stream(events, test, "implicit")
    base = stream.increments[0].observed
    return stream, base, (base.train, base.valid, stream.increments[0].test)


@pytest.fixture
def log():
    rng = np.random.default_rng(0)
    pair = np.unique(rng.integers(0, 60, 900) * 100 + rng.integers(0, 80, 900))
    return worlds.events(pair // 100, pair % 100), rng.random(len(pair)) < 0.2


def test_parts_are_the_log(log):
    _, _, parts = parts_of(*log)
    assert sum(map(len, parts)) == len(log[0])
    assert len(parts[2]) == log[1].sum()
    pairs = [set(zip(p.user.tolist(), p.item.tolist(), strict=True)) for p in parts]
    assert sum(map(len, pairs)) == len(set.union(*pairs))


def test_nodes_of_the_fit_are_numbered_first_and_valid_is_among_them(log):
    stream, base, (train, valid, test) = parts_of(*log)
    assert set(train.user) == set(range(base.num_users))
    assert set(train.item) == set(range(base.num_items))
    assert 0 < len(valid) < 0.1 * len(train)
    assert valid.user.max() < base.num_users
    assert valid.item.max() < base.num_items
    assert test.user.max() < len(stream.users)
    assert test.item.max() < len(stream.items)


def test_the_split_is_the_same_at_every_call(log):
    assert parts_of(*log)[0].fingerprint == parts_of(*log)[0].fingerprint
