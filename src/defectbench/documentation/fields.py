"""Fields of pydantic models in words: name, what it takes, default, meaning."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false"}
LIMITS = {
    "ge": "at least {}",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "multiple_of": "a multiple of {}",
    "min_length": "at least {} of them",
    "pattern": "of the form `{}`",
}
_ENTRY = re.compile(r"([A-Za-z_]\w*): (.*)")


@dataclass(frozen=True)
class FieldRow:
    """One field of a model.

    Attributes:
        name: Its key in YAML.
        takes: What may stand there, in words; models are links to their sections.
        default: What it is where it is left out; empty where it must be given.
        meaning: What its class says of it.
    """

    name: str
    takes: str
    default: str
    meaning: str


def described(model: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of attributes, by name.

    Example:
        >>> class Cut(BaseModel):
        ...     '''A cut.
        ...
        ...     Attributes:
        ...         depth: How deep, in
        ...             millimetres.
        ...     '''
        >>> described(Cut)
        {'depth': 'How deep, in millimetres.'}
    """
    words: dict[str, str] = {}
    for kind in reversed([kind for kind in model.__mro__ if kind not in BaseModel.__mro__]):
        words |= _attributes(inspect.cleandoc(kind.__dict__.get("__doc__") or ""))
    return words


def _attributes(doc: str) -> dict[str, str]:
    section = doc.partition("\nAttributes:\n")[2]
    entries: list[list[str]] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        entry = _ENTRY.fullmatch(line.strip()) if re.match(r" {4}\S", line) else None
        if entry:
            entries.append([entry[1], entry[2]])
        elif entries and line.strip():
            entries[-1][1] += " " + line.strip()
    return {entry[0]: entry[1] for entry in entries}


def summary(model: type) -> str:
    """The first sentence of a class's docstring, and the paragraphs before its attributes.

    Example:
        >>> summary(BaseModel).startswith("!!!")
        True
    """
    doc = inspect.cleandoc(model.__dict__.get("__doc__") or "")
    prose = re.split(r"^(?:Attributes|Example|Args):$", doc, maxsplit=1, flags=re.MULTILINE)[0]
    return prose.replace("``", "`").strip()


def field_rows(model: type[BaseModel]) -> list[FieldRow]:
    """The fields of a model in their order, but for paths, which loaders set."""
    words = described(model)
    return [
        FieldRow(name, _takes(info), _default(info), words.get(name, "").replace("``", "`"))
        for name, info in model.model_fields.items()
        if info.annotation is not Path
    ]


def models_within(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and all that its fields are made of, each once, in the order in which they are met.

    Example:
        >>> class Inner(BaseModel):
        ...     depth: int
        >>> class Outer(BaseModel):
        ...     inner: list[Inner]
        >>> Outer.model_rebuild(_types_namespace={"Inner": Inner, "list": list})
        True
        >>> [kind.__name__ for kind in models_within(Outer)]
        ['Outer', 'Inner']
    """
    met: list[type[BaseModel]] = [model]
    for kind in met:
        for info in kind.model_fields.values():
            met += [inner for inner in dict.fromkeys(_models(info.annotation)) if inner not in met]
    return met


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _models(part)


def anchor(model: type) -> str:
    """Where a model's section stands on its page."""
    return model.__name__.lower()


def _takes(info: FieldInfo) -> str:
    limits = [
        words.format(getattr(rule, name))
        for rule in info.metadata
        for name, words in LIMITS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([in_words(info.annotation), *limits])


def in_words(annotation: Any) -> str:
    """What a type takes, in words.

    Example:
        >>> in_words(list[Literal["a", "b"]]), in_words(dict[str, int] | None)
        ('list of `a` or `b`', 'whole number by name')
    """
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return in_words(parts[0])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(part) for part in parts if part is not type(None))
    if origin is tuple:
        return f"list of {len(parts)}: " + ", ".join(in_words(part) for part in parts)
    if origin is list:
        return f"list of {in_words(parts[0])}"
    if origin is dict:
        return f"{in_words(parts[1])} by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{anchor(annotation)})"
    return PLAIN.get(annotation, "any value")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return ""
    value = info.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{json.dumps(value, default=str)}`"
