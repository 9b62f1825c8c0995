"""YAML and JSON that users write: whatever is wrong with it is a named error, a name that stands twice as well."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError
from .texts import read_text

MERGE = "tag:yaml.org,2002:merge"  # of `<<`, which takes in the names of another mapping


class _Loader(yaml.SafeLoader):
    """The safe loader, which by itself takes the last of two values of one name without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        counts = Counter((key.tag, key.value) for key in names if key.tag != MERGE)
        for key in names:
            if counts[key.tag, key.value] > 1:
                problem = f"{key.value} stands twice, and one of the two would have no effect"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return node


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
        content = yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
        json.dumps(content, default=str, skipkeys=True)  # fails where a value holds itself
    except yaml.YAMLError as error:
        raise ConfigError(where, field, _words(error), fix) from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        # what the library raises of a date or a number that is none, and of nesting without end
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
