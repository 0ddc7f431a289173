"""A delta takes an index from one bundle to another: rows that moved, new ones, those that are gone."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forks import Forks
from support.live_runs import LENIENT, grow, made
from support.served_runs import model_of

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.live.publish import bundles_of, publish
from gnnrec.serving import bundle, delta
from gnnrec.serving.bundle import Bundle
from gnnrec.serving.holder import loaded
from gnnrec.serving.index import with_index
from gnnrec.serving.manifest import Manifest, Origin


def by_hand(number, users, items, user, item, item_bias):
    """Return a bundle of given tables."""
    manifest = Manifest(
        Origin(number, {}, "", "", "", {}, ""), "2026-01-01T00:00:00+00:00", "products", "", "model", None, len(users),
        len(items), user.shape[1], None, 200, 0, "absorbed", 1.0, 1.0,
    )  # fmt: skip
    tensors = {"user": user, "item": item, "user_bias": torch.zeros(len(users)), "item_bias": item_bias}
    tensors["counts"] = torch.zeros(len(items), dtype=torch.float64)
    nothing = {"start": torch.zeros(len(users) + 1, dtype=torch.int64), "item": torch.zeros(0, dtype=torch.int32)}
    count = torch.zeros(len(items), dtype=torch.int64)
    return Bundle(manifest, users, items, [""] * len(items), count, tensors, nothing)


def vectors(bundle_or_frames):
    """Return vector and bias by kind and id."""
    frames = bundle_or_frames
    if isinstance(frames, Bundle):
        frames = dict(zip(delta.KINDS, frames.vectors(), strict=True))
    return {
        (k, row[k]): np.array([*row["vector"], row["bias"]]) for k, frame in frames.items() for row in frame.to_dicts()
    }


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), old=st.integers(0, 12), gone=st.integers(0, 12), fresh=st.integers(0, 5))
def test_any_delta_makes_the_vectors_of_the_newest(tmp_path_factory, seed, old, gone, fresh):
    rng = np.random.default_rng(seed)
    ids = [f"x{n}" for n in rng.permutation(old)]
    stay = [n for n in ids if int(n[1:]) >= gone]
    then = torch.randn(old, 3, generator=torch.Generator().manual_seed(seed))
    first = by_hand(1, ids, ids, then, then.clone(), torch.ones(old))
    after = [*stay, *(f"new{n}" for n in range(fresh))]
    moved = torch.from_numpy(rng.choice([0.0, 1e-5, 0.3], (len(after), 3))).float()
    now = torch.cat([then[[ids.index(n) for n in stay]], torch.ones(fresh, 3)]) + moved
    second = by_hand(2, after, after, now, now.clone(), torch.ones(len(after)))
    folder = tmp_path_factory.mktemp("delta")
    way = delta.read(delta.write(folder, delta.between(first, second)))
    found = vectors(delta.applied(dict(zip(delta.KINDS, first.vectors(), strict=True)), way))
    wanted = vectors(second)
    assert found.keys() == wanted.keys()
    for key, x in wanted.items():
        assert np.linalg.norm(found[key] - x) <= 1.1 * delta.MOVED * np.linalg.norm(x)
    still = sum(bool((m.abs() < 1e-4).all()) for m in moved[: len(stay)])
    assert way.rows["item"].height == len(after) - still
    assert set(way.gone["user"]) == set(ids) - set(stay)


def test_vectors_of_another_width_all_move():
    one = by_hand(1, ["a"], ["x", "y"], torch.ones(1, 2), torch.ones(2, 2), torch.zeros(2))
    two = by_hand(2, ["a"], ["x", "y"], torch.ones(1, 3), torch.ones(2, 3), torch.zeros(2))
    way = delta.between(one, two)
    assert way.rows["item"].height == 2
    frames = delta.applied(dict(zip(delta.KINDS, one.vectors(), strict=True)), way)
    assert vectors(frames).keys() == vectors(two).keys()


def test_a_bias_that_moved_is_news():
    one = by_hand(1, ["a"], ["x", "y"], torch.ones(1, 2), torch.ones(2, 2), torch.zeros(2))
    two = by_hand(2, ["a"], ["x", "y"], torch.ones(1, 2), torch.ones(2, 2), torch.tensor([0.0, 1.0]))
    assert delta.between(one, two).rows["item"]["item"].to_list() == ["y"]


def test_export_writes_bundle_delta_and_lists(tmp_path, capsys):
    store, run = made(tmp_path, versions=2)
    assert main(["export", str(run)]) == 0
    assert "blend on demand" in capsys.readouterr().out
    assert main(["export", str(run)]) == 0
    assert "is there already" in capsys.readouterr().out
    grow(store, 3, 700)
    assert main(["update", str(store.path), str(run), *LENIENT]) == 0
    said = capsys.readouterr().out
    assert "bundle 1 serves" in said, said
    assert main(["export", str(run), "--since", "0"]) == 0
    assert "bundle 0 to 1: " in capsys.readouterr().out
    folder = run / "bundles"
    way = delta.read(folder / "delta-000000-000001")
    first, second = (bundle.read(folder / f"bundle-00000{n}") for n in (0, 1))
    found, wanted = (
        vectors(delta.applied(dict(zip(delta.KINDS, first.vectors(), strict=True)), way)),
        vectors(second),
    )
    assert found.keys() == wanted.keys()
    assert all(np.linalg.norm(found[k] - x) <= 1.1e-3 * np.linalg.norm(x) for k, x in wanted.items())
    path = folder / "delta-000000-000001" / "items.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GnnrecError, match="is damaged"):
        delta.read(folder / "delta-000000-000001")

    target = tmp_path / "lists.parquet"
    assert main(["export", str(run), "--lists", str(target), "-k", "5"]) == 0
    lists = pl.read_parquet(target)
    assert lists["user"].n_unique() == second.manifest.users
    assert lists.columns == ["user", "rank", "item", "title", "blend_score", "known"]
    assert lists.group_by("user").len()["len"].max() == 5
    for wrong, line in (
        (["--since", "7"], "--since 7: that bundle is gone"),
        (["--lists", "lists.csv"], "must end in .parquet"),
        (["--lists", str(target), "-k", "0"], "at least 1"),
        (["--index", "annoy"], "--index annoy is not known"),
    ):
        assert main(["export", str(run), *wrong]) == 2
        assert line in capsys.readouterr().err
    assert json.loads((folder / "current").read_text())["bundle"] == "bundle-000001-1", "lists go with a new bundle"


def test_an_index_finds_what_exact_search_finds():
    faiss = pytest.importorskip("faiss", reason="the extra gnnrec[faiss] is not installed")
    rng = torch.Generator().manual_seed(0)
    user, item = torch.randn(50, 8, generator=rng), torch.randn(400, 8, generator=rng)
    bias = torch.randn(400, generator=rng).abs() * 3
    plain = by_hand(1, [f"u{n}" for n in range(50)], [f"i{n}" for n in range(400)], user, item, bias)
    made = with_index(plain, "faiss")
    assert made.manifest.index["recall@10"] > 0.95
    assert with_index(plain, None) is plain
    index = faiss.deserialize_index(np.frombuffer(made.index, np.uint8))
    asked = torch.cat([user, torch.ones(50, 1), torch.zeros(50, 1)], 1)
    near = index.search(asked.numpy(), 1)[1][:, 0]
    assert np.mean(near == (user @ item.T + bias).argmax(1).numpy()) > 0.95


def test_without_faiss_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(GnnrecError, match=r"pip install 'gnnrec\[faiss\]'"):
        with_index(by_hand(1, ["a"], ["x"], torch.ones(1, 2), torch.ones(1, 2), torch.zeros(1)), "faiss")


@pytest.mark.slow
def test_a_kill_amid_an_export_leaves_a_bundle_that_serves(tmp_path):
    _, run = made(tmp_path, versions=2)
    publish(run, model_of(run))
    rng, again = random.Random(0), ["export", run, "--lists", tmp_path / "lists.parquet", "-k", "5"]
    with Forks() as forks:
        forks.run(tmp_path / "log", ["--version"])
        begin = time.perf_counter()
        assert forks.run(tmp_path / "log", again)[0] == 0
        span, killed = time.perf_counter() - begin, 0
        for _ in range(20):
            pid = forks.start(tmp_path / "log", again)
            time.sleep(rng.uniform(0.5, 1.0) * span)
            os.kill(pid, signal.SIGKILL)
            killed += forks.wait(pid) == -signal.SIGKILL
            assert loaded(bundles_of(run)).recommend("u3", 5)[0]
        assert forks.run(tmp_path / "log", again)[0] == 0
    assert killed
    assert not list(bundles_of(run).glob(".*.tmp"))
