"""`gnnrec reproduce`: a run made again is the same to the bit, and where it is not, what differs is named."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest
import yaml
from safetensors.torch import load, save
from support.live_runs import grow, made
from test_cli import TINY, refused, runs

from gnnrec.cli.main import main
from gnnrec.core import environment as process
from gnnrec.core.files import read_folder, write_folder
from gnnrec.runs.again import environment
from gnnrec.runs.again.compare import _state, differing

PARTS = ("code", "environment", "device", "threads")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished run, its base beside it."""
    output = tmp_path_factory.mktemp("once")
    assert main(["run", *TINY, "strategy=fine_tune", f"output={output}"]) == 0
    return runs(output, "fine_tune")[0]


@pytest.fixture
def run(finished, tmp_path):
    """Return a copy of it, base included, that a test may spoil."""
    copy = shutil.copytree(finished.parent, tmp_path / "output")
    return copy / finished.name


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def edit(run, **changes):
    """Change a configuration by hand."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))


def test_a_run_comes_out_the_same_and_its_folder_stays_as_it_is(finished, tmp_path, capsys):
    before = files(finished.parent)
    assert main(["reproduce", str(finished), "--keep", str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{finished.name}: bit-identical\n")
    assert "base, state 2, state 3" in said
    assert "data, code, environment, device, threads: as recorded" in said
    assert files(finished.parent) == before
    assert (tmp_path / "again" / finished.name / "state" / "000003").is_dir()


def test_what_differs_is_named_the_first_of_it_first_and_what_it_was_made_by(run, capsys, monkeypatch):
    newest = run / "state" / "000003"
    contents = read_folder(newest)
    weights = load(contents["weights.safetensors"])
    name = max(weights, key=lambda n: weights[n].numel())
    weights[name][0] += 0.5
    write_folder(newest, {**contents, "weights.safetensors": save(weights)})
    torn = run / "state" / "000002" / "weights.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    results = pl.read_parquet(run / "results.parquet")
    changed = (pl.col("metric") == "recall@20") & (pl.col("split") == "next") & (pl.col("segment") == "all")
    more = pl.when(changed).then(pl.col("value") + 0.25).otherwise("value")
    results.with_columns(value=more).write_parquet(run / "results.parquet")
    noted = json.loads((run / "environment.json").read_text())
    noted[0]["threads"]["torch"] = 2
    (run / "environment.json").write_text(json.dumps(noted))
    installed = process.installed()
    monkeypatch.setattr(process, "installed", lambda: {**installed, "torch": "9.9.9"})

    assert main(["reproduce", str(run), "--threads", "1"]) == 1
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == f"{run.name}: differs"
    assert lines[1].startswith("first: state 3;")
    (damaged,) = (line for line in lines if line.startswith("state 2"))
    assert "damaged: checksum of 000002/weights.safetensors differs" in damaged
    (moved,) = (line for line in lines if line.startswith("state 3"))
    assert f"most in {name}" in moved
    assert "0.5000" in moved
    (tables,) = (line for line in lines if line.startswith("tables"))
    assert "next recall@20 of all" in tables
    assert "0.2500" in tables
    assert f"differs: environment (torch {installed['torch']} then, 9.9.9 now" in said
    assert "differs: threads (torch 2 then, 1 now" in said
    assert "differs: code" not in said


def test_a_configuration_that_was_changed_is_refused(run, capsys):
    edit(run, seed=1)
    assert "config.yaml was changed since the run was made by it" in refused(capsys, "reproduce", str(run))
    edit(run, seed=0, policy={"_target_": "gnnrec.policies.amount.EveryN", "n": 2})
    assert "config.yaml was changed since the run was made by it" in refused(capsys, "reproduce", str(run))


def test_what_cannot_be_made_again_is_refused(run, tmp_path, capsys):
    assert "lies in the run" in refused(capsys, "reproduce", str(run), "--keep", str(run / "again"))
    assert "--keep" in refused(capsys, "reproduce", str(run), "--keep", str(tmp_path))
    assert "--threads 0" in refused(capsys, "reproduce", str(run), "--threads", "0")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "status": "interrupted"}))
    assert "is not finished" in refused(capsys, "reproduce", str(run))


def test_a_run_on_a_store_that_has_grown_is_made_again_from_the_versions_it_saw(tmp_path, capsys):
    store, run = made(tmp_path / "shop")
    grow(store, 3)
    (run / "environment.json").unlink()  # as of a run of an older version
    assert main(["reproduce", str(run)]) == 0
    said = capsys.readouterr().out
    assert "bit-identical" in said
    assert f"not recorded by this run, which is of an older version: {', '.join(PARTS)}" in said
    assert main(["reproduce", str(run), "--data", str(other_store(tmp_path))]) == 1
    said = capsys.readouterr().out
    assert "not made again: its data are not what it saw" in said
    assert "differs: data (versions 0 to 2 then, 0 to 2 now; version 1 was" in said


def other_store(folder):
    """Return the path of a store whose first version is the same and whose second is another."""
    from gnnrec.store.table import Store

    store = Store(folder / "other" / "store")
    store.path.parent.mkdir()
    for number, each in ((0, 600), (1, 161), (2, 160)):
        grow(store, number, each)
    return store.path


def test_processes_that_worked_at_a_run_are_told_apart(run, monkeypatch):
    config = yaml.safe_load((run / "config.yaml").read_text())
    environment.note(run, config, "digest", resume=True)
    first, second = environment.read(run)
    assert (second["run"], second["threads"]) == ("digest", first["threads"])
    environment.note(run, config, "digest", resume=True)
    assert len(environment.read(run)) == 2
    monkeypatch.setattr(process, "product_threads", lambda: "7")
    environment.note(run, config, "digest", resume=True)
    assert [m["threads"]["numpy"] for m in environment.read(run)][-1] == "7"
    assert len(environment.read(run)) == 3
    environment.note(run, config, "digest", resume=False)
    assert len(environment.read(run)) == 1
    (run / "environment.json").write_text("[{}]")
    assert environment.read(run) is None


def rows(*values):
    keys = {"strategy": "s", "scorer": "model", "trained_to": 1, "evaluated_on": 2, "segment": "all"}
    return pl.DataFrame([{**keys, "split": s, "metric": m, "value": v} for s, m, v in values])


def test_what_was_timed_and_what_older_tables_have_not_is_no_difference():
    then = {"results": rows(("next", "recall@20", 0.5), ("cost", "seconds", 1.0))}
    now = rows(("next", "recall@20", 0.5), ("cost", "seconds", 9.0), ("next", "novelty@20", 3.0))
    assert differing(then, {"results": now.with_columns(more=1)}) == ("", 0.0)
    what, recall = differing(then, {"results": rows(("next", "recall@20", 0.4))})
    assert what == "next recall@20 of all (model): 0.5 then, 0.4 now"
    assert recall == pytest.approx(0.1)
    assert differing(then, {"results": rows(("cost", "seconds", 1.0))})[0].endswith("0.5 then, None now")


def test_figures_of_few_users_are_compared_and_not_told():
    then, now = (rows(("next", "recall@20", value)).with_columns(n=3) for value in (0.5, 0.4))
    what, recall = differing({"results": then}, {"results": now}, least=5)
    assert what == "rows are others, or figures of too few users to be told"
    assert recall is None
    assert differing({"results": then}, {"results": now}, least=3)[0].endswith("0.5 then, 0.4 now")


def test_a_choice_without_a_number_is_no_difference(finished, tmp_path):
    state = finished / "state" / "000003"
    with_nan = {**read_folder(state), "state.json": b'{"evidence": [NaN, 1.0], "index": 3}'}
    for name in ("one", "other"):
        write_folder(tmp_path / name, with_nan)
    found = _state(tmp_path / "one", tmp_path / "other", "state 3", 3)
    assert (found.same, found.weights) == (True, 0.0)


def test_leaves_that_differ_are_told_with_the_beginning_of_hashes():
    then, now = {"a": {"torch": "1", "code": "0" * 32}, "b": 1}, {"a": {"torch": "2", "code": "f" * 32}, "c": 2}
    assert process.differing_leaves(then, now) == [
        "torch 1 then, 2 now",
        f"code {'0' * 12} then, {'f' * 12} now",
        "b 1 then, none now",
        "c none then, 2 now",
    ]
    assert process.differing_leaves(then, then) == []
