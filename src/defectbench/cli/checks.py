"""Checks of what is typed that several verbs share, made before anything is read or written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.engines import ENGINES, PRECISIONS, REFERENCE, Form, form_named, forms_of
from ..base.errors import ConfigError
from ..base.methods import (
    Method,
    load_card,
    load_method,
    override_recipe,
    refuse_no_training,
    refuse_without_effect,
)
from ..base.options import refuse_options
from ..base.stages import CompressionSettings
from ..base.strict import name_one_of
from ..base.studies import LISTED, PROTOCOLS, base_protocol
from ..base.tasks import TASKS


def check_protocol(name: str) -> None:
    """Stop at a protocol that there is not.

    Raises:
        ConfigError: It is none of them, nor one of them with a list behind it.

    Example:
        >>> check_protocol("random-few")
        >>> check_protocol("cleen")
        Traceback (most recent call last):
        defectbench.base.errors.ConfigError: --protocol: name: got 'cleen'; name one of clean, ...
    """
    base, list_name = base_protocol(name), name.partition(LISTED)[2]
    if base not in PROTOCOLS:
        raise ConfigError("--protocol", "name", name, name_one_of(base, PROTOCOLS))
    if LISTED in name and (not re.fullmatch("[a-z0-9]+", list_name) or base == "paper"):
        fix = (
            "behind the '-' stands a list of the dataset's card, of small letters and digits, or a share such as "
            "10pct; `paper` has none"
        )
        raise ConfigError("--protocol", "name", name, fix)


def check_form(name: str) -> Form:
    """The form of a name.

    Raises:
        ConfigError: There is none of that name.
    """
    form = form_named(name)
    if form is None:
        names = [each.name for each in forms_of(ENGINES, PRECISIONS)]
        raise ConfigError("--form", "name", name, name_one_of(name, names))
    return form


def check_engine_form(engine: str, precision: str) -> Form:
    """The form of an engine and a precision.

    Raises:
        ConfigError: There is no such engine, or it has no such precision.
    """
    if engine not in ENGINES:
        raise ConfigError("--engine", "name", engine, name_one_of(engine, ENGINES))
    if precision not in ENGINES[engine]:
        fix = f"{engine} has {', '.join(ENGINES[engine])}"
        raise ConfigError("--precision", "name", precision, fix)
    return Form(engine, precision)


def check_forms(names: Iterable[str] | None) -> list[Form]:
    """The forms of some names; the artifact itself without any.

    Raises:
        ConfigError: There is none of a name.
    """
    return [check_form(name) for name in dict.fromkeys(names or [REFERENCE])]


def check_models_folder(folder: Path) -> None:
    """Stop at a folder of methods that there is not; the usual one may lack where a report is rendered elsewhere.

    Raises:
        ConfigError: Another one was typed, and is no folder.
    """
    if folder != Path("models") and not folder.is_dir():
        raise ConfigError("--models", "folder", str(folder), "name the folder of the methods")


def check_kinds(kinds: Iterable[str]) -> None:
    """Stop at a control that no task has.

    Raises:
        ConfigError: There is none of that name.
    """
    rows = list(
        dict.fromkeys(r for task in TASKS.values() for r in task.control_rows(task.controls))
    )
    for kind in kinds:
        if kind not in rows:
            raise ConfigError("--kind", "name", kind, name_one_of(kind, rows))


def load_changed(
    folder: Path,
    changes: Mapping[str, Any],
    written: Iterable[str] = (),
    epochs: int | None = None,
) -> Method:
    """A method that is to be trained, once all that was typed of its recipe holds; its recipe is as it stands.

    Args:
        folder: The method's, ``models/<method>``.
        changes: Fields of the recipe by dotted name.
        written: Those of them that stand on the command line one by one; each of them must matter.
        epochs: Passes over the training part; the recipe's by default.

    Raises:
        ConfigError: There is no such method, it is a program of its own, or its recipe has no such field or value.
    """
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    if (folder / "card.yaml").is_file() and load_card(folder).family == "program":
        fix = "it is a program of its own: run the rule in its method.smk"
        raise ConfigError(folder, "family", "program", fix)
    method = load_method(folder.name, folder.parent)
    recipe = override_recipe(method.recipe, dict(changes), "--set")
    refuse_options(recipe.options, folder, "--set")
    refuse_no_training(recipe, method.card, "--set")
    typed = {name: changes[name] for name in written if name in changes}
    refuse_without_effect(recipe, typed, "--set", epochs)
    return method


def load_prunable(
    folder: Path, way: type[CompressionSettings], changes: Mapping[str, Any] | None = None
) -> Method:
    """A method that is to be made smaller, with changes of its recipe.

    Args:
        folder: The method's, ``models/<method>``.
        way: Settings of the way of compression.
        changes: Fields of the recipe by dotted name.

    Raises:
        ConfigError: There is no such method, or it cannot be made smaller in that way.
    """
    method = load_changed(folder, changes or {})
    task = way.task.name
    if not method.card.prunable or method.card.task != task:
        fix = f"give a method for {task} whose card says prunable: true"
        raise ConfigError("--method", "name", method.card.name, fix)
    return replace(method, recipe=override_recipe(method.recipe, dict(changes or {}), "--set"))


def fields_of_recipe(changes: Iterable[str]) -> list[str]:
    """Fields of the recipe that changes of a command line name.

    Example:
        >>> fields_of_recipe(["epochs=3", "recipe.optimizer.lr=0.1"])
        ['optimizer.lr']
    """
    names = [change.partition("=")[0] for change in changes]
    return [name.removeprefix("recipe.") for name in names if name.startswith("recipe.")]
