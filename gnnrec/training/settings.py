"""How to fit: the settings every strategy shares, so that a table compares strategies and not budgets."""

from __future__ import annotations

from dataclasses import dataclass

from gnnrec.core.errors import GnnrecError, nearest


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Settings of one fit.

    Attributes:
        lr: Adam's learning rate.
        batch_size: events per step.
        max_epochs: most passes over the events.
        patience: epochs without a better valid metric before stopping.
        margin: standard errors, over the users of valid, by which an epoch must be better than the start to take its place.
            Of many epochs one is above by chance; where the start already ranks by what is in fashion it costs what comes
            next. The rule of one standard error (Breiman et al., "Classification and regression trees", 1984).
        epochs_without_valid: passes when valid holds no event to select on.
        budget: "converge" stops early on valid; "ahead" trains as many epochs as would have served best what came next after
            earlier updates (`gnnrec.training.ahead`), and stops the base early, before which there is none; "equal" takes
            exactly `steps` optimiser steps and selects nothing.
        steps: optimiser steps under "equal".
        rows: "all" trains every row; "touched" those of the fitted events' nodes, against one propagation of the others,
            where the encoder is linear in its rows (`Touched`); others train all.
        optimiser_state: "reset" starts Adam afresh every increment, "carry" keeps its moments (new rows start at 0).
    """

    lr: float = 1e-2
    batch_size: int = 2048
    max_epochs: int = 60
    patience: int = 10
    margin: float = 0.0
    epochs_without_valid: int = 5
    budget: str = "converge"
    steps: int = 0
    rows: str = "all"
    optimiser_state: str = "reset"

    def __post_init__(self) -> None:
        _one_of("fit.budget", self.budget, ("converge", "ahead", "equal"))
        _one_of("fit.rows", self.rows, ("all", "touched"))
        _one_of("fit.optimiser_state", self.optimiser_state, ("reset", "carry"))
        if (self.rows, self.optimiser_state) == ("touched", "carry"):
            raise GnnrecError("fit.rows=touched trains other rows every time; it needs fit.optimiser_state=reset")
        for name in ("lr", "batch_size", "max_epochs", "patience"):
            if not getattr(self, name) > 0:
                raise GnnrecError(f"fit.{name} must be greater than 0, got {getattr(self, name)}")
        if not self.margin >= 0:
            raise GnnrecError(f"fit.margin must be 0 or greater, got {self.margin}")
        if self.budget == "equal" and self.steps <= 0:
            raise GnnrecError(f"fit.budget=equal needs fit.steps greater than 0, got {self.steps}")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise GnnrecError(f"{name}={value} is not known{nearest(str(value), allowed)}")
