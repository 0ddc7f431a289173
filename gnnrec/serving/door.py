"""The door of a service: who may ask, how much may be sent, and what is counted; plain ASGI, before any endpoint."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import check_private
from gnnrec.serving.metrics import RequestCounts

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST = 2 << 20
"""Bytes of a request's body at most."""
PATIENCE = 10.0
"""Seconds that a body may take to arrive."""
OPEN = "/health"
"""The endpoint that needs no token."""
SHORTEST = 16
"""Characters of a token at least."""


class Door:
    """Lets requests through to an application.

    Args:
        app: what answers.
        counts: where requests are counted.
        endpoints: paths that are counted by name; others count as "other".
        token: that every endpoint but `OPEN` asks for; None: none is asked for, and only requests to this machine by a
            name of its own are let in: the pages of others that a browser shows could ask by a name that leads here.
    """

    def __init__(self, app: Asgi, counts: RequestCounts, endpoints: Collection[str], token: str | None) -> None:
        self.app, self.counts, self.endpoints = app, counts, frozenset(endpoints)
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), [500]

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self._admit(scope, receive, noted)
        finally:
            path = scope["path"] if scope["path"] in self.endpoints else "other"
            self.counts.note(path, status[0], time.perf_counter() - begin)

    async def _admit(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self._expected is None and not is_here(_host_of(headers.get(b"host", b""))):
            await _refuse(send, 421, "this service answers to localhost and 127.0.0.1; with a token to every name")
            return
        if scope["path"] != OPEN and not self._known(headers.get(b"authorization", b"")):
            await _refuse(send, 401, "this service needs a header `Authorization: Bearer TOKEN`")
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15 or int(length) > LARGEST:
            await _refuse(send, 413, f"a body may have {LARGEST:,} bytes at most")
            return
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_read(receive), PATIENCE)
        except TimeoutError:
            await _refuse(send, 408, "the body did not arrive in time")
            return
        if body is None:
            await _refuse(send, 413, f"a body may have {LARGEST:,} bytes at most")
            return
        await self.app(scope, _again(body, receive), send)

    def _known(self, given: bytes) -> bool:
        return self._expected is None or hmac.compare_digest(given, self._expected)


async def _read(receive: Receive) -> bytes | None:
    """Return a request's body; None: it is too long."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body as if it came now, and then what comes next."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return waiting.pop() if waiting else await receive()

    return give


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": why}).encode()})


def token_of(file: Path | None, environment: str | None) -> str | None:
    """Return the token that is asked for, from a file or the environment; None: none.

    Raises:
        GnnrecError: the file cannot be read, or by others too, or the token is short or has odd characters.
    """
    if file is None and not environment:
        return None
    where = "GNNREC_TOKEN" if file is None else f"--token-file {file}"
    try:
        found = (environment or "") if file is None else file.read_text(encoding="ascii")
        if file is not None:
            check_private(file, where)
    except (OSError, ValueError) as error:
        raise GnnrecError(f"{where} cannot be read: {error}") from None
    token = found.strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise GnnrecError(f"{where} holds no token: {SHORTEST} or more letters, digits and signs, in one line")
    return token


def is_here(host: str) -> bool:
    """Return whether a name or an address is this machine's own, which no other can reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(header: bytes) -> str:
    """Return the name in a header `Host`, without the port; "" where it has none."""
    try:
        return urlsplit(f"//{header.decode('ascii')}").hostname or ""
    except ValueError:
        return ""


def check_host(host: str, token: str | None) -> None:
    """Refuse to listen to others than this machine without a token.

    Raises:
        GnnrecError: says what to do.
    """
    if not is_here(host) and token is None:
        raise GnnrecError(
            f"--host {host} lets other machines ask, and nobody is asked who they are; give --token-file FILE or GNNREC_TOKEN, "
            "or leave it at 127.0.0.1"
        )
