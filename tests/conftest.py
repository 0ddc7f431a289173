"""What every suite shares: one thread where bytes are compared, and how to renew the golden run."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest

# ranx compiles for 25 s; numba reads this once, when the first of its users (PyG is one) is imported.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
pytest.register_assert_rewrite("support")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", r"ignore:.*isinstance\(treespec, LeafSpec\).*")
    config.addinivalue_line("filterwarnings", "ignore:.*torch.jit.script.*")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden run's numbers instead of comparing")


@pytest.fixture(scope="session", autouse=True)
def plug_ins_of_lightning() -> Iterator[None]:
    """Look once for callbacks that other distributions bring: every trainer does, 12 ms of each of thousands of fits."""
    from lightning_fabric.utilities import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", functools.cache(registry.entry_points))
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of floats depend on how they are split among threads, so bytes are compared on one."""
    from gnnrec.testing.worlds import one_thread as on_one_thread

    with on_one_thread():
        yield


@pytest.fixture(scope="session")
def forks() -> Iterator[object]:
    """Return what starts commands in processes of their own."""
    from support.forks import Forks

    with Forks() as started:
        yield started
