"""A live run that is damaged: every command says it in one line, what serves stays, and the command it names helps."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pytest
from support.live_runs import grow, made, own, pointed, updated
from support.served_runs import model_of

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import read_folder, write_folder
from gnnrec.live import champion as champions
from gnnrec.live.journal import Journal
from gnnrec.live.publish import bundles_of, publish
from gnnrec.live.served import number_of
from gnnrec.runs.saved import one
from gnnrec.serving import bundle
from gnnrec.testing.worlds import fingerprint


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Return a folder with a run that has two champions, and a version that waits."""
    folder = tmp_path_factory.mktemp("live")
    store, run = made(folder)
    for number in (3, 4):
        grow(store, number)
        assert updated(store, run)[0].outcome == "accepted"
    grow(store, 5)
    return folder


@pytest.fixture
def place(begun, tmp_path):
    return own(begun, tmp_path / "own")


def told(capsys, *command):
    """Return a command's exit code and its lines."""
    code = main([*map(str, command)])
    said = capsys.readouterr()
    return code, [*said.out.splitlines(), *said.err.splitlines()]


def state(live):
    return live / "states" / "000002"


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def of_another_version(live):
    files = read_folder(state(live))
    meta = {**json.loads(files["state.json"]), "format": 99}
    write_folder(state(live), {**files, "state.json": json.dumps(meta).encode()})


def of_another_model(live):
    shutil.rmtree(state(live))
    shutil.copytree(live / "states" / "000001", state(live))


def no_tensors(live):
    write_folder(state(live), {**read_folder(state(live)), "weights.safetensors": b"nothing of the kind"})


STATES = {
    "a flipped bit": (lambda live: flipped(state(live) / "weights.safetensors"), "champion 2 is damaged"),
    "cut off": (lambda live: (state(live) / "state.json").write_text("{"), "champion 2 is damaged"),
    "no checksums": (lambda live: (state(live) / "SHA256SUMS").unlink(), "champion 2 is damaged"),
    "gone": (lambda live: shutil.rmtree(state(live)), "champion 2 is gone"),
    "another model's": (of_another_model, "champion 2 is not the one that was judged"),
    "no tensors": (no_tensors, "champion 2 is damaged"),
    "of another version": (of_another_version, "a newer version of gnnrec"),
}


@pytest.mark.parametrize("how", STATES)
def test_a_state_that_is_not_what_was_judged_is_refused_with_the_way_back(how, place, capsys):
    (store, run), (damage, expected) = place, STATES[how]
    damage(run / "live")
    code, lines = told(capsys, "update", store.path, run)
    assert code == 2
    (line,) = lines
    assert expected in line
    assert pointed(run) == 2
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert code == 1
    assert any(s.startswith("Wrong: ") and expected in s for s in lines), lines
    assert lines[0].startswith("champion 2 serves")
    (back,) = re.findall(r"`gnnrec (rollback [^`]*)`", line)
    assert back.endswith("--to 1")
    assert told(capsys, *shlex.split(back))[0] == 0
    assert updated(store, run, again=True)[0].outcome == "accepted"


def renamed(live, old, new):
    path = live / "decisions.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0].replace(old, new, 1) + "".join(lines[1:]))


def torn(live):
    path = live / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert b'"scored"' in lines[-1]
    path.write_bytes(b"".join(lines[:-1])[:-10])


REFUSED = {
    "a line in the middle": (lambda live: renamed(live, "{", "("), "line 1 is no decision"),
    "a field too many": (lambda live: renamed(live, '"at"', '"when"'), "line 1 is no decision"),
    "a journal of another version": (
        lambda live: renamed(live, '"format": 1', '"format": 9'),
        "another version of gnnrec",
    ),
    "the newest decision": (torn, "names champion 2, which no decision"),
    "no journal": (lambda live: (live / "decisions.jsonl").unlink(), "names champion 2, which no decision"),
    "no such champion": (
        lambda live: (live / "champion.json").write_text('{"champion": 9}'),
        "names champion 9, which",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_journal_that_has_lost_something_is_refused(how, place, capsys):
    (store, run), (damage, expected) = place, REFUSED[how]
    damage(run / "live")
    before = (run / "live" / "champion.json").read_bytes()
    code, lines = told(capsys, "update", store.path, run)
    assert (code, len(lines)) == (2, 1)
    assert expected in lines[0]
    assert (run / "live" / "champion.json").read_bytes() == before
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert code == 1
    assert any(s.startswith("Wrong: ") and expected in s for s in lines), lines


POINTERS = {
    "damaged": ('{"champ', "is damaged"),
    "no number": ('{"champion": "two"}', "is damaged"),
    "another's": ('{"champion": 0}', "names champion 0"),
    "missing": (None, "is missing"),
}


@pytest.mark.parametrize("how", POINTERS)
def test_a_pointer_is_set_again_by_the_journal_and_it_is_said(how, place, capsys, caplog):
    (store, run), (content, expected) = place, POINTERS[how]
    path = run / "live" / "champion.json"
    path.unlink() if content is None else path.write_text(content)
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert code == 1
    assert any(expected in s and "by the newest decision champion 2 serves" in s for s in lines)
    assert updated(store, run, passed=False)[1].number == 2
    assert pointed(run) == 2
    assert expected in caplog.text
    assert told(capsys, "status", run, "--store", store.path)[0] == 0


def test_what_is_served_without_a_pointer_is_what_the_journal_says(place):
    _, run = place
    (run / "live" / "champion.json").unlink()
    assert number_of(one(run)) == 2
    assert model_of(run).origin.number == 2


def test_a_bundle_of_what_no_longer_serves_is_not_put_in_place(place):
    _, run = place
    read_before = model_of(run)
    assert main(["rollback", str(run.parent), "--to", "1"]) == 0, "the folder above one run will do"
    with pytest.raises(GnnrecError, match="champion 2 was made, and champion 1 serves; `gnnrec export"):
        publish(run, read_before)
    assert bundle.pointed(bundles_of(run)) is None


def test_a_store_that_has_moved_can_be_named(place, begun, capsys):
    store, run = place
    path = run / "config.yaml"
    path.write_text(path.read_text().replace(str(begun / "store"), str(begun / "moved")))
    code, lines = told(capsys, "recommend", run, "--user", "u1")
    assert code == 2
    assert "--data PATH says where it is now" in lines[-1]
    assert told(capsys, "recommend", run, "--user", "u1", "--data", store.path)[0] == 0


def test_the_run_s_own_state_is_nothing_to_its_champions(place, capsys):
    store, run = place
    served = fingerprint(updated(store, run, passed=False)[1].learner)
    shutil.rmtree(run / "state")
    assert fingerprint(updated(store, run, passed=False)[1].learner) == served
    main(["rollback", str(run), "--to", "0"])
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert code == 1
    assert any("holds no state" in s for s in lines)


def test_a_configuration_that_was_changed_by_hand_is_refused(place, capsys):
    store, run = place
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("width: 8", "width: 9"))
    for command, code in ((["update", store.path, run], 2), (["status", run, "--store", store.path], 1)):
        found, lines = told(capsys, *command)
        assert found == code
        assert any("config.yaml was changed since the run was made by it" in s for s in lines)
    path.write_text(path.read_text().replace("width: 9", "width: [", 1))
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert (code, len(lines)) == (2, 1)
    assert "is damaged" in lines[0]


def test_another_version_of_gnnrec_is_said(place, monkeypatch, caplog):
    store, run = place
    monkeypatch.setattr(champions, "__version__", "99")
    assert updated(store, run, passed=False)[1].number == 2
    assert "champion 2 was made by gnnrec" in caplog.text


def test_a_graph_that_comes_out_otherwise_is_refused(place, capsys):
    store, run = place
    path = run / "live" / "decisions.jsonl"
    graph = Journal(run / "live").entries()[-1].graph
    path.write_text(path.read_text().replace(graph, "0" * 64))
    code, (line,) = told(capsys, "update", store.path, run)
    assert code == 2
    assert "the graph of champion 2, made by gnnrec" in line


def test_events_that_changed_are_said_by_status_too(place, capsys):
    store, run = place
    (name,) = store.rows().filter(version=4).select("user").unique().sort("user").collect()["user"].to_list()[:1]
    assert main(["data", "forget", str(store.path), "--user", name, "--yes"]) == 0
    capsys.readouterr()
    code, lines = told(capsys, "status", run, "--store", store.path)
    assert code == 1
    assert any(re.search(r"has learnt version \d of the store, which was|the data have changed", s) for s in lines)
