"""`gnnrec data …`: what the commands print, what they refuse, and that nothing of torch is loaded."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from support.stores import DAY, START, grown, rows, write

from gnnrec.cli import data
from gnnrec.cli.data import ABOUT
from gnnrec.cli.main import main
from gnnrec.data.datasets import File
from gnnrec.store.ingest import ingest
from gnnrec.store.table import Store

ACTIONS = ("ingest", "log", "show", "diff", "checkout", "verify", "gc", "export", "forget", "summary")


def run(capsys, *arguments):
    code = main(["data", *map(str, arguments)])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_ingest_says_where_every_row_went_and_names_the_version_of_a_file_it_has(tmp_path, capsys):
    file = write(tmp_path / "a.csv", [*rows(50), f"u1,,3,{START}"])
    code, out, _ = run(capsys, "ingest", tmp_path / "s", file)
    assert code == 0
    assert "version 0: read 51 = kept" in out
    assert "1 missing_item: a.csv:52" in out
    code, out, _ = run(capsys, "ingest", tmp_path / "s", file)
    assert (code, "a.csv: already in version 0" in out, "no version was made" in out) == (0, True, True)


def test_a_glob_is_taken_by_name_a_version_per_file(tmp_path, capsys):
    for k in range(3):
        write(tmp_path / f"day{k}.csv", rows(40, k, START + k * DAY, users=100))
    run(capsys, "ingest", tmp_path / "s", tmp_path / "day*.csv", "--each")
    assert [v.files[0].name for v in Store(tmp_path / "s").versions] == ["day0.csv", "day1.csv", "day2.csv"]
    code, _, err = run(capsys, "ingest", tmp_path / "s", tmp_path / "none*.csv")
    assert (code, "no file matches" in err) == (2, True)


def test_how_the_first_files_were_read_holds_for_the_next_ones(tmp_path, capsys):
    for k in range(2):
        write(tmp_path / f"{k}.csv", rows(40, k, START + k * DAY, users=100), header="who,what,stars,when")
    columns = [
        f"data.columns.{r}={c}"
        for r, c in zip(("user", "item", "rating", "time"), ("who", "what", "stars", "when"), strict=True)
    ]
    assert run(capsys, "ingest", tmp_path / "s", tmp_path / "0.csv", *columns)[0] == 0
    assert run(capsys, "ingest", tmp_path / "s", tmp_path / "1.csv")[0] == 0
    one, two = Store(tmp_path / "s").versions
    assert one.cleaning == two.cleaning


def test_log_show_diff_verify_and_gc_of_a_sound_store(tmp_path, capsys):
    store = grown(tmp_path).path
    code, out, _ = run(capsys, "log", store)
    assert (code, len(out.splitlines())) == (0, 4)
    assert "sha256" in run(capsys, "show", store)[1]
    assert "1 versions" in run(capsys, "diff", store, 1, 2)[1]
    assert run(capsys, "verify", store)[:2] == (0, "version 0: ok\nversion 1: ok\nversion 2: ok\n")
    assert run(capsys, "gc", store)[:2] == (0, "0 files deleted\n")


def test_verify_fails_where_rows_were_changed(tmp_path, capsys):
    store = grown(tmp_path)
    path = store.files()[0]
    path.write_bytes(path.read_bytes()[:-20])
    code, out, _ = run(capsys, "verify", store.path)
    assert code == 1
    assert "cannot be read" in out


def test_checkout_and_export_write_events(tmp_path, capsys):
    store = grown(tmp_path).path
    assert "up to version 1" in run(capsys, "checkout", store, 1, tmp_path / "old.parquet")[1]
    assert "events in" in run(capsys, "export", store, tmp_path / "all.csv")[1]


def test_a_file_in_no_folder_is_refused(tmp_path, capsys):
    store = grown(tmp_path).path
    for command in (("checkout", store, 1), ("export", store)):
        code, _, err = run(capsys, *command, tmp_path / "none" / "x.csv")
        assert (code, f"there is no folder {tmp_path / 'none'}; make it" in err) == (2, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("stream=by_time", "'stream=by_time' is neither a file nor a key of data"),
        ("data.path=other.csv", "data.path= does nothing"),
        ("data.columns=5", "data.columns=5 is no mapping; write data.columns.user=NAME"),
    ],
)
def test_what_says_nothing_to_an_ingest_is_refused(tmp_path, capsys, given, said):
    write(tmp_path / "log.csv", rows(40, 0, START, users=10))
    code, _, err = run(capsys, "ingest", tmp_path / "s", tmp_path / "log.csv", given)
    assert (code, said in err) == (2, True)
    assert not (tmp_path / "s" / "_delta_log").exists()


def test_a_file_where_the_store_should_be_is_refused(tmp_path, capsys):
    write(tmp_path / "log.csv", rows(40, 0, START, users=10))
    code, _, err = run(capsys, "ingest", tmp_path / "log.csv", tmp_path / "log.csv")
    assert (code, "is a file; a store is a folder" in err) == (2, True)


def test_forget_is_a_dry_run_until_it_is_confirmed(tmp_path, capsys):
    store = grown(tmp_path)
    before = store.head
    code, out, _ = run(capsys, "forget", store.path, "--user", "u1")
    assert (code, "dry run: nothing was changed" in out, Store(store.path).head) == (0, True, before)
    code, out, _ = run(capsys, "forget", store.path, "--user", "u1", "--yes")
    assert (code, "erased; certificate:" in out) == (0, True)
    assert "u1" not in Store(store.path).rows().collect()["user"].to_list()


def test_an_unknown_user_is_said_to_be_unknown(tmp_path, capsys):
    code, out, err = run(capsys, "forget", grown(tmp_path).path, "--user", "nobody")
    assert code == 2
    assert "no row of this user" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("asked", ["--help", "-h", "help"])
def test_help_names_every_action(capsys, asked):
    code, out, err = run(capsys, asked)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[3:13]] == sorted(ACTIONS, key=list(ABOUT).index)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_its_help(capsys, action):
    try:
        code = main(["data", action, "--help"])
    except SystemExit as ending:
        code = ending.code
    assert code == 0
    assert "gnnrec data " + action in capsys.readouterr().out


def test_follow_names_no_file_that_the_store_has_but_where_that_is_asked(tmp_path, capsys):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for k in range(3):
        write(inbox / f"{k}.csv", rows(40, k, START + k * DAY, users=100))
    follow = ("ingest", tmp_path / "s", "--follow", inbox, "--settle", "0", "--idle", "0.1")
    assert run(capsys, *follow)[1].count("read 40 =") == 3
    out = run(capsys, *follow)[1]
    assert out.splitlines() == [f"3 of {inbox} already in the store (--verbose names them)"]
    assert run(capsys, *follow, "--verbose")[1].count("already in version") == 3


@pytest.mark.parametrize("action", [a for a in ACTIONS if a not in ("ingest", "summary")])
def test_a_folder_that_is_no_store_is_refused(tmp_path, capsys, action):
    more = {"diff": ["0", "1"], "checkout": ["0", "x.csv"], "export": ["x.csv"], "forget": ["--user", "u"]}
    code, _, err = run(capsys, action, tmp_path, *more.get(action, []))
    assert code == 2
    assert "is no store" in err


def test_follow_takes_files_once_they_are_complete_and_leaves_out_bad_ones(tmp_path, capsys):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    write(inbox / "day0.csv", rows(40))

    def deliver():
        time.sleep(0.6)
        write(inbox / "bad.csv", ["x"], header="nonsense")
        with (inbox / "day1.csv").open("w") as file:  # written slowly: not to be taken half
            file.write("user,item,rating,time\n")
            for line in rows(40, 1, START + DAY, users=100):
                file.write(line + "\n")
                file.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=deliver)
    writer.start()
    code, out, _ = run(capsys, "ingest", tmp_path / "s", "--follow", inbox, "--settle", "0.4", "--idle", "3")
    writer.join()
    assert code == 0
    assert "bad.csv was left out" in out
    versions = Store(tmp_path / "s").versions
    assert [v.files[0].name for v in versions] == ["day0.csv", "day1.csv"]
    assert versions[1].counts.read == 40


def test_the_commands_load_no_torch(tmp_path):
    write(tmp_path / "a.csv", rows(40))
    code = (
        "import sys; from gnnrec.cli.main import main\n"
        f"main(['data', 'ingest', {str(tmp_path / 's')!r}, {str(tmp_path / 'a.csv')!r}])\n"
        f"main(['data', 'log', {str(tmp_path / 's')!r}])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_one_override_keeps_the_rest_of_how_the_store_is_read(tmp_path, capsys):
    for k in range(2):
        write(tmp_path / f"{k}.csv", rows(40, k, START + k * DAY, users=100), header="who,what,stars,when")
    columns = [
        f"data.columns.{r}={c}" for r, c in (("user", "who"), ("item", "what"), ("rating", "stars"), ("time", "when"))
    ]
    assert run(capsys, "ingest", tmp_path / "s", tmp_path / "0.csv", *columns, "data.scale=[1,5]")[0] == 0
    code, out, err = run(capsys, "ingest", tmp_path / "s", tmp_path / "1.csv", "data.max_bytes=9000000000")
    assert (code, err) == (0, "")
    assert "cleaning: data.max_bytes=" in out
    one, two = (v.cleaning for v in Store(tmp_path / "s").versions)
    assert {**one, "max_bytes": 9_000_000_000} == two


def test_a_foreign_record_makes_nothing_but_a_file(tmp_path, capsys):
    canary = tmp_path / "canary"
    for cleaning in (
        {"_target_": "gnnrec.cli.main.main", "argv": ["--help"]},
        {"_target_": "gnnrec.data.datasets.File", "name": {"_target_": "pathlib.Path.touch", "self": str(canary)}},
    ):
        store = Store(tmp_path / f"s{len(list(tmp_path.iterdir()))}")
        ingest(store, File(path=str(write(tmp_path / "a.csv", rows(40)))), cleaning, page=False)
        code, _, err = run(capsys, "ingest", store.path, write(tmp_path / "b.csv", rows(40, 1, START + DAY)))
        assert (code, "is read by gnnrec.data.datasets.File alone" in err) == (2, True)
    assert not canary.exists()


def test_a_link_out_of_the_inbox_is_not_followed(tmp_path, capsys):
    inbox, outside = tmp_path / "inbox", write(tmp_path / "secret.csv", rows(40))
    inbox.mkdir()
    (inbox / "link.csv").symlink_to(outside)
    write(inbox / "own.csv", rows(40, 1))
    code, out, _ = run(capsys, "ingest", tmp_path / "s", "--follow", inbox, "--settle", "0.1", "--idle", "1")
    assert (code, out.count("version 0: read")) == (0, 1)
    assert [f.name for f in Store(tmp_path / "s").versions[0].files] == ["own.csv"]


def test_a_followed_file_waits_for_another_writer(tmp_path, capsys, monkeypatch):
    inbox, store = tmp_path / "inbox", grown(tmp_path, versions=1)
    inbox.mkdir()
    write(inbox / "own.csv", rows(40, 1, START + DAY, users=300))
    held, told, once = threading.Event(), threading.Event(), data._once
    monkeypatch.setattr(data, "_once", lambda *given: (told.set(), once(*given))[1])

    def hold():
        with store.writing():
            held.set()
            told.wait(60)

    writer = threading.Thread(target=hold)
    writer.start()
    held.wait()
    code, out, _ = run(capsys, "ingest", store.path, "--follow", inbox, "--settle", "0.1", "--idle", "4")
    writer.join()
    assert (code, out.count("being written by another process"), out.count("version 1: read")) == (0, 1, 1)
