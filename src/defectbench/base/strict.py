"""Models of what users write: a field that is not known is an error, told with the name that was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

_RAISED = "Value error, "  # stands before what a validator of ours says


class Strict(BaseModel):
    """A frozen model that refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_fault(kind: type[BaseModel], error: ValidationError) -> tuple[str, Any, str]:
    """Field, value and fix of the first fault that a model met.

    Args:
        kind: The model.
        error: What it raised.

    Returns:
        The dotted field, empty where the whole is wrong; the value that was seen; what mends it.

    Example:
        >>> try:
        ...     Strict.model_validate({"epoch": 1})
        ... except ValidationError as error:
        ...     first_fault(Strict, error)
        ('epoch', 1, 'there is no such field; leave it out')
    """
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return field, fault.get("input"), fault["msg"].removeprefix(_RAISED)
    names = _field_names(kind, fault["loc"][:-1])
    close = get_close_matches(str(fault["loc"][-1]), names, n=1)
    if close:
        fix = f"there is no such field; did you mean {close[0]}?"
    elif names:
        fix = f"there is no such field; name one of {', '.join(names)}"
    else:
        fix = "there is no such field; leave it out"
    return field, fault.get("input"), fix


def _field_names(kind: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Fields of the model at a path within another one."""
    kinds = [kind]
    for part in path:
        inner = [
            model
            for outer in kinds
            if part in outer.model_fields
            for model in _models_in(outer.model_fields[str(part)].annotation)
        ]
        kinds = inner or kinds
    return list(dict.fromkeys(name for model in kinds for name in model.model_fields))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
