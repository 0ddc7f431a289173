"""Two hundred updates in one process: neither the time of an update nor memory grows but with the data."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.live_runs import Says, made, tasteful
from support.stores import DAY, START, add, write

from gnnrec.config.compose import compose
from gnnrec.live import run as live
from gnnrec.live.update import Updater
from gnnrec.policies.amount import Every
from gnnrec.store.ingest import Policy

PAGE = 4096


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_updates_in_a_row(tmp_path, one_thread):
    store, run = made(tmp_path)
    folder = live.open_live(live.one_run(run), store.path, {"live": compose([])["live"]})
    kept = live.Live(folder, store, Updater(folder, Every(), Says(), blocked=True))
    seconds, memory = [], []
    for number in range(3, 203):
        lines = tasteful(40, number, START + number * DAY, 50 + 10 * number)  # each pair counts once
        add(store, write(tmp_path / "day.csv", lines), policy=Policy(blocked="accept"))
        begin = time.process_time()
        assert kept.round().outcome == "accepted"
        seconds.append(time.process_time() - begin)
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20)
    first, last = sum(seconds[:20]) / 20, sum(seconds[-20:]) / 20
    print(f"\nan update: {first:.3f} s at first, {last:.3f} s at last; memory {memory[19]:.0f} to {memory[-1]:.0f} MiB")
    begin = time.process_time()
    live.Live(folder, store, kept.updater)
    print(f"taken up again: {time.process_time() - begin:.2f} s")
    assert last < 1.8 * first  # 1.5 on a busy machine, where the data have grown to sixteen times as many events
    assert memory[-1] - memory[19] < 60
