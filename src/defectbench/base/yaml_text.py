"""YAML and JSON that users write: whatever is wrong with it is a named error, a name that stands twice as well."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor

from .errors import ConfigError
from .texts import read_text

MERGE = "tag:yaml.org,2002:merge"  # of `<<`, which takes in the names of another mapping
OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+$|.*:)")  # figures that YAML 1.1 counts by 8, and by 60


class _OneMeaning(Composer, SafeConstructor):
    """What is safe; the library by itself takes the last of two values of one name, and 010 for 8, without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        counts = Counter((key.tag, key.value) for key in names if key.tag != MERGE)
        for key in names:
            if counts[key.tag, key.value] > 1:
                problem = f"{key.value} stands twice, and one of the two would have no effect"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return node

    def construct_yaml_int(self, node: Any) -> int:
        return _decimal(node, super().construct_yaml_int(node))

    def construct_yaml_float(self, node: Any) -> float:
        return _decimal(node, super().construct_yaml_float(node))

    yaml_constructors = SafeConstructor.yaml_constructors | {
        "tag:yaml.org,2002:int": construct_yaml_int,
        "tag:yaml.org,2002:float": construct_yaml_float,
    }


class _Loader(_OneMeaning, yaml.SafeLoader):
    """Reads by the library's Python, whose errors show the line."""


def _fast_loader() -> Any:
    """The same by libyaml, a few times as fast; None where the library comes without it."""
    if not yaml.__with_libyaml__:
        return None

    class Fast(_OneMeaning, yaml.CSafeLoader):
        def __init__(self, stream: str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            Composer.__init__(self)

    return Fast


_FAST = _fast_loader()
# tabs, `|#`, `{x?: 1}` and a lone `!`: libyaml reads what PyYAML, and so Snakemake, refuses or reads otherwise
_TAKEN_OTHERWISE = re.compile(r"\t|[|>]#|\?:|!(?=\s|$)")
# what the library raises of a date or a number that is none, and of nesting without end
_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_Number = TypeVar("_Number", int, float)


def _decimal(node: yaml.ScalarNode, value: _Number) -> _Number:
    """A figure that is what it looks like; one that YAML reads by another base is told."""
    if OTHER_BASE.match(node.value):
        problem = (
            f"{node.value} is {value} to YAML, which counts it by {60 if ':' in node.value else 8}: "
            "write the figure without 0 in front and without colons, or a text in quotes"
        )
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise yaml.YAMLError(f"{name} stands twice, and one of the two would have no effect")
    return dict(pairs)


def _no_figure(name: str) -> Any:
    raise ValueError(f"{name} is no figure of JSON")


def _parse(text: str) -> Any:
    """What a text says: as JSON, which may hold tabs, where it is that; as YAML otherwise."""
    if text.lstrip()[:1] in ("{", "["):
        with suppress(ValueError):  # YAML writes some objects and lists without quotes
            return json.loads(text, object_pairs_hook=_each_name_once, parse_constant=_no_figure)
    if _FAST is not None and not _TAKEN_OTHERWISE.search(text):
        with suppress(yaml.YAMLError, *_FAULTS):  # what is wrong is told by the other one
            return yaml.load(text, _FAST)  # noqa: S506 - it is a safe loader
    return yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader


def parse_yaml(
    text: str, where: str | Path, field: str = "content", fix: str = "mend the YAML"
) -> Any:
    """What a text in YAML, or in JSON, says.

    Args:
        text: The text.
        where: File or option that it stands in, named in errors.
        field: Named in errors.
        fix: What mends it.

    Raises:
        ConfigError: It is no YAML, or a name stands twice in one mapping.

    Example:
        >>> parse_yaml("{epochs: 3}", "study")
        {'epochs': 3}
        >>> parse_yaml("{epochs: 3, epochs: 5}", "study")
        Traceback (most recent call last):
        defectbench.base.errors.ConfigError: study: content: got 'epochs stands twice, ...
    """
    try:
        content = _parse(text)
        json.dumps(content, default=str, skipkeys=True)  # fails where a value holds itself
    except yaml.YAMLError as error:
        raise ConfigError(where, field, _words(error), fix) from error
    except _FAULTS as error:
        raise ConfigError(where, field, str(error), fix) from error
    return content


def read_yaml(path: str | Path, missing: str, where: str | Path | None = None) -> Any:
    """What a YAML or JSON file says.

    Args:
        path: The file.
        missing: What to do where there is none.
        where: What errors call it; the path by default.

    Raises:
        ConfigError: The file is missing, is not in UTF-8, is no YAML, or has a name twice in one mapping.
    """
    where = path if where is None else where
    try:
        text = read_text(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(where, "file", "nothing", missing) from error
    except (OSError, ValueError) as error:
        raise ConfigError(where, "file", str(error), "give a file that can be read") from error
    return parse_yaml(text, where)


def _words(error: yaml.YAMLError) -> str:
    """What a parser has to say, in one line."""
    return " ".join(str(error).split())
