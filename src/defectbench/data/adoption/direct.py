"""Whether the suite reads a user's folder as it stands: then the card speaks of that folder itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...base.cards import DatasetCard
from ...base.errors import DefectBenchError
from ..formats.registry import BOX_READERS
from .finding import Found
from .importing import IMAGES, LABELS
from .reading import DEEPPCB, numbered
from .survey import Cleaned

MOST_NAMED = 6  # folders that a card lists; with more it takes the whole
MENDED = ("outside", "flat", "reversed")  # slips that a conversion does not pass
TOP = "."


def adopted_layout(found: Found) -> dict[str, Any]:
    """The layout of the folder that ``write_adopted`` makes."""
    if found.task.finds_boxes:
        return {"images": [IMAGES], "labels": [LABELS], "format": "voc"}
    return {"images": [TOP], "format": "folders"}


def unused_names(found: Found, layout: Mapping[str, Any]) -> list[str]:
    """Names that a list gives to numbers which no label has: there is nothing to learn of them."""
    known = {*found.classes, *found.spellings}
    return [name for name in layout.get("names", {}).values() if name not in known]


def direct_layout(found: Found, cleaned: Cleaned) -> dict[str, Any] | None:
    """The layout of a user's folder; None where something was mended or left out, or readers would pair otherwise.

    Args:
        found: What the folder holds.
        cleaned: Its boxes.
    """
    left_out = (found.unlabelled, found.alone, found.faults, found.templates, found.other_sizes)
    is_mended = any(left_out) or any(cleaned.slips.get(kind) for kind in MENDED)
    apart = any(box.apart for picture in found.pictures for box in picture.boxes)
    kinds = [*found.formats]
    if is_mended or apart or len(kinds) != 1 or kinds[0] not in BOX_READERS or kinds[0] == "masks":
        return None
    top = found.folder.top
    labels = [picture.label for picture in found.pictures if picture.label is not None]
    layout: dict[str, Any] = {
        "images": _folders(top, [picture.path for picture in found.pictures]),
        "labels": _folders(top, labels),
        "format": kinds[0],
    }
    if found.numbered:
        names = _numbers(found, 1 if kinds[0] == "deeppcb" else 0)
        if names is None:
            return None
        layout["names"] = names
    return layout if _is_read_alike(found, layout) else None


def _numbers(found: Found, first: int) -> dict[int, str] | None:
    """Class by number, where all labels were read by one list; numbers without a name are called by themselves."""
    if len(found.numbered) > 1:
        return None
    (listed,) = found.numbered
    known = numbered(listed or (DEEPPCB if first else ()), first, "type" if first else "class")
    used = {box.name for picture in found.pictures for box in picture.boxes}
    return {number: name for number, name in known.items() if name in used or name in listed}


def _folders(top: Path, paths: Sequence[Path]) -> list[str]:
    """Names of the folders that hold some files."""
    names = sorted({path.parent.name if path.parent != top else TOP for path in paths})
    return [TOP] if len(names) > MOST_NAMED else names


def _is_read_alike(found: Found, layout: dict[str, Any]) -> bool:
    """Whether the reader of the format joins the same pictures and labels."""
    content = {"name": "adopted", "title": "", "surface": "", "licence": "", "allow_empty": True}
    content |= {"classes": found.classes, "aliases": found.spellings, "layout": layout}
    content["drop"] = unused_names(found, layout)
    try:
        card = DatasetCard.model_validate({**content, "source": {"kind": "archive"}})
        opened = BOX_READERS[layout["format"]](card, found.folder.top)
    except (DefectBenchError, ValueError):
        return False
    theirs = {(pair.image, pair.label) for pair in opened.paired.pairs}
    return theirs == {(picture.path, picture.label) for picture in found.pictures}
