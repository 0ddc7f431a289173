"""A live run: what is new is learnt and judged, what does not pass leaves what serves as it is, and nothing is lost."""

from __future__ import annotations

import json
import shutil

import pytest
from support.live_runs import end, grow, made, own, updated

from gnnrec.cli.main import main
from gnnrec.core.errors import DivergedError, GnnrecError
from gnnrec.live import run as live
from gnnrec.live.champion import turn_back
from gnnrec.live.journal import ACCEPTED, KEPT, WAITS, Journal
from gnnrec.live.ladder import LADDER, Rung, as_configured
from gnnrec.policies.amount import Every, EveryN
from gnnrec.policies.effect import OnPerformance
from gnnrec.testing.worlds import fingerprint


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    return made(folder)


@pytest.fixture
def place(begun, tmp_path):
    """Return a store and a run of one's own."""
    from gnnrec.store.table import Store

    store, run = begun
    shutil.copytree(store.path.parent, tmp_path / "own")
    own = tmp_path / "own"
    return Store(own / "store"), own / "runs" / run.name


def pointed(run):
    path = run / "live" / "champion.json"
    return json.loads(path.read_text())["champion"] if path.is_file() else 0


def absorbed(learner):
    return sum(len(x) for x in learner.counters.log)


def test_nothing_new_is_said_and_nothing_is_written(place):
    store, run = place
    entry, champion = updated(store, run)
    assert entry is None
    assert champion.number == 0
    assert not (run / "live").exists()


def test_new_versions_are_learnt_once_and_taken_up_again_to_the_byte(place):
    store, run = place
    before = updated(store, run)[1]
    grow(store, 3)
    entry, champion = updated(store, run)
    assert entry.outcome == ACCEPTED, entry.reason
    assert pointed(run) == champion.number == 1
    assert absorbed(champion.learner) == store.rows().collect().height, "what the run held out is learnt too"
    assert champion.learner.seen.num_users > before.learner.seen.num_users
    nothing, again = updated(store, run)
    assert nothing is None
    assert fingerprint(again.learner) == fingerprint(champion.learner)
    assert {k: str(v) for k, v in again.kept.items()} == {k: str(v) for k, v in champion.kept.items()}
    grow(store, 4)
    first = updated(store, run)
    assert first[0].parent == 1
    assert first[1].number == 2


def test_ids_keep_their_numbers_and_nobody_is_numbered_twice(place):
    store, run = place
    old = updated(store, run)[1].events
    grow(store, 3)
    new = updated(store, run)[1].events
    assert new.users.ids[: len(old.users)] == old.users.ids
    assert len(set(new.users.ids)) == len(new.users.ids)
    assert set(new.users.ids) == set(store.rows().select("user").collect()["user"].unique())


def test_what_does_not_pass_leaves_what_serves_and_joins_the_next(place):
    store, run = place
    grow(store, 3)
    serves = updated(store, run, policy=EveryN(9))[1]
    entry, champion = updated(store, run, passed=False)
    assert entry.outcome == KEPT
    assert [t["try"] for t in entry.tries] == [r.name for r in LADDER], "all four are tried"
    assert pointed(run) == 0
    assert fingerprint(champion.learner) == fingerprint(serves.learner)
    assert updated(store, run)[0] is None, "nothing new has come since"
    assert updated(store, run, again=True)[0].outcome == ACCEPTED
    turn_back(run / "live", 0)
    assert updated(store, run)[0] is None, "what was rolled back is not learnt again by itself"
    grow(store, 4)
    entry, champion = updated(store, run)
    assert entry.numbers == [3, 4]
    assert absorbed(champion.learner) == store.rows().collect().height


def test_a_policy_that_waits_is_noted_and_nothing_is_lost(place):
    store, run = place
    grow(store, 3)
    entry, _ = updated(store, run, policy=EveryN(2))
    assert (entry.outcome, entry.champion) == (WAITS, 0)
    assert "1 of 2 increments wait" in entry.policy
    grow(store, 4)
    entry, champion = updated(store, run, policy=EveryN(2))
    assert entry.outcome == ACCEPTED
    assert entry.numbers == [3, 4]
    assert set(entry.quality) == {"3", "4"}
    assert absorbed(champion.learner) == store.rows().collect().height


def test_a_fit_that_diverges_enters_the_ladder_from_what_serves(place):
    store, run = place
    grow(store, 3)

    def breaks(learner, make, new):
        as_configured(learner, make, new)
        raise DivergedError("the training loss became nan in epoch 1; lower fit.lr")

    clean, _ = updated(store, run)
    kept = updated(store, run)[1]
    turn_back(run / "live", 0)
    entry, champion = updated(
        store, run, again=True, ladder=(Rung("breaks", breaks), Rung("as configured", as_configured))
    )
    assert [t["passed"] for t in entry.tries] == [False, True]
    assert "became nan" in entry.tries[0]["reason"]
    assert entry.model == clean.model, "a try that failed leaves no trace"
    assert fingerprint(champion.learner) == fingerprint(kept.learner)


@pytest.mark.parametrize("rung", LADDER, ids=lambda r: r.name)
def test_every_try_makes_a_champion_that_goes_on(place, rung):
    store, run = place
    grow(store, 3)
    entry, champion = updated(store, run, ladder=(rung,))
    assert entry.outcome == ACCEPTED, entry.reason
    assert champion.learner.fits.update.lr == updated(store, run)[1].learner.fits.update.lr
    grow(store, 4)
    assert updated(store, run)[0].outcome == ACCEPTED


def test_a_kill_between_decision_and_pointer_is_mended(place):
    store, run = place
    grow(store, 3)
    champion = updated(store, run)[1]
    (run / "live" / "champion.json").unlink()
    again = updated(store, run)[1]
    assert again.number == pointed(run) == 1
    assert fingerprint(again.learner) == fingerprint(champion.learner)


def test_what_served_is_scored_behind_what_serves_where_the_policy_does_not_ask(place):
    store, run = place
    seen = []
    for number, policy in ((3, Every()), (4, OnPerformance(drop=0.0)), (5, Every())):
        grow(store, number)
        entry, _ = updated(store, run, policy=policy, serve=lambda e: seen.append(dict(e.quality)))
        if entry.outcome == WAITS:  # on performance it is as good as usual
            continue
        assert entry.outcome == ACCEPTED
        assert entry.quality == Journal(run / "live").entries()[-1].quality
        assert entry.quality[str(number)] is not None
        assert bool(seen[-1]) is (not isinstance(policy, Every))
    assert seen[0] == {}


def test_a_kill_between_the_pointer_and_the_score_is_made_up_for(begun, tmp_path):
    ends = []
    for name in ("whole", "killed"):
        store, run = own(begun[0].path.parent, tmp_path / name)
        for number in (3, 4):
            grow(store, number)
            if name == "killed":
                with pytest.raises(KeyboardInterrupt):
                    updated(store, run, serve=interrupted)
                assert Journal(run / "live").entries()[-1].unscored
                assert updated(store, run)[0] is None
            else:
                assert updated(store, run)[0].outcome == ACCEPTED
        ends.append(end(run))
    assert ends[0] == ends[1]
    assert len(ends[0][1]) == 4, "a decision and a score for each"


def test_a_score_that_cannot_be_made_up_for_is_unknown(place):
    store, run = place
    for number in (3, 4):
        grow(store, number)
        with pytest.raises(KeyboardInterrupt):
            updated(store, run, serve=interrupted)
    shutil.rmtree(run / "live" / "states" / "000001")
    updated(store, run)
    first, second = Journal(run / "live").entries()
    assert first.quality["3"] > 0
    assert second.quality == {"4": None}


def interrupted(_):
    raise KeyboardInterrupt


def test_a_kill_before_the_decision_is_as_if_nothing_had_been(place):
    store, run = place
    grow(store, 3)
    first = updated(store, run)[0]
    live_folder = run / "live"
    (live_folder / "decisions.jsonl").unlink()
    (live_folder / "champion.json").unlink()
    assert (live_folder / "states" / "000001").is_dir()
    again = updated(store, run)[0]
    assert (again.model, again.graph) == (first.model, first.graph)


def test_rolling_back_serves_what_served_and_what_came_since_waits(place):
    store, run = place
    grow(store, 3)
    one = updated(store, run)[1]
    grow(store, 4)
    two, _ = updated(store, run)
    turn_back(run / "live", 1)
    assert pointed(run) == 1
    nothing, champion = updated(store, run)
    assert nothing is None
    assert fingerprint(champion.learner) == fingerprint(one.learner)
    entry, champion = updated(store, run, again=True)
    assert entry.numbers == [4]
    assert (entry.champion, entry.parent) == (3, 1)
    assert entry.model == two.model, "the same data, from the same model, the same way"
    with pytest.raises(GnnrecError, match="no decision made a champion 9"):
        turn_back(run / "live", 9)


def test_a_damaged_state_is_said_with_the_way_back(place):
    store, run = place
    grow(store, 3)
    updated(store, run)
    weights = run / "live" / "states" / "000001" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(GnnrecError, match=r"champion 1 is damaged .*gnnrec rollback .* --to 0"):
        updated(store, run)
    turn_back(run / "live", 0)
    assert updated(store, run, again=True)[0].outcome == ACCEPTED


def test_a_version_that_was_changed_since_is_said(place):
    store, run = place
    grow(store, 3)
    updated(store, run)
    (name,) = store.rows().filter(version=3).select("user").unique().sort("user").collect()["user"].to_list()[:1]
    assert main(["data", "forget", str(store.path), "--user", name, "--yes"]) == 0
    store.refresh()
    with pytest.raises(GnnrecError, match=r"the data have changed|has learnt version 3 of the store, which was"):
        updated(store, run)


def test_what_was_said_is_not_said_twice(place):
    store, run = place
    grow(store, 3)
    for _ in range(3):
        assert updated(store, run, policy=EveryN(2))[0].outcome == WAITS
    assert len(Journal(run / "live").entries()) == 1


def test_old_champions_go_and_what_serves_stays(place):
    store, run = place
    for number in range(3, 10):
        grow(store, number)
        updated(store, run)
    kept = sorted(int(p.name) for p in (run / "live" / "states").iterdir())
    assert kept == [3, 4, 5, 6, 7]
    with pytest.raises(GnnrecError, match="the state of champion 1 is gone"):
        turn_back(run / "live", 1)
    assert len(Journal(run / "live").entries()) == 7


def test_a_run_on_files_has_nothing_to_be_updated_from(place):
    _, run = place
    status = json.loads((run / "status.json").read_text())
    status.pop("versions")
    (run / "status.json").write_text(json.dumps(status))
    with pytest.raises(GnnrecError, match="was run on files"):
        live.one_run(run)
