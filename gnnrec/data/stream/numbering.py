"""Row numbers of nodes: given out at the first absorbed event, so that "the world at t" is a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gnnrec.data.types import Ints


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers for the codes of one side (users or items).

    Attributes:
        number: [codes] row number of each code; codes without any event come last.
        code: [codes] the inverse: the code behind each number.
        known: [t] how many are numbered after each increment.
    """

    number: Ints
    code: Ints
    known: Ints


def number(codes: Ints, size: int, absorbed: Sequence[slice], ends: Sequence[int]) -> Numbering:
    """Number codes by first absorbed event; those never absorbed follow in order of first appearance in the log.

    Args:
        codes: [n] code of each row of the log.
        size: number of codes.
        absorbed: slices of rows in order of absorption.
        ends: [t] how many of these slices are absorbed after each increment.
    """
    taken = [codes[part] for part in absorbed]
    order = np.concatenate([*taken, codes])
    first = np.full(size, len(order), np.int64)
    np.minimum.at(first, order, np.arange(len(order)))
    code = np.argsort(first, kind="stable").astype(np.int64)
    back = np.empty(size, np.int64)
    back[code] = np.arange(size)
    lengths = np.cumsum([0, *(len(part) for part in taken)])
    known = np.searchsorted(first[code], lengths[list(ends)], side="left").astype(np.int64)
    return Numbering(back, code, known)
