"""Rows by their start, training part and epochs, so that those that differ in one can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.compressions import JOINT, base_method
from ...base.studies import base_protocol, train_share
from ...base.variants import is_variant, variant_of
from .cells import Entry, Key, epochs_of, key_of, method_title
from .comparison import ByFigure, score_interval


@dataclass(frozen=True)
class Trained:
    """A method with one start on one training part for one number of epochs.

    Attributes:
        dataset: Name of the set.
        protocol: How its parts are made, without what thins the training part.
        share: Share of the training part, percent; None where a list thins it.
        method: Name of the method, without its start and epochs.
        title: Its name in tables.
        start: Published weights that it starts from; None from scratch.
        train_images: Images of its training part.
        epochs: Passes over them.
        score: Mean over seeds.
        score_low: Lower end of its 95 % interval.
        score_high: Upper end.
    """

    dataset: str
    protocol: str
    share: int | None
    method: str
    title: str
    start: str | None
    train_images: int
    epochs: int
    score: float
    score_low: float
    score_high: float


def is_plain(entry: Entry) -> bool:
    """Whether a row is a method that was trained here, and was not made smaller."""
    method = entry.first.method
    if JOINT in method and not is_variant(method):
        return False
    return (
        not entry.first.is_control
        and entry.first.train is not None
        and not entry.first.compressed_by
    )


def pairs_of_starts(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Rows from published weights, each behind the same method from scratch of equal parts, epochs, size and batch."""
    scratch = {_place(e): e for e in entries if variant_of(e.first.method).start is None}
    return [
        (scratch[_place(entry)], entry)
        for entry in entries
        if variant_of(entry.first.method).start is not None and _place(entry) in scratch
    ]


def _place(entry: Entry) -> tuple[Any, ...]:
    dataset, protocol, method = key_of(entry)
    assert entry.first.train is not None
    figures = entry.first.train["figures"]
    budget = [figures.get(name) for name in ("epochs", "size_px", "batch")]
    return dataset, protocol, base_method(method), *budget


def trained_as(
    entry: Entry, figure: str, runs: Mapping[Key, ByFigure | None], models_dir: str | Path
) -> Trained:
    """A row with what figures sort it by."""
    dataset, protocol, method = key_of(entry)
    score = score_interval(entry, figure, runs.get(key_of(entry)))
    is_whole = protocol == base_protocol(protocol)
    assert entry.first.train is not None
    return Trained(
        dataset=dataset,
        protocol=base_protocol(protocol),
        share=100 if is_whole else train_share(protocol),
        method=base_method(method),
        title=method_title(base_method(method), models_dir),
        start=variant_of(method).start,
        train_images=entry.certificate["figures"]["images"]["train"],
        epochs=epochs_of(entry.first.train),
        score=score.estimate,
        score_low=score.low,
        score_high=score.high,
    )
