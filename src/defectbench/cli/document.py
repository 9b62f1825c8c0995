"""The verb of the documentation, and the verbs of the command as the data of one of its pages."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option
from typer.models import OptionInfo, ParameterInfo

if TYPE_CHECKING:
    from ..documentation.commands import Option as Described
    from ..documentation.commands import Verb

TAKES = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH", bool: ""}


def document(
    root: Annotated[Path, Option(help="The checkout whose pages are made.")] = Path(),
) -> None:
    """Generate the pages of results, studies, methods and the command line."""
    from ..documentation.run import document
    from .main import TOPICS

    document(verbs_of(TOPICS), root)


def verbs_of(topics: Mapping[str, Mapping[str, Callable[..., None]]]) -> list[Verb]:
    """The verbs of the command with their options, by topic.

    Args:
        topics: By name the verbs of a topic; by name the function of a verb.
    """
    from ..documentation.commands import Verb

    return [
        Verb(name, topic, _first_line(verb), _options(verb))
        for topic, verbs in topics.items()
        for name, verb in verbs.items()
    ]


def _first_line(verb: Callable[..., None]) -> str:
    return (verb.__doc__ or "").strip().splitlines()[0]


def _options(verb: Callable[..., None]) -> list[Described]:
    from ..documentation.commands import Option as Described

    hints = typing.get_type_hints(verb, include_extras=True)
    options = []
    for name, parameter in inspect.signature(verb).parameters.items():
        kind, info = _parts(hints[name])
        is_required = parameter.default is inspect.Parameter.empty
        is_silent = is_required or parameter.default is None or parameter.default is False
        default = "" if is_silent else str(parameter.default)
        takes = info.metavar or _takes(kind)
        options.append(Described(_name(name, info), takes, default, is_required, info.help or ""))
    return options


def _parts(hint: Any) -> tuple[Any, ParameterInfo]:
    """Type and help of a parameter, which stand in its annotation."""
    kind, *more = typing.get_args(hint)
    (info,) = (part for part in more if isinstance(part, ParameterInfo))
    return kind, info


def _name(name: str, info: ParameterInfo) -> str:
    if not isinstance(info, OptionInfo):
        return name.upper()
    written = (info.default, *(info.param_decls or ()))  # in an annotation the first is the name
    long = [text for text in written if isinstance(text, str) and text.startswith("--")]
    return long[0] if long else f"--{name.replace('_', '-')}"


def _takes(kind: Any) -> str:
    """What an option takes: a word, or its choices."""
    inner = [part for part in typing.get_args(kind) if part is not type(None)]
    if inner:
        return _takes(inner[0])
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "|".join(kind)
    return TAKES.get(kind, "TEXT")


VERBS = {"document": document}
