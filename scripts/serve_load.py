"""A live service under load: requests of concurrent clients while updates take the place of what serves.

    python scripts/serve_load.py RUN --store STORE --ingest DAY1.csv DAY2.csv [--clients 8] [--pause 0] [KEY=VALUE…]

starts `gnnrec serve RUN`, and while clients ask, ingests each file and updates the run by it; prints how many requests there
were, how many failed, how often another bundle took over, and how long an answer took. Exit code 1 where a request failed or
fewer bundles took over than updates were accepted.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import polars as pl

GNNREC = [sys.executable, "-m", "gnnrec.cli.main"]


@dataclass(slots=True)
class Heard:
    """What clients heard.

    Attributes:
        seconds: of every answer.
        failures: what was no answer.
        bundles: requests by the number of the bundle that answered.
    """

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bundles: dict[int, int] = field(default_factory=dict)

    def line(self) -> str:
        """Return it in a line."""
        ms = 1000 * np.array(self.seconds or [np.nan])
        p50, p99 = np.percentile(ms, [50, 99])
        by = ", ".join(f"{n:,} by bundle {b}" for b, n in sorted(self.bundles.items()))
        return (
            f"{len(self.seconds):,} requests ({by}), {len(self.failures)} failed; p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"longest {ms.max():.0f} ms"
        )


class Load:
    """Clients of a service, each with one connection and one request at a time.

    Args:
        url: of the service.
        users, items: ids that are asked for; every tenth user is nobody.
        clients: how many.
        pause: seconds between the requests of one client.
    """

    def __init__(self, url: str, users: Sequence[str], items: Sequence[str], clients: int, pause: float = 0.0) -> None:
        self.at, self.users, self.items, self.pause = urlsplit(url), users, items, pause
        self.heard, self._stop, self._lock = Heard(), threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, seed: int) -> None:
        rng = random.Random(seed)
        line = http.client.HTTPConnection(str(self.at.hostname), self.at.port, timeout=30)
        while not self._stop.is_set():
            begin = time.perf_counter()
            try:
                line.request(*self._request(rng), headers={"content-type": "application/json"})
                answer = line.getresponse()
                body = answer.read()
                found = json.loads(body)
                wrong = "" if answer.status == 200 and found["items"] else f"{answer.status}: {body[:200]!r}"
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                found, wrong = {}, f"{type(error).__name__}: {error}"
                line.close()
            self._note(time.perf_counter() - begin, found.get("bundle", -1), wrong)
            self._stop.wait(self.pause)
        line.close()

    def _request(self, rng: random.Random) -> tuple[str, str, str | None]:
        kind = rng.random()
        if kind < 0.8:
            user = rng.choice(self.users) if kind < 0.72 else f"nobody {rng.random()}"
            return "GET", f"/recommend?user={quote(user)}&k=20", None
        if kind < 0.9:
            return "GET", f"/similar?item={quote(rng.choice(self.items))}&k=10", None
        return "POST", "/fold_in", json.dumps({"items": rng.choices(self.items, k=5), "k": 20})

    def _note(self, seconds: float, bundle: int, wrong: str) -> None:
        with self._lock:
            self.heard.seconds.append(seconds)
            if wrong:
                self.heard.failures.append(wrong)
            else:
                self.heard.bundles[bundle] = self.heard.bundles.get(bundle, 0) + 1


def health(url: str) -> dict[str, object]:
    """Return what /health says."""
    at = urlsplit(url)
    line = http.client.HTTPConnection(str(at.hostname), at.port, timeout=30)
    line.request("GET", "/health")
    found: dict[str, object] = json.loads(line.getresponse().read())
    line.close()
    return found


def waited(url: str, bundle: int, seconds: float = 20.0) -> float:
    """Return how long it takes until a bundle answers."""
    begin = time.perf_counter()
    while health(url)["bundle"] != bundle:
        if time.perf_counter() - begin > seconds:
            raise SystemExit(f"bundle {bundle} did not answer within {seconds:.0f} s: {health(url)}")
        time.sleep(0.02)
    return time.perf_counter() - begin


def gnnrec(*arguments: object) -> str:
    """Return what a command prints."""
    done = subprocess.run([*GNNREC, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"gnnrec {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def ids(run: Path, kind: str) -> list[str]:
    """Return the ids in the bundle that serves."""
    place = run / "bundles" / json.loads((run / "bundles" / "current").read_text())["bundle"]
    return pl.read_parquet(place / f"{kind}s.parquet", columns=[kind], glob=False)[kind].to_list()


def main() -> int:
    """Put a service under load and return an exit code."""
    parser = argparse.ArgumentParser(description="Put `gnnrec serve RUN` under load while the run is updated.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--ingest", type=Path, nargs="+", required=True, metavar="FILE", help="an update each")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between the requests of one client")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds of load before, between and behind updates")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of `gnnrec update`: live.gate.margin=…")
    given = parser.parse_intermixed_args()
    server = subprocess.Popen(
        [*GNNREC, "serve", str(given.run), "--port", "0", "--data", str(given.store)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        said = server.stdout.readline().strip()
        if not said:
            return 1
        url = said.rsplit(" ", 1)[-1]
        print(said)
        accepted = 0
        with Load(url, ids(given.run, "user"), ids(given.run, "item"), given.clients, given.pause) as load:
            time.sleep(given.settle)
            for file in given.ingest:
                gnnrec("data", "ingest", given.store, file)
                lines = gnnrec("update", given.store, given.run, *given.overrides).splitlines()
                print(f"{file.name}: {lines[0]}; {lines[-1].strip()}")
                if lines[0].startswith("accepted"):
                    accepted += 1
                    number = int(lines[-1].split()[1])
                    print(f"  bundle {number} answers {waited(url, number):.2f} s after the update has ended")
                time.sleep(given.settle)
        swaps = int(str(health(url)["swaps"]))
        print(f"{given.clients} clients, {swaps} swaps: {load.heard.line()}")
        for failure in load.heard.failures[:5]:
            print(f"  {failure}")
        return 1 if load.heard.failures or swaps < accepted or not accepted else 0
    finally:
        server.terminate()
        print(f"service ended with {server.wait(20)}")


if __name__ == "__main__":
    sys.exit(main())
