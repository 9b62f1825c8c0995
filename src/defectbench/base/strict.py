"""Models of what users write: a field that is not known is an error, told with the name that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from .bounds import LARGEST_SIDE, LAST_SEED

_RAISED = "Value error, "  # stands before what a validator of ours says
_TRUTH_VALUE = "truth_value"
_EMPTY = ("dict_type", "list_type", "model_type", "model_attributes_type")  # faults of a null
_OTHER_WORDS = {"gpu": "cuda"}  # what people say, and what fields and options call it

# Bounds of figures that several models hold: generous for work, and small enough that a slip is told
Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Side = Annotated[int, Field(ge=32, le=LARGEST_SIDE)]


class Strict(BaseModel):
    """A frozen model that refuses fields that it does not know, and figures that are none: NaN, infinity, yes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _yes_is_no_figure(cls, content: Any) -> Any:
        for name, value in content.items() if isinstance(content, Mapping) else ():
            field = cls.model_fields.get(name) if isinstance(name, str) else None
            if field is not None and _takes_figures(field.annotation) and _has_truth_value(value):
                fix = "give a number; YAML reads yes, on and true as a truth value"
                raise PydanticCustomError(_TRUTH_VALUE, fix, {"field": name, "value": value})
        return content


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
    fault = _plainest(error.errors())
    models = {model.__name__ for model in _models_within(kind)}  # which of several a field took
    path = [part for part in fault["loc"] if not _is_kind(part) and part not in models]
    value, context = fault.get("input"), fault.get("ctx", {})
    if fault["type"] == _TRUTH_VALUE:
        path, value = [*path, context["field"]], context["value"]
    field = ".".join(str(part) for part in path)
    is_of_fields = not path or fault["type"] == "value_error"
    if is_of_fields and isinstance(value, Mapping):  # all of it would hide what is wrong
        value = sorted(map(str, value))
    if fault["type"] == "missing":
        return field, "nothing", "write it: it has no default"
    if fault["type"] != "extra_forbidden":
        return field, value, _fix_of(fault["type"], fault["msg"], value, context)
    names = _field_names(kind, path[:-1])
    meant = did_you_mean(str(path[-1]), names)
    if meant:
        fix = f"there is no such field; {meant}"
    elif names:
        fix = f"there is no such field; name one of {', '.join(names)}"
    else:
        fix = "there is no such field; leave it out"
    return field, value, fix


def _plainest(faults: Sequence[Any]) -> Any:
    """The first fault; where a field takes one of several kinds, that of the kind which came furthest."""
    first = faults[0]["loc"]
    depth = next((n for n, part in enumerate(first) if _is_kind(part)), len(first))
    same = [fault for fault in faults if fault["loc"][:depth] == first[:depth]]
    return max(same, key=lambda fault: len(fault["loc"]))


def _fix_of(kind: str, message: str, value: Any, context: Mapping[str, Any]) -> str:
    """What mends a value that does not fit, in words of ours where the library's say too little."""
    if kind in _EMPTY and value is None:
        return "it is empty: fill it in or leave it out"
    if kind == "list_type" and isinstance(value, str):
        return f"write a list: [{value}]"
    if kind == "literal_error" and isinstance(value, str):
        meant = did_you_mean(value, re.findall(r"'([^']*)'", str(context.get("expected"))))
        return "; ".join(filter(None, (message, meant)))
    if kind == "too_short":
        return "name at least one"
    if kind == "union_tag_not_found":
        return "say which with " + str(context.get("discriminator")).strip("'")
    return message.removeprefix(_RAISED)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The question that asks for the nearest of some names; nothing where none is near.

    Example:
        >>> did_you_mean("yolov8", ["yolov8n", "vgg16"])
        'did you mean yolov8n?'
        >>> did_you_mean("gpu", ["auto", "cpu", "cuda"])
        'did you mean cuda?'
        >>> did_you_mean("x", ["yolov8n"])
        ''
    """
    by_form = {_plain_form(known): known for known in names}
    meant = _OTHER_WORDS.get(name, name)
    close = get_close_matches(_plain_form(meant), by_form, n=1)
    return f"did you mean {by_form[close[0]]}?" if close else ""


def _plain_form(name: str) -> str:
    """A name without what people write in several ways: capitals, and the sign between words."""
    return name.lower().replace("-", "_").replace(" ", "_")


def name_one_of(name: str, names: Iterable[str], nothing: str = "there is none") -> str:
    """What mends a name that matches nothing: the nearest one, and all that there are.

    Example:
        >>> name_one_of("yolov8", ["yolov8n", "vgg16"])
        'name one of yolov8n, vgg16; did you mean yolov8n?'
    """
    names = list(names)
    if not names:
        return nothing
    return "; ".join(filter(None, (f"name one of {', '.join(names)}", did_you_mean(name, names))))


def _is_kind(part: int | str) -> bool:
    """Whether a part of a place is the kind of a value, of the several that a field takes, and no field."""
    return isinstance(part, str) and (
        "[" in part or part.removeprefix("constrained-") in ("str", "int", "float", "bool")
    )


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


def _models_within(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that the fields of one are made of, at any depth."""
    within: set[type[BaseModel]] = set()
    todo = [kind]
    while todo:
        fields = todo.pop().model_fields.values()
        new = {model for field in fields for model in _models_in(field.annotation)} - within
        within |= new
        todo += new
    return within


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that a type is made of."""
    for kind in _kinds_in(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def _kinds_in(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds_in(part)


def _takes_figures(annotation: Any) -> bool:
    """Whether a field is of numbers, and neither of truth values nor of anything."""
    kinds = list(_kinds_in(annotation))
    return any(kind in kinds for kind in (int, float)) and not any(
        kind in kinds for kind in (bool, Any)
    )


def _has_truth_value(value: Any) -> bool:
    """Whether a value is yes or no, or a list or mapping that holds one."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    parts = inner if isinstance(inner, (list, tuple)) else [inner]
    return any(isinstance(part, bool) for part in parts)
