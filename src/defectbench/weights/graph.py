"""The graph of an ncnn network, a ``.param`` file: its layers line by line, as text.

A line holds a layer's type, its name, how many blobs go in and come out, their names, and ``number=value`` settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import WeightsError
from ..base.texts import read_text

MAGIC = 7767517
WHOLE = "take the file anew from where it was published"


@dataclass(frozen=True)
class Layer:
    """A layer of a graph.

    Attributes:
        type: What it computes, such as ``Convolution``.
        name: Its name.
        bottoms: Blobs that go in.
        tops: Blobs that come out.
        settings: Settings by number, as they are written.
    """

    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    settings: dict[int, str]

    def whole(self, number: int, default: int) -> int:
        """A setting that is a whole number.

        Raises:
            ValueError: It is none.
        """
        return int(self.settings.get(number, default))


def read_graph(path: str | Path) -> list[Layer]:
    """Read the layers of a ``.param`` file.

    Args:
        path: The file, text.

    Raises:
        WeightsError: It is no such file, it is cut off, or a line cannot be read; the line stands in the error.
    """
    try:
        lines = read_text(path, WeightsError).replace("\r\n", "\n").split("\n")
    except FileNotFoundError as error:
        raise WeightsError(path, "file", "nothing", "name a .param file") from error
    except WeightsError as error:
        fix = "it is no text: name the .param file that is, not its binary form"
        raise WeightsError(path, error.field, error.value, fix) from error
    if lines[0].strip() != str(MAGIC):
        fix = f"a graph of ncnn begins with {MAGIC} in a line of its own"
        raise WeightsError(path, "line 1", lines[0][:40], fix)
    promised_layers, promised_blobs = _counts(path, lines)
    layers = [_layer(path, number, line) for number, line in _filled(lines)]
    blobs = {blob for layer in layers for blob in layer.tops}
    if len(layers) != promised_layers:
        told = f"{len(layers)} where line 2 says {promised_layers}"
        raise WeightsError(path, "layers", told, WHOLE)
    if len(blobs) != promised_blobs:
        raise WeightsError(path, "blobs", f"{len(blobs)} where line 2 says {promised_blobs}", WHOLE)
    return layers


def _filled(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines of layers with their numbers, from 1."""
    return ((number, line) for number, line in enumerate(lines[2:], 3) if line.strip())


def _counts(path: str | Path, lines: list[str]) -> tuple[int, int]:
    second = lines[1] if len(lines) > 1 else ""
    match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s*", second)
    if not match:
        raise WeightsError(path, "line 2", second[:40], "it holds two counts, of layers and blobs")
    return int(match[1]), int(match[2])


def _layer(path: str | Path, number: int, line: str) -> Layer:
    words = line.split()
    try:
        n_bottoms, n_tops = int(words[2]), int(words[3])
        names, settings = words[4 : 4 + n_bottoms + n_tops], words[4 + n_bottoms + n_tops :]
        if len(names) != n_bottoms + n_tops or any("=" in name for name in names):
            raise ValueError("a blob is missing")
        pairs = (setting.split("=", 1) for setting in settings)
        values = {int(key): value for key, value in pairs}
        return Layer(words[0], words[1], tuple(names[:n_bottoms]), tuple(names[n_bottoms:]), values)
    except (ValueError, IndexError) as error:
        fix = f"{WHOLE}; a layer is: type name inputs outputs blobs number=value ({error})"
        raise WeightsError(path, f"line {number}", line[:80], fix) from error
