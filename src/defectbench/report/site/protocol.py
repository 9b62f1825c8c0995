"""The page of the protocol: how parts are made, what they hold, how methods were trained and how all is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ...base.studies import base_protocol
from ..numbers import number, percent, whole
from ..records.cells import Entry, epochs_of, key_of
from ..table import HEADLINE, NAME, Column, Row, Shown, Table, word_column

MEANINGS = {
    "clean": "images that show the same surface stay in one part; training images are augmented after the split",
    "official": "the parts that the publisher of the set names",
    "random": "images are drawn one by one: what two of them share may stand in training and in test",
    "sequential": "images are taken in the order of their names: neighbours may stand in training and in test",
    "paper": "images are augmented first and split then, as papers do: copies of a test image may be trained on",
}


def part_table(entries: Sequence[Entry]) -> Table:
    """What the parts of each split hold and share."""
    columns = [
        word_column("place", "dataset, protocol", NAME),
        Column("train", "train", "images", whole, priority=2),
        Column("val", "val", "images", whole, priority=3),
        Column("test", "test", "images", whole, priority=2),
        Column("groups", "test", "groups", whole, priority=4),
        Column("leak", "seen in training", "% of test", percent, priority=HEADLINE),
        word_column("made", "how parts are made", 6),
    ]
    rows = []
    for place, block in groupby(entries, key=lambda entry: key_of(entry)[:2]):
        entry = next(block)
        figures = entry.certificate["figures"]
        values = {
            "place": ", ".join(place),
            **{part: figures["images"][part] for part in ("train", "val", "test")},
            "groups": entry.first.accuracy["figures"]["n_groups"],
            "leak": entry.leak_share,
            "made": MEANINGS.get(base_protocol(place[1]), ""),
        }
        path = entry.certificate_path.as_posix()
        shown = {"leak": Shown(percent(entry.leak_share), href=path)}
        rows.append(Row(values, shown))
    return Table("parts", "Parts", columns, rows, formats=("page",))


def training_table(entries: Sequence[Entry]) -> Table:
    """How each method was trained; every figure opens the record of its training."""
    columns = [
        word_column("title", "method", NAME),
        word_column("place", "dataset, protocol", 6),
        word_column("seeds", "seeds", 7),
        Column("epochs", "epochs", write=whole, priority=HEADLINE),
        Column("size_px", "size", "px", whole, priority=2),
        Column("batch", "batch", write=whole, priority=3),
        word_column("optimizer", "optimiser", 4),
        Column("lr", "rate", write=number, priority=5),
        word_column("precision", "precision", 8),
        word_column("device", "device", 9),
        Column("threads", "threads", write=whole, priority=10),
        Column("train_s", "training", "s", whole, priority=5),
    ]
    trained = [entry for entry in entries if entry.first.train]
    rows = [_trained(entry) for entry in trained]
    return Table("training", "Training", columns, rows, formats=("page",))


def _trained(entry: Entry) -> Row:
    train: dict[str, Any] = entry.first.train or {}
    figures, recipe = train["figures"], train.get("recipe") or {}
    optimizer = recipe.get("optimizer") or {}
    if isinstance(optimizer, str):  # a program's own word for it
        optimizer = {"name": optimizer, "lr": recipe.get("lr")}
    values = {
        "title": entry.title,
        "method": entry.first.method,
        "place": ", ".join(key_of(entry)[:2]),
        "seeds": " ".join(str(cell.seed) for cell in entry.cells),
        "epochs": epochs_of(train),
        "size_px": figures.get("size_px"),
        "batch": figures.get("batch"),
        "optimizer": optimizer.get("name"),
        "lr": optimizer.get("lr"),
        "precision": recipe.get("precision"),
        "device": train.get("device"),
        "threads": figures.get("threads"),
        "train_s": figures["train_s"],
    }
    path = (entry.first.folder / "train.json").as_posix()
    epochs = {"epochs": Shown(whole(values["epochs"]), href=path)}
    rate = {"lr": Shown(f"{values['lr']:g}")} if values["lr"] else {}
    return Row(values, epochs | rate)


def settings(entries: Sequence[Entry]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings of the measures, as the records state them; what differs between methods stands in their records.

    Returns:
        By task and measure, names and values of those that all methods and controls have in common.
    """
    seen: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        for measure in ("accuracy", "latency"):
            record = getattr(entry.first, measure)
            lines = dict(_lines((record or {}).get("settings", {})))
            if lines:
                seen.setdefault(f"{measure}, {entry.task}", []).append(lines)
    common = {name: _common(records) for name, records in seen.items()}
    return [(name, lines) for name, lines in common.items() if lines]


def _common(records: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    first, *others = records
    return [(n, v) for n, v in first.items() if all(other.get(n) == v for other in others)]


def _lines(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        words = f"{above}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from _lines(value, f"{words}, ")
        else:
            yield words, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def notes_of(tables: Sequence[Table]) -> list[tuple[str, Sequence[str]]]:
    """All notes of the comparisons."""
    return [(t.title, t.notes) for t in tables if "terminal" in t.formats and t.notes]
