"""Fine-tune: continue on the increment alone."""

from __future__ import annotations

from gnnrec.strategies.base import Strategy


class FineTune(Strategy):
    """Continue gradient descent from θ_{t−1} on the increment's events (the base class as it is)."""
