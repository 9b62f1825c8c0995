"""Rows by their start, training part and epochs, so that those that differ in one can be compared."""

from __future__ import annotations

import json
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
        budget: Side of the input, batch and tiles, in words.
        recipe: How it learns but for the number of epochs, to be compared.
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
    budget: str
    recipe: str
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
    """Rows from published weights, each behind the same method from scratch, of equal parts and budget."""
    scratch = {_place(e): e for e in entries if variant_of(e.first.method).start is None}
    return [
        (scratch[_place(entry)], entry)
        for entry in entries
        if variant_of(entry.first.method).start is not None and _place(entry) in scratch
    ]


def _place(entry: Entry) -> tuple[Any, ...]:
    dataset, protocol, method = key_of(entry)
    epochs = _train(entry)["figures"].get("epochs")
    return dataset, protocol, base_method(method), epochs, _budget(entry)


def _train(entry: Entry) -> dict[str, Any]:
    assert entry.first.train is not None
    return entry.first.train


def _budget(entry: Entry) -> str:
    """Side, batch and tiles of a training."""
    figures, tiles = _train(entry)["figures"], _train(entry).get("tiles")
    told = f"{figures.get('size_px')} px, batch {figures.get('batch')}"
    return f"{told}, tiles {json.dumps(tiles, sort_keys=True)}" if tiles else told


def differing_fields(first: Entry, second: Entry) -> list[str]:
    """Dotted names of the fields that the recipes of two trainings differ in, sorted."""
    one, other = (_flat(_recipe(entry)) for entry in (first, second))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _recipe(entry: Entry) -> dict[str, Any]:
    """The recipe of a training without what says its start or follows from its epochs, as programs write it."""
    recipe = _train(entry).get("recipe") or {}
    return {name: value for name, value in recipe.items() if name not in ("pretrained", "patience")}


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The leaves of a recipe by dotted name.

    Example:
        >>> _flat({"a": 1, "b": {"c": 2, "d": {}}})
        {'a': 1, 'b.c': 2, 'b.d': {}}
    """
    leaves: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and value:
            leaves |= _flat(value, f"{before}{name}.")
        else:
            leaves[f"{before}{name}"] = value
    return leaves


def trained_as(
    entry: Entry, figure: str, runs: Mapping[Key, ByFigure | None], models_dir: str | Path
) -> Trained:
    """A row with what figures sort it by."""
    dataset, protocol, method = key_of(entry)
    score = score_interval(entry, figure, runs.get(key_of(entry)))
    is_whole = protocol == base_protocol(protocol)
    recipe = {name: value for name, value in _recipe(entry).items() if name != "epochs"}
    return Trained(
        dataset=dataset,
        protocol=base_protocol(protocol),
        share=100 if is_whole else train_share(protocol),
        method=base_method(method),
        title=method_title(base_method(method), models_dir),
        start=variant_of(method).start,
        train_images=entry.certificate["figures"]["images"]["train"],
        epochs=epochs_of(_train(entry)),
        budget=_budget(entry),
        recipe=json.dumps(recipe, sort_keys=True),
        score=score.estimate,
        score_low=score.low,
        score_high=score.high,
    )
