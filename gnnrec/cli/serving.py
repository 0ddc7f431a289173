"""`gnnrec export` and `serve`: a run's model, to be served."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gnnrec.cli.live import settings
from gnnrec.cli.parse import Parser
from gnnrec.core.errors import GnnrecError
from gnnrec.core.signals import Interrupted

if TYPE_CHECKING:
    from gnnrec.runs.saved import Saved
    from gnnrec.serving.bundle import Bundle
    from gnnrec.serving.holder import Holder
    from gnnrec.serving.make import Served


def export(rest: Sequence[str]) -> int:
    """Write the bundle of a run's model, and what else is asked for."""
    parser = Parser(
        prog="gnnrec export", description="Write what a run serves as a bundle: RUN/bundles.", allow_abbrev=False
    )
    _add_run(parser)
    parser.add_argument(
        "--since", type=int, metavar="N", help="and what is new against bundle N, for an index of vectors"
    )
    parser.add_argument("--lists", type=Path, metavar="FILE", help="and every user's list, to a .parquet file")
    parser.add_argument("-k", type=int, default=100, help="with --lists: length of a list (default 100)")
    parser.add_argument("--index", metavar="KIND", help="an index of items in the bundle: faiss")
    given = parser.parse_args(rest)
    from gnnrec.live import publish
    from gnnrec.runs.folder import locked
    from gnnrec.runs.progress import Progress
    from gnnrec.runs.saved import one
    from gnnrec.serving import delta
    from gnnrec.serving.lists import check_target, written
    from gnnrec.serving.recommend import check_length, lists

    if given.lists is not None and given.lists.suffix.lower() != ".parquet":
        raise GnnrecError(
            f"--lists {given.lists} must end in .parquet; `gnnrec recommend --all --output` writes others"
        )
    check_target(given.lists, "--lists")
    check_length(given.k)
    run = one(given.run)
    folder, begin = publish.bundles_of(run.folder), time.perf_counter()
    made = None if given.lists or given.index else standing(run)
    if made is None:
        served = serving(run, given.allow, given.data)
        loaded, begin = time.perf_counter() - begin, time.perf_counter()
        made = publish.publish(run.folder, served, settings(run)["live"], given.index)
        print(f"{_said(made, folder)} ({time.perf_counter() - begin:.2f} s, after {loaded:.1f} s for the model)")
    else:
        print(f"{_said(made, folder)} (is there already)")
    if given.since is not None:
        with locked(folder, wait=Progress()):
            way = delta.since(folder, given.since, made)
            print(f"{way.text()}: {delta.write(folder, way)}")
    if given.lists is not None:
        found = lists(served.learner, served, None, given.k, served.scorer)
        print(written(found, given.lists, "--lists"))
    return 0


def serve(rest: Sequence[str]) -> int:
    """Answer over HTTP from a run's bundle until a signal comes."""
    parser = Parser(prog="gnnrec serve", description="Serve a run's model over HTTP.", allow_abbrev=False)
    _add_run(parser)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds the token that is asked for (or GNNREC_TOKEN)"
    )
    given = parser.parse_args(rest)
    from gnnrec.serving.door import check_host, token_of

    token = token_of(given.token_file, os.environ.get("GNNREC_TOKEN"))
    check_host(given.host, token)
    try:
        from gnnrec.serving import service
    except ImportError as error:
        raise GnnrecError(f"gnnrec serve needs FastAPI and uvicorn ({error}): pip install 'gnnrec[serve]'") from None
    import torch

    holder = _holder(given.run, given.allow, given.data)
    torch.set_num_threads(1)  # requests are answered beside each other
    at = service.listening(given.host, given.port)
    print(
        f"bundle {holder.answers.bundle.number} of {given.run}: http://{given.host}:{at.getsockname()[1]}", flush=True
    )
    holder.watch()
    try:
        service.server_of(service.app_of(holder, token)).run(sockets=[at])
    except Interrupted:
        pass  # the usual end of a service, after the last answer
    finally:
        holder.close()
    print("stopped", flush=True)
    return 0


def _holder(folder: Path, allow: Sequence[str], data: Sequence[str]) -> Holder:
    """Return what holds the bundle of a run, made where there is none that is whole; a bundle needs no run beside it."""
    from gnnrec.serving.holder import Holder

    if (folder / "bundles").is_dir():
        with suppress(GnnrecError):
            return Holder(folder / "bundles")
    from gnnrec.live import publish
    from gnnrec.runs.saved import one

    run = one(folder)
    if standing(run) is None:
        publish.publish(run.folder, serving(run, allow, data), settings(run)["live"])
    return Holder(publish.bundles_of(run.folder))


def serving(run: Saved, allow: Sequence[str], data: Sequence[str]) -> Served:
    """Return what a run serves."""
    from gnnrec.cli.train import prepare
    from gnnrec.live.served import served

    prepare(run.config)
    return served(run, settings(run), allow, data)


def standing(run: Saved) -> Bundle | None:
    """Return the bundle that serves, where it is whole and in step with the run; else None."""
    from gnnrec.live import publish
    from gnnrec.live.served import number_of, state_of
    from gnnrec.serving import bundle

    try:
        place = bundle.pointed(publish.bundles_of(run.folder))
        found = None if place is None else bundle.read(place)
    except GnnrecError:
        return None
    if found is None:
        return None
    number = number_of(run)
    return found if (found.number, found.manifest.origin.state) == (number, state_of(run, number)) else None


def _said(made: Bundle, folder: Path) -> str:
    from gnnrec.serving import bundle

    said, place = made.manifest, bundle.place(folder, made.number)
    size = sum(p.stat().st_size for p in place.iterdir()) / 2**20
    index = ", ".join(f"{name} {value:.3f}" for name, value in said.index.items())
    index = f", index of {index} against exact search" if index else ""
    form = f"lists of {said.longest} ({said.why})" if said.why else f"{said.scorer} on demand"
    return f"{place}: {said.users:,} users, {said.items:,} items, {form}, {size:.1f} MiB{index}"


def _add_run(parser: Parser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="plug-ins the run may import")
    parser.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="where the log or store lies now, if it has moved"
    )
