"""Options of a method: the arguments of its ``build``, read from its source; a study is checked without torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .strict import name_one_of

KINDS = {"int": int, "float": (int, float), "str": str, "bool": bool}
WIDTH, WIDEST = "width", 8  # the factor of all widths, by which several methods are built narrower
LARGEST = 1_000_000  # of any other number
WORDS = {"int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false"}


def options_of(folder: str | Path) -> dict[str, str] | None:
    """Options of a method and their types as its source writes them.

    Args:
        folder: The method's, ``models/<method>``.

    Returns:
        Types by name, "" for one without; None where the entry file defines no ``build``, or one that takes anything.
    """
    path = Path(folder) / f"{Path(folder).name}.py"
    try:
        module = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None  # what is wrong with the file, loading it says
    builds = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "build"]
    if not builds or builds[-1].args.kwarg is not None:
        return None
    arguments = builds[-1].args
    given = [*arguments.posonlyargs, *arguments.args][1:] + arguments.kwonlyargs
    return {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in given}


def refuse_options(options: Mapping[str, Any], folder: str | Path, where: str | Path) -> None:
    """Stop before options that a method does not have, or of values that cannot be theirs.

    Args:
        options: Values by name.
        folder: The method's, ``models/<method>``.
        where: Named in errors.

    Raises:
        ConfigError: There is one; names the nearest.
    """
    kinds = options_of(folder)
    if kinds is None:
        return
    for name, value in options.items():
        field = f"recipe.options.{name}"
        if name not in kinds:
            fix = name_one_of(name, kinds, f"{Path(folder).name} has no options")
            raise ConfigError(where, field, value, fix)
        kind = KINDS.get(kinds[name])
        is_truth = isinstance(value, bool) and kinds[name] != "bool"
        if kind is not None and (is_truth or not isinstance(value, kind)):
            fix = f"give {WORDS[kinds[name]]}" + _as_number(value, kinds[name])
            raise ConfigError(where, field, value, fix)
        if kinds[name] in ("int", "float") and not _in_range(name, value):
            factor = f"give a factor above 0, at most {WIDEST}"
            fix = factor if name == WIDTH else f"give 0 to {LARGEST}"
            raise ConfigError(where, field, value, fix)


def _in_range(name: str, value: float) -> bool:
    """Whether a number can be that of an option; what else an option asks, its ``build`` says."""
    return 0 < value <= WIDEST if name == WIDTH else 0 <= value <= LARGEST


def _as_number(value: Any, kind: str) -> str:
    """How a text is written that is meant as a number, which YAML reads as text: ``1e-3``."""
    if kind not in ("int", "float") or not isinstance(value, str):
        return ""
    try:
        return f": {float(value)!r}"
    except ValueError:
        return ""
