"""Settings from a command line: one JSON object, a file of it, or single fields, read by the class of the step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import ConfigError
from .strict import first_fault
from .texts import read_text
from .yaml_text import parse_yaml

Settings = TypeVar("Settings", bound=BaseModel)


def parse_settings(
    kind: type[Settings], text: str | None = None, changes: Iterable[str] = ()
) -> Settings:
    """Read the settings of a step.

    Args:
        kind: Class of the settings.
        text: A JSON object, or the path of a JSON or YAML file; none for the defaults.
        changes: Single fields that win over it, each ``FIELD=VALUE`` with VALUE in YAML. What stands behind the first
            dot of FIELD is a name within the field, such as ``recipe.optimizer.lr=0.002``.

    Raises:
        ConfigError: Text, file or change cannot be read, names no field, or its value does not fit.

    Example:
        >>> from .settings import TrainingSettings
        >>> parse_settings(TrainingSettings, '{"epochs": 3}', ["recipe.optimizer.lr=0.002"]).recipe
        {'optimizer.lr': 0.002}
    """
    where, content = _content(text)
    changed: list[str] = []
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise ConfigError("--set", "change", change, "write FIELD=VALUE")
        _refuse_second(name, value, changed)
        field, dot, inner = name.partition(".")
        target = content.setdefault(field, {}) if dot else content
        if not isinstance(target, dict):
            raise ConfigError("--set", name, change, f"{field} holds no further names")
        target[inner if dot else field] = _yaml("--set", name, value)
        changed.append(name)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        field, value, fix = first_fault(kind, error)
        fields = {name.partition(".")[0] for name in changed}
        where = "--set" if field.partition(".")[0] in fields else where
        raise ConfigError(where, field or "settings", value, fix) from error


def _refuse_second(name: str, value: str, earlier: list[str]) -> None:
    """Stop at a change that takes the place of an earlier one."""
    for other in earlier:
        if other == name or other.startswith(f"{name}."):
            fix = f"{other} stands before it and would have no effect: leave one out"
            raise ConfigError("--set", name, value, fix)


def _content(text: str | None) -> tuple[str, dict[str, Any]]:
    """Where settings come from, and what they say."""
    if text is None:
        return "--set", {}
    where = "--settings"
    if not text.lstrip().startswith("{"):
        where = text
        try:
            text = read_text(text)
        except (OSError, ValueError) as error:  # of its path
            fix = "give a JSON object, such as '{\"epochs\": 3}', or a file that holds one"
            raise ConfigError("--settings", "file", where, fix) from error
    content = _yaml(where, "content", text)
    if not isinstance(content, dict):
        raise ConfigError(where, "content", content, "give an object: fields and their values")
    return where, content


def _yaml(where: str, field: str, text: str) -> Any:
    try:
        return parse_yaml(text, where, field)
    except ConfigError as error:
        raise ConfigError(where, field, text, f"write JSON or YAML: {error.value}") from error
