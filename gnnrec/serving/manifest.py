"""What a bundle says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gnnrec.core.errors import GnnrecError

FORMAT = 2
NAME = "manifest.json"
PRODUCTS, LISTS = "products", "lists"
"""Forms: lists are computed on demand from tables, or were computed when the bundle was made."""
LONGEST = 200
"""Items of a list at most."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a bundle was made from.

    Attributes:
        number: of the champion; 0: the run's own model.
        versions: of the store that the model has absorbed, and what their rows hash to; empty for a run on files.
        fingerprint: of the data that the run saw.
        configuration: SHA-256 of the run's configuration.
        strategy: the run's, by its class.
        valid: metrics of the run's model on its last valid events, of the scorer that serves.
        state: SHA-256 of the state that the model was read from.
    """

    number: int
    versions: Mapping[str, str]
    fingerprint: str
    configuration: str
    strategy: str
    valid: Mapping[str, float]
    state: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is.

    Attributes:
        origin: what it was made from.
        made: when, UTC.
        form: `PRODUCTS` or `LISTS`.
        why: where lists were computed beforehand, why.
        scorer: "blend" or "model".
        weights: of the blend, where it serves and lists are computed on demand.
        users, items, width: of the tables.
        length: of all users' vectors, where scores are by angle.
        longest: items of a list at most.
        seed: of the order that breaks ties.
        mask: "absorbed" where what a user has is not offered again, else "none".
        ridge, scale: of the vector of somebody who is in no table.
        index: recall of the index in the bundle against exact search, by "recall@k"; empty: there is none.
        files: SHA-256 by name.
        gnnrec: version that made it.
    """

    origin: Origin
    made: str
    form: str
    why: str
    scorer: str
    weights: Mapping[str, float | None] | None
    users: int
    items: int
    width: int
    length: float | None
    longest: int
    seed: int
    mask: str
    ridge: float
    scale: float
    index: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gnnrec: str = ""
    format: int = FORMAT

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @staticmethod
    def of(text: str) -> Manifest:
        """Return the manifest that `text` gave.

        Raises:
            GnnrecError: another version of gnnrec wrote it.
            ValueError, KeyError, TypeError: it is none.
        """
        found: dict[str, Any] = json.loads(text)
        if (version := found["format"]) != FORMAT:
            raise GnnrecError(
                f"the bundle was written by another version of gnnrec (format {version}, this one has {FORMAT}); "
                "`gnnrec export RUN` makes it anew"
            )
        return Manifest(**{**found, "origin": Origin(**found["origin"])})
