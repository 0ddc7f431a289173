"""What a service counts, as Prometheus reads it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram of latencies, in seconds."""


class RequestCounts:
    """Requests by endpoint and status, and how long they took; safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def note(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request."""
        with self._lock:
            self._requests[endpoint, status] += 1
            self._buckets.setdefault(endpoint, [0] * (len(BOUNDS) + 1))[bisect_left(BOUNDS, seconds)] += 1
            self._seconds[endpoint] = self._seconds.get(endpoint, 0.0) + seconds

    def text(self, gauges: Mapping[str, tuple[str, str, float]]) -> str:
        """Return everything in the text format.

        Args:
            gauges: by name: kind, what it is, and its value.
        """
        with self._lock:
            requests, seconds = dict(self._requests), dict(self._seconds)
            buckets = {name: list(counts) for name, counts in self._buckets.items()}
        lines = [
            "# HELP gnnrec_requests_total Requests by endpoint and status.",
            "# TYPE gnnrec_requests_total counter",
        ]
        lines += [f'gnnrec_requests_total{{endpoint="{e}",status="{s}"}} {n}' for (e, s), n in sorted(requests.items())]
        lines += ["# HELP gnnrec_request_seconds Seconds of requests.", "# TYPE gnnrec_request_seconds histogram"]
        for name in sorted(buckets):
            lines += _histogram(name, buckets[name], seconds[name])
        for name, (kind, what, value) in gauges.items():
            lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _histogram(name: str, counts: list[int], seconds: float) -> list[str]:
    lines, total = [], 0
    for bound, n in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        total += n
        lines.append(f'gnnrec_request_seconds_bucket{{endpoint="{name}",le="{bound}"}} {total}')
    at = f'{{endpoint="{name}"}}'
    return [*lines, f"gnnrec_request_seconds_sum{at} {seconds:.6f}", f"gnnrec_request_seconds_count{at} {total}"]
