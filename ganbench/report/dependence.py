"""Dependence: the factors on which effects are shown to depend, by interactions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ganbench.analysis.interactions import Interaction

DATA_SET = "data set"
FACTOR_NAMES = {"trick × loss": "loss", "trick × variant": "variant", "trick × data": DATA_SET}


@dataclass(frozen=True)
class TrickDependence:
    """The factors on which the effect of each trick is shown to depend."""

    factors: dict[str, list[str]]  # of tricks: loss, variant, data set

    @classmethod
    def of(cls, interactions: Iterable[Interaction]) -> Self:
        factors: dict[str, list[str]] = {}
        for interaction in interactions:
            name = FACTOR_NAMES.get(interaction.kind)
            own = factors.setdefault(interaction.tricks, [])
            if name and interaction.verdict == "differs" and name not in own:
                own.append(name)
        return cls({tricks: own for tricks, own in factors.items() if own})

    def on_data(self, tricks: str) -> bool:
        return DATA_SET in self.factors.get(tricks, [])

    @property
    def varies_by_data(self) -> bool:
        """Returns whether the effect of some trick depends on the data set."""
        return any(map(self.on_data, self.factors))

    def within_data(self) -> "TrickDependence":
        """Returns the other factors, for answers within one data set."""
        return TrickDependence(
            {tricks: [f for f in own if f != DATA_SET] for tricks, own in self.factors.items()}
        )

    def note(self, tricks: str) -> str:
        """Returns a note such as `depends on loss and variant`; empty if none is shown."""
        factors = self.factors.get(tricks, [])
        return f"depends on {' and '.join(factors)}" if factors else ""
