"""An encoder that reads another one's tables in its own way."""

from __future__ import annotations

from torch import Tensor

from gnnrec.encoders.base import Encoder, EncoderStep


class Adapted(Encoder):
    """Has the tables of `inner`, not copies of them, and trains whole.

    Args:
        inner: whose rows are read.
    """

    def __init__(self, inner: Encoder) -> None:
        super().__init__(inner.width, inner.scale, inner.layers)
        self.user, self.item, self.inner, self.out = inner.user, inner.item, inner, inner.out

    def auxiliary(self, step: EncoderStep) -> Tensor | float:
        """Return what the encoder adds to the loss."""
        return self.inner.auxiliary(step)
