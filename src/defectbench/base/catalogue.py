"""What methods there are and what their cards say of them, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .methods import MethodCard, load_card, method_names
from .rates import Written


@dataclass(frozen=True)
class Catalogue:
    """The cards of all methods.

    Attributes:
        cards: By name, sorted.
    """

    cards: dict[str, MethodCard]

    @property
    def names(self) -> list[str]:
        """All of them."""
        return list(self.cards)

    @property
    def heavy(self) -> list[str]:
        """Those that ``methods: all`` of a study leaves out unless the study says ``heavy: true``."""
        return [name for name, card in self.cards.items() if card.heavy]

    @property
    def predicting(self) -> list[str]:
        """Those that make predictions instead of a model file."""
        return [name for name, card in self.cards.items() if card.artifact == "predictions"]

    @property
    def trained_by_engine(self) -> list[str]:
        """Those whose network the suite's own engine trains."""
        return [name for name, card in self.cards.items() if card.family == "engine"]

    @property
    def exporting(self) -> list[str]:
        """Those that make a model file."""
        return [name for name, card in self.cards.items() if card.artifact == "model"]

    @property
    def prunable(self) -> list[str]:
        """Those that a study may compress."""
        return [name for name, card in self.cards.items() if card.prunable]

    @property
    def rates(self) -> dict[str, Mapping[str, Written]]:
        """Rates of filter pruning by name, those of each."""
        return {name: card.rates for name, card in self.cards.items()}

    @property
    def starts(self) -> dict[str, list[str]]:
        """Names of the published weights that trainings of each method open: by the engine, or its own program."""
        by_program = self.started_by_program
        return {
            name: [
                start
                for start, weights in self.cards[name].weights.items()
                if weights.is_of_program == (name in by_program)
            ]
            for name in (*self.trained_by_engine, *by_program)
        }

    @property
    def started_by_program(self) -> list[str]:
        """Methods whose own program opens published weights."""
        return [
            name
            for name, card in self.cards.items()
            if any(weights.is_of_program for weights in card.weights.values())
        ]

    @property
    def tasks(self) -> dict[str, str]:
        """What each solves."""
        return {name: card.task for name, card in self.cards.items()}


def load_catalogue(models_dir: str | Path = "models") -> Catalogue:
    """Read all cards.

    Raises:
        ConfigError: A card is wrong.
    """
    folder = Path(models_dir)
    return Catalogue({name: load_card(folder / name) for name in method_names(folder)})
