"""The card and the study of an adopted folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...base.cards import load_dataset_card
from ...base.errors import ConfigError
from ...base.files import atomic_write_text
from ...base.studies import load_study
from .finding import Found

MARK = "# Written by `defectbench adopt`; adopt the folder again after a change of its pictures or labels."
_FALLBACK = "my-set"
SHORT = {  # for trainings that are much shorter than those which recipes are made for; see docs/recipes.md
    "optimizer.name": "adamw",
    "optimizer.lr": 0.002,
    "grad_clip": 10,
    "schedule.kind": "cosine",
    "schedule.per": "step",
    "schedule.warmup_steps": 50,
    "schedule.warmup_epochs": 0,
    "ema": {"decay": 0.9998, "tau": 2000, "short_run_share": 0.05},
    "augmentation.scale": [1.0, 1.0],
    "augmentation.stretch": [1.0, 1.0],
    "augmentation.translate": 0.0,
    "augmentation.flip_lr": 0.5,
    "augmentation.flip_ud": 0.5,
    "augmentation.mosaic": 0.0,
    "validate_every": 1000,
}


def set_name(folder: str | Path) -> str:
    """A name of a dataset, made of a folder's.

    Example:
        >>> set_name("/data/Line 2_Plates")
        'line-2-plates'
    """
    stem = Path(folder).resolve().name.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:60] or _FALLBACK


def check_free(path: Path) -> None:
    """Check that a card or study may be written.

    Raises:
        ConfigError: There is one that a person wrote.
    """
    if path.is_file() and not path.read_text(encoding="utf-8").startswith(MARK):
        raise ConfigError(path, "file", "one that `adopt` did not write", "give another --name")


def write_card(
    found: Found,
    name: str,
    path: Path,
    layout: Mapping[str, Any],
    aliases: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
) -> None:
    """Write the card of an adopted set; one that says the same stays as it is.

    Args:
        found: What the folder holds.
        name: The dataset's.
        path: The file.
        layout: Where images and labels lie in what the study names as the set's mirror.
        aliases: Class by other spellings that the labels there use.
        drop: Classes that are listed there and that no label has.
    """
    folder = found.folder.top.resolve()
    content: dict[str, Any] = {
        "name": name,
        "title": folder.name,
        "task": found.task.name,
        "surface": f"as in the folder {folder.name}; labels there: {', '.join(found.formats)}",
        "classes": found.classes,
        "source": {
            "kind": "archive",
            "place_here": f"run `defectbench adopt` on the folder {folder.name}",
        },
        "layout": dict(layout),
        "licence": "the owner's; write here what may be done with it",
    }
    if found.task.finds_boxes:
        content["allow_empty"] = True
    if aliases:
        content["aliases"] = dict(aliases)
    if drop:
        content["drop"] = [*drop]
    _write(path, content)
    load_dataset_card(path)


def write_study(
    name: str,
    study: str,
    mirror: Path,
    methods: list[str],
    path: Path,
    finds_boxes: bool = True,
    seeds: Sequence[int] = (0,),
    latency: Mapping[str, int] | None = None,
    split_seed: int = 0,
    **budget: Any,
) -> None:
    """Write the study of an adopted set; one that says the same stays as it is.

    Args:
        name: The dataset's.
        study: Name of the study.
        mirror: Folder that the card describes.
        methods: Methods to train.
        path: The file.
        finds_boxes: Whether the set is for detection.
        seeds: Seeds of each method.
        latency: Fields of the latency protocol.
        split_seed: Seed of the split.
        budget: Fields of the budget of all of them.
    """
    floors = ["memoriser", "class_prior"]
    block = {
        "datasets": [name],
        "protocols": ["clean"],
        "methods": methods,
        "seeds": [*seeds],
        "controls": [*floors, "oracle"] if finds_boxes else floors,
        "budget": budget,
    }
    content: dict[str, Any] = {"study": study, "blocks": [block], "mirrors": {name: str(mirror)}}
    if latency:
        content["latency"] = dict(latency)
    if split_seed:
        content["split_seed"] = split_seed
    _write(path, content)
    load_study(path)


def _write(path: Path, content: dict[str, Any]) -> None:
    check_free(path)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    text = f"{MARK}\n{text}"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)
