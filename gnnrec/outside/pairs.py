"""What adapters share: the distinct pairs of what is released, libraries that may be missing, the best places of scores."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Ints
from gnnrec.outside.base import Released


def matrix(observed: Released) -> sparse.csr_matrix:
    """Return the distinct pairs as ones, float32 [num_users, num_items]."""
    events = observed.events
    shape = observed.num_users, observed.num_items
    x = sparse.csr_matrix((np.ones(len(events), np.float32), (events.user, events.item)), shape=shape)
    x.data[:] = 1
    return x


def best(scores: NDArray[np.float32], k: int) -> Ints:
    """Return the columns of the k largest scores of each row, [n, k]; of equal ones the lower number first."""
    order: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order.astype(np.int64)


def library(module: str, install: str) -> Any:
    """Return a module of a library that is no dependency.

    Raises:
        GnnrecError: it is not here, or does not fit what is.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise GnnrecError(f"{module} cannot be imported ({one_line(str(error))}): {install}") from error


def named(path: str, install: str) -> Any:
    """Return the class at a dotted path of such a library.

    Raises:
        GnnrecError: the library is not here, or has no such class.
    """
    module, _, name = path.rpartition(".")
    found = getattr(library(module, install), name, None)
    if not callable(found):
        raise GnnrecError(f"model={one_line(path)} is no class of {module}")
    return found
