"""How long is it from a new file to lists that know it? Events, file by file, into a followed store, and the service asked.

    python scripts/arrival.py movietweetings --strategies fine_tune,fold_in threads=1
    python scripts/arrival.py movietweetings --events 1000 --files 8 output=runs/arrival

For each strategy: a store of all but the newest events, a run on it as usual (the experiment names the log alone), `gnnrec
serve` and `gnnrec update --follow`; then one file after the other is moved into the folder. The time is from the move until
the service answers from a model that has learnt it; a file whose update is not accepted changes nothing that is served, and
is counted. The gate is as shipped but for its margins, which are wide, so that a file of few users is not held back for want
of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
from serve_load import GNNREC, gnnrec, health

from gnnrec.cli.exit import guarded
from gnnrec.config.compose import compose
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.runs.build import load

WIDE = ("live.gate.margin=0.9", "live.gate.old_margin=0.9", "live.gate.cold_floor=0")
PATIENCE = 120.0
"""Seconds after which a file is taken for one that was not accepted."""


def main() -> int:
    """Measure, print a line per strategy, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--strategies", default="fine_tune,fold_in", help="separated by commas")
    parser.add_argument("--events", type=int, default=1000, help="of a file")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as output=… threads=1")
    given = parser.parse_intermixed_args()
    own = [o for o in given.overrides if key_of(o) != "output"]
    config = compose([f"experiment={given.experiment}", *given.overrides])
    named = [o for o in given.overrides if key_of(o) == "output"]
    folder = Path(config["output"]) if named else Path("runs/arrival")
    rows = [
        measured(folder / name, name, given.experiment, config, own, given.events, given.files)
        for name in given.strategies.split(",")
    ]
    table = pl.DataFrame(rows)
    write_atomic(folder / "arrival.csv", table.write_csv(float_precision=3))
    with pl.Config(tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_width_chars=120):
        print(table)
    return 0


def measured(
    folder: Path, strategy: str, experiment: str, config: dict[str, Any], own: list[str], events: int, files: int
) -> dict[str, Any]:
    """Return the seconds from arrival to served of one strategy."""
    if folder.exists():
        raise GnnrecError(f"{folder} is there already; remove it, or choose another output=")
    folder.mkdir(parents=True)
    log = log_of(config)
    if log.height <= 2 * events * files:
        raise GnnrecError(
            f"the log has {log.height:,} events; {files} files of {events:,} leave too little to begin with"
        )
    first, store, inbox = log.height - events * files, folder / "store", folder / "inbox"
    for name, part in (("base", log[: first * 9 // 10]), ("more", log[first * 9 // 10 : first])):
        part.write_csv(folder / f"{name}.csv")
    gnnrec("data", "ingest", store, folder / "base.csv", folder / "more.csv", "--each")
    on_store = ["data=store", f"data.path={store}", "stream=by_version", "references=[popularity]", "logger=none"]
    gnnrec("run", f"name={experiment}", *on_store, f"strategy={strategy}", f"output={folder / 'runs'}", *own)
    (run,) = (p for p in (folder / "runs").iterdir() if (p / "config.yaml").is_file())
    gnnrec("export", run)
    inbox.mkdir()
    server = subprocess.Popen([*GNNREC, "serve", str(run), "--port", "0"], stdout=subprocess.PIPE, text=True)
    follow = ["update", str(store), str(run), "--follow", str(inbox), "--settle", "0", *WIDE]
    with (folder / "follow.log").open("w") as said:
        follower = subprocess.Popen([*GNNREC, *follow], stdout=said, stderr=said)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip().rsplit(" ", 1)[-1]
            waited_for(folder / "follow.log", "nothing new")
            seconds = [arrived(inbox, log[first + n * events : first + (n + 1) * events], n, url) for n in range(files)]
        finally:
            for process in (follower, server):
                process.terminate()
                process.wait(60)
    taken = [s for s in seconds if s is not None]
    return {
        "strategy": strategy,
        "files": files,
        "events": events,
        "accepted": len(taken),
        "median s": statistics.median(taken) if taken else None,
        "least s": min(taken, default=None),
        "most s": max(taken, default=None),
    }


def log_of(config: dict[str, Any]) -> pl.DataFrame:
    """Return the events of a data set by external ids, in order of time."""
    data, _ = load(config)
    if data.time is None:
        raise GnnrecError(f"data={data.name} has no times; files that arrive one after the other need them")
    columns = {"user": data.user_ids[data.user_code], "item": data.item_ids[data.item_code], "value": data.value}
    return pl.DataFrame({**columns, "time": data.time.astype("int64")}).sort("time", maintain_order=True)


def waited_for(path: Path, text: str) -> None:
    """Wait until a log has a line."""
    end = time.monotonic() + PATIENCE
    while text not in path.read_text():
        if time.monotonic() > end:
            raise GnnrecError(f"{path} says nothing of '{text}': {path.read_text()[-500:]}")
        time.sleep(0.1)


def arrived(inbox: Path, part: pl.DataFrame, number: int, url: str) -> float | None:
    """Move a file into the folder, and return the seconds until another bundle answers; None where none does."""
    staged, log = inbox.parent / f"{number:03d}.csv", inbox.parent / "follow.log"
    if number:
        waited_for(log, f"version {number + 1}: read")  # said once the page of the file before has been drawn, too
    before, kept = health(url)["bundle"], decided(log)
    part.write_csv(staged)
    begin = time.perf_counter()
    staged.rename(inbox / staged.name)
    while health(url)["bundle"] == before:
        if time.perf_counter() - begin > PATIENCE or decided(log) > kept:
            return None
        time.sleep(0.03)  # often enough, and little beside what is measured
    return time.perf_counter() - begin


def decided(log: Path) -> int:
    """Return how many files were decided on without another champion."""
    return sum(line.startswith(("kept", "waits", "blocked")) for line in log.read_text().splitlines())


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/arrival.py"]))
