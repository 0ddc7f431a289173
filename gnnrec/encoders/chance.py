"""Randomness of training steps, such as noise and dropout: a generator for every draw, and a resumed run draws on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive


class Chance(nn.Module):
    """Hands out generators seeded by (seed, how many were handed out before).

    That number is a buffer, which states and checkpoints hold: a fit that was cut off goes on with the draws it would have had,
    and who trains outside of a fit, by `Learner.loop`, gets seeded draws too.

    Args:
        seed: of all draws.
    """

    drawn: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def generator(self) -> torch.Generator:
        """Return the next generator, on the device of the module."""
        made = torch.Generator(self.drawn.device).manual_seed(derive(self.seed, "noise", int(self.drawn)))
        self.drawn += 1
        return made


def dropped(x: Tensor, share: float, chance: torch.Generator, rows: bool = False) -> Tensor:
    """Return `x` [n, d] with this share of entries, or of whole rows, set to 0 and the others scaled up by 1 / (1 − share)."""
    shape = (len(x), 1) if rows else x.shape
    keep = torch.rand(shape, generator=chance, device=x.device, dtype=x.dtype) >= share
    return x * keep / (1 - share)


def checked_share(name: str, share: float) -> float:
    """Return a share that can be dropped.

    Raises:
        GnnrecError: it is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise GnnrecError(f"encoder.{name}={share} must be in [0, 1): it is the share that is dropped")
    return share
