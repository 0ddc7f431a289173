"""Categories and text as numbers: hashing of words, which needs no vocabulary and so knows nothing of the future.

Letters: n rows, h columns of the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from gnnrec.data.types import Singles

_WORD = r"[\p{L}\p{N}]+(?:[-'’][\p{L}\p{N}]+)*"


def hashed(frame: pl.DataFrame, columns: Sequence[str], width: int) -> Singles:
    """Return a row of numbers for each row of these text columns, [n, h]; NaN where none of them has a word.

    Each distinct word of a cell adds +1 or −1 at one place, both by a hash of column and word (Weinberger et al., "Feature
    hashing for large scale multitask learning", ICML 2009): genres such as ``Action|Sci-Fi`` become a multi-hot row, titles
    bags of words. Words are letters and digits, with hyphens and apostrophes inside, in lower case.
    """
    found = np.zeros((frame.height, width), np.float32)
    known = np.zeros(frame.height, bool)
    for name in columns:
        words = frame[name].cast(pl.String).str.to_lowercase().str.extract_all(_WORD).list.unique(maintain_order=True)
        pairs = pl.DataFrame({"row": np.arange(frame.height), "word": words}).explode("word").drop_nulls()
        every = pairs["word"].unique(maintain_order=True)
        places = [_place(name, word, width) for word in every]
        table = pl.DataFrame({"word": every, "at": [p for p, _ in places], "sign": [s for _, s in places]})
        joined = pairs.join(table, on="word", how="left", maintain_order="left")
        row = joined["row"].to_numpy()
        np.add.at(found, (row, joined["at"].to_numpy()), joined["sign"].to_numpy())
        known[row] = True
    found[~known] = np.nan
    return found


def _place(column: str, word: str, width: int) -> tuple[int, float]:
    number = int.from_bytes(hashlib.blake2b(f"{column}={word}".encode(), digest_size=8).digest(), "little")
    return (number >> 1) % width, 1.0 if number & 1 else -1.0
