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
from ...base.methods import load_recipe
from ...base.studies import load_study
from ...base.tasks import DETECTION, Task
from .finding import Found
from .importing import good_folder

MARK = "# Written by `defectbench adopt`; adopt the folder again after a change of its pictures or labels."
_FALLBACK = "my-set"
# For trainings that are much shorter than those which recipes are made for; see docs/recipes.md. The clip is of methods
# that have none of their own. It cuts nearly every step of those whose loss is a sum, which is meant: AdamW then takes
# steps of one length. In short runs by AdamW that scored better on validation than no clip (YOLOX-Nano at one rate, two
# seeds: 10.1 and 15.6 mAP50-95 with one, 4.7 and 5.8 without; results/reference/demo-budgets/trials.csv).
SHORT = {
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


def short_recipes(
    methods: Sequence[str], models: Path, **changes: Any
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The recipe for short trainings, and those of methods with another clip or none, which they keep.

    Args:
        methods: Names of methods.
        models: Folder of the methods.
        changes: Fields of the recipe by dotted name, for all of them.
    """
    recipe = {**SHORT, **changes}
    clips = {method: load_recipe(models / method).grad_clip for method in methods}
    own = {
        method: {**recipe, "grad_clip": clip}
        for method, clip in clips.items()
        if clip != recipe["grad_clip"]
    }
    return recipe, own


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
    if found.task.learns_defect_free:
        content["defect_free"] = [good_folder(found)]
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
    task: Task = DETECTION,
    seeds: Sequence[int] = (0,),
    latency: Mapping[str, int] | None = None,
    split_seed: int = 0,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    starts: Mapping[str, str] | None = None,
    weights_mirror: Path | None = None,
    **budget: Any,
) -> None:
    """Write the study of an adopted set; one that says the same stays as it is.

    Args:
        name: The dataset's.
        study: Name of the study.
        mirror: Folder that the card describes.
        methods: Methods to train.
        path: The file.
        task: What the set is for.
        seeds: Seeds of each method.
        latency: Fields of the latency protocol.
        split_seed: Seed of the split.
        recipes: Recipes of single methods, in the place of the budget's.
        starts: Published weights that methods start from, by method; those of other methods are passed over.
        weights_mirror: Folder that holds their files; None where they were fetched before.
        budget: Fields of the budget of all of them.
    """
    block: dict[str, Any] = {
        "datasets": [name],
        "protocols": ["clean"],
        "methods": methods,
        "seeds": [*seeds],
        "controls": [kind for kind in task.controls if kind != "label_jitter"],
        "budget": budget,
    }
    if recipes:
        if set(methods) <= set(recipes):
            budget.pop("recipe", None)  # it would be of no method
        block["budgets"] = {method: {"recipe": dict(recipe)} for method, recipe in recipes.items()}
    started = {method: start for method, start in (starts or {}).items() if method in methods}
    for method, start in started.items():
        block.setdefault("budgets", {}).setdefault(method, {})["start"] = start
    content: dict[str, Any] = {"study": study, "blocks": [block], "mirrors": {name: str(mirror)}}
    if started and weights_mirror is not None:
        content["weights_mirror"] = str(weights_mirror.resolve())
    if latency:
        content["latency"] = dict(latency)
    if split_seed:
        content["split_seed"] = split_seed
    _write(path, content)
    load_study(path)


class _NoAliases(yaml.SafeDumper):
    """Writes values that stand twice out twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """No value is a reference to another one."""
        return True


def _write(path: Path, content: dict[str, Any]) -> None:
    check_free(path)
    text = yaml.dump(content, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=110)
    text = f"{MARK}\n{text}"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write_text(path, text)
