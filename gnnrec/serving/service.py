"""The service: one bundle over HTTP. FastAPI and uvicorn, an extra, are imported here alone."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from gnnrec import __version__
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.serving.answers import NotThereError, RankedItem
from gnnrec.serving.door import Asgi, Door
from gnnrec.serving.holder import Holder
from gnnrec.serving.manifest import LONGEST
from gnnrec.serving.metrics import RequestCounts

LONGEST_ID, MOST_ITEMS = 256, 1000
AT_ONCE = 1000
"""Connections at most; who comes then is told 503."""
ENDPOINTS = ("/recommend", "/similar", "/fold_in", "/health", "/metrics", "/openapi.json")

Identifier = Annotated[str, Query(min_length=1, max_length=LONGEST_ID, examples=["17850"])]
Length = Annotated[int, Query(ge=1, le=LONGEST, description="length of the list")]


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """A user's list, best first.

    Attributes:
        user: as asked.
        known: whether the model has learnt of the user; else the list is that of somebody nobody knows.
        bundle: number of the model that answered.
        items: the list.
    """

    user: str
    known: bool
    bundle: int
    items: list[RankedItem]


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """The items nearest to one, best first, by cosine."""

    item: str
    bundle: int
    items: list[RankedItem]


@dataclass(frozen=True, slots=True)
class FoldInAnswer:
    """The list of somebody who has taken some items, and which of these the model does not know."""

    unknown_items: list[str]
    bundle: int
    items: list[RankedItem]


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """How the service stands.

    Attributes:
        status: "ok", or "behind" where the newest bundle could not be taken up.
        bundle: number of the model that answers.
        made: when, UTC.
        age: seconds since.
        versions: of the store, that the model has learnt; empty for a run on files.
        data: fingerprint of the data that the run saw.
        users, items: that the model knows.
        form: "products": lists are computed on demand; "lists": they were computed when the bundle was made.
        longest: items of a list at most.
        scorer, strategy: what ranks, and how the model is updated.
        swaps: how often another bundle took the place of one.
        problem: why the newest bundle does not serve.
    """

    status: str
    bundle: int
    made: str
    age: float
    versions: list[int]
    data: str
    users: int
    items: int
    form: str
    longest: int
    scorer: str
    strategy: str
    swaps: int
    problem: str


class Endpoints:
    """What the service answers.

    Args:
        holder: of the bundle that serves.
        counts: of requests.
    """

    def __init__(self, holder: Holder, counts: RequestCounts) -> None:
        self.holder, self.counts = holder, counts

    def recommend(self, user: Identifier, k: Length = 10) -> UserAnswer:
        """Return the k best items that a user has not taken; an unknown user gets the list of somebody nobody knows."""
        answers = self.holder.answers
        items, known = answers.recommend(user, k)
        return UserAnswer(user, known, answers.bundle.number, items)

    def similar(self, item: Identifier, k: Length = 10) -> SimilarAnswer:
        """Return the k items whose vectors are nearest to an item's, by cosine; 404 where the model does not know it."""
        answers = self.holder.answers
        return SimilarAnswer(item, answers.bundle.number, answers.similar(item, k))

    def fold_in(
        self,
        items: Annotated[
            list[Annotated[str, Body(min_length=1, max_length=LONGEST_ID)]],
            Body(min_length=1, max_length=MOST_ITEMS, examples=[["22423", "85123A"]]),
        ],
        k: Annotated[int, Body(ge=1, le=LONGEST)] = 10,
    ) -> FoldInAnswer:
        """Return the k best items for somebody who has taken these, without a row in the model; nothing is stored."""
        answers = self.holder.answers
        found, unknown = answers.fold_in(items, k)
        return FoldInAnswer(unknown, answers.bundle.number, found)

    def health(self) -> HealthAnswer:
        """Return which model answers, how old it is, and why the newest does not, where it does not."""
        holder = self.holder
        said, problem = holder.answers.bundle.manifest, holder.problem
        return HealthAnswer(
            "behind" if problem else "ok",
            said.origin.number,
            said.made,
            self._age(),
            sorted(map(int, said.origin.versions)),
            said.origin.fingerprint,
            said.users,
            said.items,
            said.form,
            said.longest,
            said.scorer,
            said.origin.strategy,
            holder.swaps,
            problem.replace(str(holder.folder), "bundles"),
        )

    def metrics(self) -> Response:
        """Return what was counted, for Prometheus."""
        holder = self.holder
        gauges = {
            "gnnrec_bundle": ("gauge", "Number of the model that answers.", holder.answers.bundle.number),
            "gnnrec_bundle_age_seconds": ("gauge", "Seconds since its bundle was made.", self._age()),
            "gnnrec_swaps_total": ("counter", "Bundles that took the place of another.", holder.swaps),
            "gnnrec_behind": ("gauge", "1 where the newest bundle could not be taken up.", float(bool(holder.problem))),
        }
        return PlainTextResponse(self.counts.text(gauges), media_type="text/plain; version=0.0.4")

    def _age(self) -> float:
        made = datetime.fromisoformat(self.holder.answers.bundle.manifest.made)
        return round((datetime.now(UTC) - made).total_seconds(), 3)


def app_of(holder: Holder, token: str | None = None) -> Asgi:
    """Return the application.

    Args:
        holder: of the bundle that serves.
        token: that all endpoints but /health ask for; None: none.
    """
    counts = RequestCounts()
    at = Endpoints(holder, counts)
    app = FastAPI(title="gnnrec", version=__version__, docs_url=None, redoc_url=None)
    unknown: dict[int | str, dict[str, Any]] = {404: {"description": "the model does not know what was asked about"}}
    app.add_api_route("/recommend", at.recommend, methods=["GET"])
    app.add_api_route("/similar", at.similar, methods=["GET"], responses=unknown)
    app.add_api_route("/fold_in", at.fold_in, methods=["POST"], responses=unknown)
    app.add_api_route("/health", at.health, methods=["GET"])
    app.add_api_route("/metrics", at.metrics, methods=["GET"], response_class=PlainTextResponse)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return Door(app, counts, ENDPOINTS, token)


async def _wrong(_: Request, error: Exception) -> Response:
    """Say what was wrong with a request, without what was sent."""
    assert isinstance(error, RequestValidationError)
    said = [f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors()[:5]]
    return JSONResponse({"detail": one_line("; ".join(said))[:1000]}, 422)


async def _not_there(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": one_line(str(error))}, 404)


async def _cannot(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": one_line(str(error))}, 409)


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    RequestValidationError: _wrong,
    NotThereError: _not_there,
    GnnrecError: _cannot,
}


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that connections may come to.

    Raises:
        GnnrecError: the port is taken, or the host is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # By the protocol's number asyncio tells that small packets are to leave at once; without it an answer takes 40 ms more.
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)  # who asks from now on waits until the service has begun
    except (OSError, OverflowError) as error:
        raise GnnrecError(f"--host {host} --port {port}: {error}; choose another, or 0 for any that is free") from None
    return made


def server_of(app: Asgi) -> uvicorn.Server:
    """Return what answers until a signal comes, or `should_exit` is set; requests that have begun are answered."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        limit_concurrency=AT_ONCE,
    )
    return uvicorn.Server(config)
