"""Which classifier is better, and where that cannot be told: accuracy and balanced accuracy, paired over groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from .class_rows import class_draws
from .collect import Cell, Entry
from .links import key_of
from .pairs import Draws, Pair, compare_entries, mean_over_seeds

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced"}  # and their words in tables


def compare_classifiers(entries: Sequence[Entry]) -> list[Pair]:
    """Compare all classifiers of each dataset and protocol: bases, what is cut from them, and controls of the cut.

    Args:
        entries: Those of ``find_entries`` whose task is classification.
    """
    return [
        pair
        for _, group in groupby(entries, key=lambda e: (e.first.dataset, e.first.protocol))
        for pair in compare_entries(list(group), figures=tuple(FIGURES), draws_of=seed_draws)
    ]


def seed_draws(cells: Sequence[Cell], resamples: int) -> Draws | None:
    """Scores of a classifier on resampled groups and seeds; as ``pairs.precision_draws``."""
    by_seed = [class_draws(cell, resamples) for cell in cells]
    known = [draws for draws in by_seed if draws is not None]
    return mean_over_seeds(known, tuple(FIGURES)) if len(known) == len(by_seed) else None


def pair_cells(pair: Pair, titles: dict[tuple[str, str, str], str]) -> list[str]:
    """A pair in words: place, figure, both methods, difference in points, groups, verdict, test."""
    first, second = (
        titles[pair.dataset, pair.protocol, name] for name in (pair.first, pair.second)
    )
    ends = f"[{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]"
    difference = f"{100 * pair.difference:+.1f} {ends}"
    place = [pair.dataset, pair.protocol, FIGURES[pair.figure]]
    return [*place, first, second, difference, str(pair.n_groups), pair.verdict, pair.test]


def titles_of(entries: Sequence[Entry]) -> dict[tuple[str, str, str], str]:
    """Names in tables by dataset, protocol and method."""
    return {key_of(entry): entry.title for entry in entries}


def pairs_markdown(pairs: Sequence[Pair], entries: Sequence[Entry]) -> str:
    """The pairs as Markdown."""
    names = "dataset, protocol, figure, first, second, difference in points, groups, verdict, test"
    heads = names.split(", ")
    lines = ["## Who is better\n", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    titles = titles_of(entries)
    lines += ["| " + " | ".join(pair_cells(pair, titles)) + " |" for pair in pairs]
    return "\n".join(lines) + "\n"
