"""Many names in one line, as a shell writes them: ``stages.{0..2}.{left,right}``."""

from __future__ import annotations

import re

_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expanded(pattern: str) -> list[str]:
    """The names that a pattern stands for; what stands further left changes last.

    Args:
        pattern: Names with choices in braces: ``{a,b}``, or ``{0..3}`` for numbers; braces may hold braces.

    Raises:
        ValueError: A brace is not closed or was never opened.

    Example:
        >>> expanded("stage.{0..1}.{left,right.{0,2}}")
        ['stage.0.left', 'stage.0.right.0', 'stage.0.right.2', 'stage.1.left', 'stage.1.right.0', 'stage.1.right.2']
    """
    start = pattern.find("{")
    if start < 0:
        if "}" in pattern:
            raise ValueError(f"{pattern!r} closes a brace that it does not open")
        return [pattern]
    end = _closing(pattern, start)
    head, tails = expanded(pattern[:start])[0], expanded(pattern[end + 1 :])
    middles = [name for choice in _choices(pattern[start + 1 : end]) for name in expanded(choice)]
    return [f"{head}{middle}{tail}" for middle in middles for tail in tails]


def _closing(pattern: str, start: int) -> int:
    """Where the brace that opens at ``start`` is closed."""
    depth = 0
    for place in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"{pattern!r} opens a brace that it does not close")


def _choices(inside: str) -> list[str]:
    """What stands between a pair of braces: a range of numbers, or parts between commas of this depth."""
    numbers = _RANGE.fullmatch(inside)
    if numbers:
        return [str(n) for n in range(int(numbers[1]), int(numbers[2]) + 1)]
    parts, depth = [""], 0
    for letter in inside:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
