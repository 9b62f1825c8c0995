"""Pascal VOC labels: XML with 1-based inclusive integer corners."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from ..base.errors import ConversionError


@dataclass(frozen=True)
class LabelledBox:
    """One labelled object: its printed name and 0-based corners x0, y0, x1, y1 in pixels."""

    name: str
    corners: tuple[float, float, float, float]


def read_voc(path: Path) -> list[LabelledBox]:
    """Read the objects of one XML file. Its size and file name are never trusted.

    Raises:
        ConversionError: It is not XML, is a bomb, or an object lacks a name or a corner.
    """
    try:
        root = parse(path).getroot()
    except DefusedXmlException as error:
        raise ConversionError(
            path, "content", str(error), "entities are refused; write plain XML"
        ) from error
    except ParseError as error:
        raise ConversionError(
            path, "content", str(error), "it is not XML; get a whole copy"
        ) from error
    nodes = root.iter("object") if root is not None else []
    return [_read_object(path, node) for node in nodes]


def _read_object(path: Path, node: Element) -> LabelledBox:
    name = (node.findtext("name") or "").strip()
    if not name:
        raise ConversionError(path, "object.name", name, "each object needs a class name")
    x0, y0, x1, y1 = (_corner(path, node, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    return LabelledBox(name, (x0 - 1, y0 - 1, x1, y1))


def _corner(path: Path, node: Element, key: str) -> float:
    text = node.findtext(f"bndbox/{key}")
    try:
        return float(text or "")
    except ValueError as error:
        raise ConversionError(path, f"bndbox.{key}", text, "each corner is a number") from error
