"""The page of methods and datasets, from their cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..base.cards import DatasetCard, load_dataset_card
from ..base.methods import MethodCard, load_card, method_names
from ..report.numbers import number, whole
from .markdown import NOTICE, Page, table

_HEAD = """# Methods and datasets

A study takes methods from `models/` and datasets from `datasets/`. Each has a card; this page is made from the cards.

## Methods

Parameters and multiply-adds (MACs) are those of the deployed network for the number of classes and at the
input side that the card states; tests hold them to the unit. All methods are trained from scratch, also
where a paper starts from
pretrained weights. *Heavy* methods are left out of `methods: all` unless a study says `heavy: true`.
"""
_RECONSTRUCTED = """
## What is reconstructed

Some papers leave parts of their network open and publish no code. This is how such gaps were closed.
"""
_DATASETS = """
## Datasets

No image of a real dataset lies in this repository. The workflow fetches an archive and checks each file by its hash, or
takes a copy of yours that the study names under `mirrors`.
"""


def shelves_page(models_dir: str | Path = "models", datasets_dir: str | Path = "datasets") -> Page:
    """The page of all methods and datasets.

    Raises:
        ConfigError: A card is wrong.
    """
    methods = [load_card(Path(models_dir) / name) for name in method_names(models_dir)]
    datasets = [load_dataset_card(path) for path in sorted(Path(datasets_dir).glob("*.yaml"))]
    parts = [f"{NOTICE}\n{_HEAD}", methods_table(methods), _RECONSTRUCTED]
    parts += [_open_points(card) for card in methods if card.reconstructed]
    return Page("shelves.md", "\n".join([*parts, _DATASETS, datasets_table(datasets)]) + "\n")


def methods_table(cards: Sequence[MethodCard]) -> str:
    """A line a method."""
    headings = ["method", "folder", "task", "params", "MACs, M", "trained by", "source"]
    return table(headings, [_method_row(card) for card in cards], "lllrrl")


def _method_row(card: MethodCard) -> list[str]:
    size, macs = next(iter(card.golden.macs_m.items()), (None, None))
    by = "the engine" if card.family == "engine" else "a program of its own"
    return [
        card.title,
        f"`{card.name}`",
        f"{card.task}{', heavy' if card.heavy else ''}",
        whole(card.golden.params),
        f"{number(macs)} at {size} px" if macs else number(None),
        by,
        card.paper,
    ]


def _open_points(card: MethodCard) -> str:
    return "\n".join([f"**{card.title}**\n", *(f"- {point}" for point in card.reconstructed), ""])


def datasets_table(cards: Sequence[DatasetCard]) -> str:
    """A line a dataset."""
    rows = [
        [
            card.title,
            f"`{card.name}`",
            card.task,
            card.surface,
            str(len(card.classes)),
            card.licence,
        ]
        for card in cards
    ]
    return table(["dataset", "card", "task", "surface", "classes", "licence"], rows, "llllrl")
