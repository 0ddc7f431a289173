"""Forgetting a user, all the way: what is left equals what never saw them, to the byte, and no file names them."""

from __future__ import annotations

import json
import shutil

import pytest
from support.live_runs import TINY, made, tasteful
from support.stores import DAY, START, add, write

from gnnrec.cli.main import main
from gnnrec.live import forget as forgetting
from gnnrec.live.champion import LiveFolder
from gnnrec.live.run import Live
from gnnrec.runs.again import environment
from gnnrec.store.proof import look
from gnnrec.store.table import Store

GATE = ["live.gate.margin=0.9", "live.gate.old_margin=0.9", "live.gate.cold_floor=0.0", "live.judged_share=0.3"]
EARLY, MIDDLE, LATER = "early-bird", "middle-man", "late-comer"
"""Users who came with the base, with an increment of the run, and behind the run."""
BY_DAY = ("stream=by_time", "stream.width=1d", "stream.base=null")


def days(number, without):
    lines = tasteful(600 if number == 0 else 220, number, START + number * DAY, 40 + 3 * number)
    own = [
        f"{who},i{4 * k + 24 * (number - since)},{1 + k % 5},{START + number * DAY + 1000 * k}"
        for who, since in ((EARLY, 0), (MIDDLE, 1), (LATER, 3))
        for k in range(6)
        if number in (since, since + 1)
    ]
    kept = sorted([*lines, *own], key=lambda line: int(line.rsplit(",", 1)[1]))
    return [line for line in kept if line.split(",")[0] not in without]


def lived(folder, strategy="fine_tune", without=(), stream=BY_DAY, last=5):
    """Return a store and a run that was kept up to date with each of its versions, of everybody but some."""
    folder.mkdir(parents=True)
    store = Store(folder / "store")

    def grow(number):
        add(store, write(folder / f"day{number}.csv", days(number, without)))
        store.refresh()

    for number in range(3):
        grow(number)
    given = [
        "run",
        "data=store",
        f"data.path={store.path}",
        f"strategy={strategy}",
        f"output={folder / 'runs'}",
        *stream,
    ]
    assert main([*given, *[o for o in TINY if not o.startswith("stream")]]) == 0
    (run,) = (p for p in (folder / "runs").iterdir() if p.name.startswith(strategy))
    for number in range(3, last):
        grow(number)
        assert main(["update", str(store.path), str(run), *GATE]) == 0
    return store, run


def champion(run):
    """Return the bytes of what serves."""
    number = json.loads((run / "live" / "champion.json").read_text())["champion"]
    place = run / "live" / "states" / f"{number:06d}"
    meta = json.loads((place / "state.json").read_text())
    return {p.name: p.read_bytes() for p in place.glob("*.safetensors")}, {
        k: v for k, v in meta.items() if k != "index"
    }


def own(run):
    """Return the bytes of the run's own states, and its tables without what was timed."""
    import polars as pl

    states = {str(p.relative_to(run)): p.read_bytes() for p in sorted((run / "state").rglob("*.safetensors"))}
    results = pl.read_parquet(run / "results.parquet").filter(pl.col("split") != "cost")
    return states, results.rows(), pl.read_parquet(run / "per_user.parquet").rows()


def forget(store, run, user):
    assert main(["data", "forget", str(store.path), "--user", user, "--yes"]) == 0
    return main(["update", str(store.path), str(run), "--forget", user, *GATE])


@pytest.mark.parametrize(
    ("strategy", "user", "stream"),
    [
        ("fine_tune", EARLY, BY_DAY),
        ("fine_tune", LATER, BY_DAY),
        ("replay", MIDDLE, BY_DAY),
        ("full_retrain", LATER, BY_DAY),
        ("fine_tune", MIDDLE, ("stream=by_version",)),
    ],
)
def test_a_forgotten_user_leaves_what_never_saw_them(tmp_path, strategy, user, stream, capsys):
    store, run = lived(tmp_path / "saw", strategy, stream=stream)
    assert look(run, user).holding or user == LATER, "there is something to forget"
    never = lived(tmp_path / "never", strategy, (user,), stream)[1]
    assert champion(run) != champion(never), "the user had an effect"
    capsys.readouterr()
    assert forget(store, run, user) == 0
    said = capsys.readouterr()
    assert "1 user forgotten" in said.out
    assert ("fitted before, on the same events" in said.err) == (user == MIDDLE), "a base that had not seen them stays"
    assert champion(run) == champion(never)
    assert own(run) == own(never)
    assert all(map(environment.read, run.parent.glob("base-*"))), "a base that was taken over says what had fitted it"
    assert main(["data", "prove", str(store.path), "--forgotten", user, "--also", str(run.parent)]) == 0


def test_a_forgetting_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    store, run = lived(tmp_path / "saw")
    never = lived(tmp_path / "never", without=(EARLY,))[1]
    strays = [run / "live" / "states" / name for name in ("000077", ".000078.abcd.tmp")]
    for path in strays:  # left by kills between a state and its decision, and amid a state
        shutil.copytree(run / "live" / "states" / "000001", path)
    settings = (run / "config.yaml").read_bytes()
    assert main(["data", "forget", str(store.path), "--user", EARLY, "--yes"]) == 0
    again = ["update", str(store.path), str(run), "--forget", EARLY, *GATE]
    steps = [
        (forgetting, "run_job"),
        (forgetting, "write_atomic"),
        (forgetting, "_replace_shared"),
        (LiveFolder, "point"),
        (forgetting, "_remove_stained"),
        (Live, "round"),
    ]
    for where, what in steps:
        with monkeypatch.context() as cut:
            cut.setattr(where, what, _cut_off)
            with pytest.raises(_CutOffError):
                main(again)
    assert main(["update", str(store.path), str(run), *GATE]) == 0, "an update without the id plays the rounds too"
    assert main(again) == 0
    assert (champion(run), own(run)) == (champion(never), own(never))
    assert (run / "config.yaml").read_bytes() == settings
    assert not [p for p in strays if p.exists()], "states that no decision speaks of go too"
    assert main(["data", "prove", str(store.path), "--forgotten", EARLY, "--also", str(run.parent)]) == 0


@pytest.mark.parametrize("user", [MIDDLE, LATER])
def test_what_was_taken_back_by_hand_stays_so(tmp_path, user, capsys):
    store, run = lived(tmp_path / "saw")
    never = lived(tmp_path / "never", without=(user,))[1]
    for place in (run, never):
        assert main(["rollback", str(place), "--to", "1"]) == 0
    capsys.readouterr()
    assert forget(store, run, user) == 0
    assert "events wait that were decided on already" in capsys.readouterr().out
    assert champion(run) == champion(never)


def test_what_lies_beside_a_run_goes_under_a_key_of_pseudonyms_too(tmp_path):
    store, run = lived(tmp_path / "saw", stream=(*BY_DAY, f"privacy.key={tmp_path / 'key'}"), last=3)
    before = {p.name for p in run.parent.iterdir() if p != run}
    assert forget(store, run, EARLY) == 0
    after = {p.name for p in run.parent.iterdir() if p != run}
    assert sorted(name.split("-")[0] for name in before) == ["base", "references"]
    assert [name.split("-")[0] for name in after] == ["base"]
    assert not before & after


class _CutOffError(BaseException):
    """A kill, as far as a process can tell."""


def _cut_off(*_, **__):
    raise _CutOffError


def test_who_is_still_in_the_store_cannot_be_forgotten(tmp_path, capsys):
    store, run = made(tmp_path)
    before = own(run)
    assert main(["update", str(store.path), str(run), "--forget", "u1"]) == 2
    assert "still holds events of 'u1'; first: gnnrec data forget" in capsys.readouterr().err
    assert main(["update", str(store.path), str(run), "--forget", "nobody"]) == 0
    assert "1 user forgotten: 0 rounds played again" in capsys.readouterr().out
    assert own(run) == before


def test_a_run_whose_data_were_erased_from_says_how_to_go_on(tmp_path, capsys):
    store, run = made(tmp_path)
    assert main(["data", "forget", str(store.path), "--user", "u1", "--yes"]) == 0
    assert "RUN --forget u1" in capsys.readouterr().out
    for command in (["recommend", str(run), "--user", "u2"], ["update", str(store.path), str(run)]):
        assert main(command) == 2
        assert "--forget ID` makes it anew" in capsys.readouterr().err
