"""The datasets on the shelf: what each is, how it is got, and whether it is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.cards import DatasetCard
from ..base.mirrors import is_address, local_mirror
from ..base.places import RESULTS

COLUMNS = ("name", "task", "images", "MiB", "here", "how to get it", "licence")
_RIGHT = ("images", "MiB")
_GAP = "  "


def shelf_entries(
    cards: Sequence[DatasetCard],
    mirrors: Mapping[str, str] | None = None,
    results: str | Path = RESULTS,
) -> list[dict[str, Any]]:
    """What is known of each dataset, for JSON.

    Args:
        cards: Their cards.
        mirrors: Archives, folders or addresses that a study names, by dataset.
        results: Folder of the results, which may hold their data.
    """
    return [_entry(card, (mirrors or {}).get(card.name), Path(results)) for card in cards]


def _entry(card: DatasetCard, mirror: str | None, results: Path) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "also_called": card.also_called,
        "task": card.task,
        "images": card.n_images,
        "classes": card.classes,
        "download_mib": card.source.download_mib,
        "licence": card.licence,
        "allows": card.allows.model_dump(),
        "how": _way(card),
        "get": {
            "urls": card.source.urls,
            "pages": [{"address": page.address, "note": page.note} for page in card.source.pages],
            "by_hand": card.source.place_here,
        },
        "here": _here(card, mirror, results),
        "protocols": {"customary": card.protocols.customary, "groups": _groups(card)},
        "unconfirmed": card.unconfirmed,
    }


def _way(card: DatasetCard) -> str:
    """How it is got, in few words."""
    if card.source.kind == "synthetic":
        return "made here"
    if card.source.kind == "package":
        return "a Python package"
    if card.source.urls:
        return "fetched"
    if card.source.pages:
        return f"by hand: {card.source.pages[0].address}"
    return "a folder of your own"


def _groups(card: DatasetCard) -> str | None:
    return card.grouping.of if card.grouping else None


def _here(card: DatasetCard, mirror: str | None, results: Path) -> str:
    """Where it is on this machine, in few words; empty where it is not."""
    folder = results / "data" / card.name
    if (folder / "annotations.json").is_file():
        return "converted"
    if (folder / "source.json").is_file():
        return "raw"
    if mirror and not is_address(mirror) and local_mirror(mirror).exists():
        return "mirror"
    return ""


def shelf_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same as a table in lines, columns aligned."""
    rows = [COLUMNS, *(_cells(entry) for entry in entries)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    return [
        _GAP.join(
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    images, size = entry["images"], entry["download_mib"]
    return (
        entry["name"],
        entry["task"],
        f"{images:,}" if images else "-",
        f"{size:,}" if size else "-",
        entry["here"] or "no",
        entry["how"],
        entry["licence"],
    )
