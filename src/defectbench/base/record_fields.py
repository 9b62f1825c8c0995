"""Fields of records as they are read: of the type that they were written with, and named where they are missing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError

AGAIN = "delete it and make it again"

# Figures by the beginning of their names: numbers, or null where one does not exist.
_NUMBERS = re.compile(
    r"(map|recall|accuracy|balanced_accuracy|macro_|ratio_to|latency_ms|base_latency|reference_ms|burst_|pre_ms"
    r"|forward_ms|post_ms|image_latency_ms|merge_ms|image_fps|tiles_per_image|fps|params|macs|gflops|size_|peak_|stored_|n_|epochs|steps|batch|train_|images_per_s|cold_|joules_|idle_w"
    r"|final_loss|best_epoch|threads|val_|threshold|f1|waiting_share|teacher_|start_|leak_share|visible_share)"
)
# Those that are never null.
_TOLD = re.compile(
    r"(map(50|50_95|75)|accuracy|balanced_accuracy|macro_f1|latency_ms_p\d+|ratio_to_\w+?)(_low|_high)?"
    r"|params(_m)?|macs(_g)?|gflops|size_(px|mib)|fps|epochs|train_s|images_per_s(_batch\d+)?|threads|n_images|n_groups"
)


class Fields(dict[str, Any]):
    """Fields of a record; one that is missing is an error that names the file and the field.

    Example:
        >>> Fields.of({"figures": {"map50": 0.5}}, "accuracy.json")["figures"]["map75"]
        Traceback (most recent call last):
        ...
        defectbench.base.errors.ConfigError: accuracy.json: figures.map75: got 'nothing'; delete it and make it again
    """

    path: str | Path = ""
    name: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any], path: str | Path, name: str = "") -> Fields:
        """Fields of a file, with those within them.

        Args:
            fields: The fields.
            path: The file.
            name: Where in it they stand.
        """
        prefix = f"{name}." if name else ""
        made = cls(
            (key, cls.of(value, path, f"{prefix}{key}") if isinstance(value, Mapping) else value)
            for key, value in fields.items()
        )
        made.path, made.name = path, name
        return made

    def __missing__(self, key: str) -> Any:
        field = f"{self.name}.{key}" if self.name else key
        raise ConfigError(self.path, field, "nothing", AGAIN)


def check_fields(path: str | Path, record: Mapping[str, Any]) -> None:
    """Check the fields of a record that its readers reckon with.

    Raises:
        ConfigError: One has another type; names it and its value.
    """

    def check(name: str, value: Any, fits: Callable[[Any], bool]) -> None:
        if not fits(value):
            raise ConfigError(path, name, value, AGAIN)

    for name, fits in _TOP.items():
        if name in record:
            check(name, record[name], fits)
    for name, entry in record.get("inputs", {}).items():
        check(f"inputs.{name}", entry, _is_input)
    for name, value in record.get("figures", {}).items():
        if name in _FIGURES:
            check(f"figures.{name}", value, _FIGURES[name])
        elif _NUMBERS.match(name):
            check(f"figures.{name}", value, _is_number if _TOLD.fullmatch(name) else _is_open)


def _is_number(value: Any) -> bool:
    """A finite number that is no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _is_open(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(n), str) for n in ("path", "sha256")
    )


def _is_by_class(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(figures, dict) and all(map(_is_open, figures.values()))
        for figures in value.values()
    )


def _is_square(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == len(value) and all(map(_is_number, row))
        for row in value
    )


def _is_numbers_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


_TOP: dict[str, Callable[[Any], bool]] = {
    "figures": _is(dict),
    "inputs": _is(dict),
    "settings": _is(dict),
    "recipe": _is(dict, type(None)),
    "seed": _is(int, type(None)),
    "classes": _is_list_of_text,
    "task": _is(str),
    "weights_sha256": _is(str),
    "model_sha256": _is(str, type(None)),
    "lineage": _is(list, type(None)),
    "tiles": _is(dict),
    "start": _is(dict),
    "class_channels": _is(dict),
}
_FIGURES: dict[str, Callable[[Any], bool]] = {
    "valid": _is(bool),
    "invalid_because": _is_list_of_text,
    "per_class": _is_by_class,
    "confusion": _is_square,
    "escape": _is(dict),
    "on_validation": _is(dict),
    "shared_images": _is_numbers_by_name,
    "images": lambda value: _is_number(value) or _is_numbers_by_name(value),
}
