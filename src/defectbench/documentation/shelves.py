"""The page of methods and datasets, from their cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..base.cards import DatasetCard, load_shelf
from ..base.methods import MethodCard, load_card, method_names
from ..report.numbers import number, whole
from .markdown import NOTICE, Page, table

_HEAD = """# Methods and datasets

A study takes methods from `models/` and datasets from `datasets/`. Each has a card; this page is made from the cards.

## Methods

Parameters and multiply-adds (MACs) are those of the deployed network for the number of classes and at the
input side that the card states; tests hold them to the unit. Parameters are counted with batch norms, as papers do;
tables of studies count the file, in which these are folded: a little fewer.

Methods are trained from scratch, also where a paper starts from pretrained weights, unless a study names one of the
*starts* here ([Published weights](weights.md)). *Heavy* methods are left out of `methods: all` unless a study says
`heavy: true`; *prunable* ones can be [made smaller](compression.md).
"""
_RECONSTRUCTED = """
## What is reconstructed

Some papers leave parts of their network open and publish no code. This is how such gaps were closed.
"""
_DATASETS = """
## Datasets

No image of a real dataset lies in this repository. The workflow fetches an archive and checks each file by its hash, or
takes a copy of yours that the study names under `mirrors`. `defectbench datasets` prints this list and says which are
here. A set that no program can get is left out of a study that names no copy of it, and the report says so.
"""
_WAYS = """
### How to get them, and what may be done with them

What a licence does not say is *not stated*: ask its publisher.
"""
_CUSTOMS = """
### How they are divided

*Customary* is the protocol here that is nearest to what papers do; `clean` keeps together what shares surface, and
what the card groups by name.
"""
_UNCONFIRMED = """
### What is unconfirmed

These cards hold readings of ours, or what others print and we could not check.
"""


def shelves_page(models_dir: str | Path = "models", datasets_dir: str | Path = "datasets") -> Page:
    """The page of all methods and datasets.

    Raises:
        ConfigError: A card is wrong.
    """
    methods = [load_card(Path(models_dir) / name) for name in method_names(models_dir)]
    datasets = load_shelf(datasets_dir)
    parts = [f"{NOTICE}\n{_HEAD}", methods_table(methods), _RECONSTRUCTED]
    parts += [_open_points(card) for card in methods if card.reconstructed]
    parts += [_DATASETS, datasets_table(datasets), _WAYS, ways_table(datasets)]
    parts += [_CUSTOMS, customs_table(datasets), _UNCONFIRMED]
    parts += [f"- **{card.title}**: {card.unconfirmed}." for card in datasets if card.unconfirmed]
    return Page("shelves.md", "\n".join(parts) + "\n")


def methods_table(cards: Sequence[MethodCard]) -> str:
    """A line a method."""
    headings = ["method", "folder", "task", "params", "MACs, M", "trained by", "starts", "source"]
    return table(headings, [_method_row(card) for card in cards], "lllrrlll")


def _method_row(card: MethodCard) -> list[str]:
    size, macs = next(iter(card.golden.macs_m.items()), (None, None))
    by = "the engine" if card.family == "engine" else "a program of its own"
    marks = {"heavy": card.heavy, "prunable": card.prunable}
    return [
        card.title,
        f"`{card.name}`",
        ", ".join([card.task, *(word for word, holds in marks.items() if holds)]),
        whole(card.golden.params),
        f"{number(macs)} at {size} px" if macs else number(None),
        by,
        ", ".join(f"`{name}`" for name in card.weights),
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
            whole(card.n_images) if card.n_images else "",
            str(len(card.classes)),
            card.licence,
        ]
        for card in cards
    ]
    headings = ["dataset", "card", "task", "surface", "images", "classes", "licence"]
    return table(headings, rows, "llllrrl")


def ways_table(cards: Sequence[DatasetCard]) -> str:
    """How each dataset is got and what its licence allows; those that are made here are left out."""
    rows = [
        [
            f"`{card.name}`",
            _way(card),
            f"{card.source.download_mib:,} MiB" if card.source.download_mib else "",
            card.allows.research,
            card.allows.commercial,
            card.allows.redistribution,
        ]
        for card in cards
        if card.source.kind != "synthetic"
    ]
    headings = ["card", "how to get it", "size", "research", "commercial", "to give on"]
    return table(headings, rows, "llrlll")


def _way(card: DatasetCard) -> str:
    if card.source.urls:
        return "fetched"
    told = ", or ".join(
        f"[{page.id}]({page.address}){page.told_note}" for page in card.source.pages
    )
    return "; ".join(filter(None, (told, card.source.place_here)))


def customs_table(cards: Sequence[DatasetCard]) -> str:
    """How papers divide each dataset for detection, and what an honest split keeps together."""
    rows = [
        [f"`{card.name}`", card.protocols.customary, card.protocols.papers, card.protocols.clean]
        for card in cards
        if card.protocols.papers
    ]
    headings = ["card", "customary", "what papers do", "what `clean` keeps together"]
    return table(headings, rows, "llll")
