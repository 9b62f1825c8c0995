"""Pascal VOC labels: XML with 1-based inclusive integer corners."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from ..base.errors import ConversionError

_SIZE = ("width", "height", "depth")


@dataclass(frozen=True)
class LabelledBox:
    """One labelled object: its printed name and 0-based corners x0, y0, x1, y1 in pixels."""

    name: str
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class VocLabel:
    """What one XML file says; all but the boxes is often wrong and never relied on.

    Attributes:
        file_name: Its ``filename``.
        size: Its width, height and depth, as far as they are whole numbers.
        boxes: Its objects.
    """

    file_name: str
    size: tuple[int | None, int | None, int | None]
    boxes: list[LabelledBox]


def read_voc(path: Path) -> VocLabel:
    """Read one XML file.

    Raises:
        ConversionError: It is no VOC label, is a bomb, or an object lacks a name or a corner.
    """
    try:
        root = parse(path).getroot()
    except DefusedXmlException as error:
        fix = "entities are refused; write plain XML"
        raise ConversionError(path, "content", str(error), fix) from error
    except (ParseError, LookupError, ValueError) as error:  # the last two: unknown encodings
        fix = "it is not XML; get a whole copy"
        raise ConversionError(path, "content", str(error), fix) from error
    if root is None or root.tag != "annotation":
        tag = None if root is None else root.tag
        raise ConversionError(path, "root", tag, "a VOC label begins with <annotation>")
    width, height, depth = (_whole(root.findtext(f"size/{key}")) for key in _SIZE)
    boxes = [_read_object(path, node) for node in root.iter("object")]
    return VocLabel((root.findtext("filename") or "").strip(), (width, height, depth), boxes)


def _whole(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() else None


def _read_object(path: Path, node: Element) -> LabelledBox:
    name = (node.findtext("name") or "").strip()
    if not name:
        raise ConversionError(path, "object.name", name, "each object needs a class name")
    x0, y0, x1, y1 = (_corner(path, node, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    return LabelledBox(name, (x0 - 1, y0 - 1, x1, y1))


def _corner(path: Path, node: Element, key: str) -> float:
    text = node.findtext(f"bndbox/{key}")
    fix = "each corner is a finite number"
    try:
        value = float(text or "")
    except ValueError as error:
        raise ConversionError(path, f"bndbox.{key}", text, fix) from error
    if not isfinite(value):
        raise ConversionError(path, f"bndbox.{key}", text, fix)
    return value
