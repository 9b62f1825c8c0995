"""Pascal VOC labels: XML with integer corners, 1-based and inclusive unless the card says otherwise.

Nothing that a label says is lost without a word: tags are read whatever their capitals, a box that stands elsewhere
than in an object is an error, and all that is not used is counted by its tag.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from math import isfinite
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import decode_text, not_utf8, same_text
from .label import EDGES, Label, LabelledBox, LabelledSet, read_files

COORDINATES = "1-based inclusive corners become 0-based: x0 = xmin - 1, x1 = xmax"

_SIZE = ("width", "height", "depth")
_LARGEST = 2**31  # pixels
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"'>]*)[\"'][^>]*\?>")
# Supersets under which Windows writes what it declares by the narrower name; the same bytes mean the same letters.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949"}
# What says nothing of the defects: where a picture came from, and how the box was seen.
_ASIDE = {"folder", "filename", "path", "source", "owner", "segmented", "size"}
_ASIDE_OF_OBJECT = {"name", "bndbox", "pose", "truncated", "difficult", "occluded"}


def open_voc(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set with an XML file for each image; see ``BoxReader``."""
    layout = card.layout
    first = 1 if layout.first_pixel is None else layout.first_pixel
    return read_files(
        card,
        raw,
        lambda path, size: read_voc(path, first, layout.difficult in (None, "keep")),
        coordinates=COORDINATES if first else EDGES,
        pixels=f"write pixels, counted from {first}",
        when_apart="keep",
    )


def read_voc(path: Path, first_pixel: int = 1, keeps_difficult: bool = True) -> Label:
    """Read one XML file.

    Args:
        path: The file.
        first_pixel: 1 where corners are pixels that count from 1, and the last one belongs to the box; 0 where they
            are edges that count from 0.
        keeps_difficult: Whether difficult objects are taken like any other, so that their mark is not used.

    Returns:
        Its objects, and its tags that are not used, such as ``object.polygon``; ``difficult``, ``truncated`` and
        ``occluded`` where they are set.

    Raises:
        ConversionError: It is no VOC label, its encoding is not known, it is a bomb, an object lacks a name or a
            corner or has two, a box stands elsewhere than in an object, or its size is no number.
    """
    text = _text(path)
    try:
        root: Element = fromstring(text)
    except DefusedXmlException as error:
        fix = "entities are refused; write plain XML"
        raise ConversionError(path, "content", str(error), fix) from error
    except (ParseError, ValueError) as error:
        fix = "it is not XML; mend that place, or get a whole copy"
        raise ConversionError(path, "content", str(error), fix) from error
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2].lower()
    if root.tag != "annotation":
        raise ConversionError(path, "root", root.tag, "a VOC label begins with <annotation>")
    objects = list(root.iter("object"))
    _check_boxes_are_of_objects(path, root, objects)
    if not objects:
        _check_no_object_by_another_name(path, root)
    size = _single(path, root, "size")
    width, height, depth = (_whole(path, size, key) for key in _SIZE)
    boxes = [_read_object(path, node, first_pixel) for node in objects]
    file_name = same_text(root.findtext("filename") or "").strip()
    unread = _unread(root, objects)
    if not keeps_difficult:
        unread.pop("object.difficult", None)
    return Label(path.name, boxes, file_name, (width, height, depth), unread)


def _text(path: Path) -> str:
    """The text of a label: by its byte order mark, by the encoding that it declares, else UTF-8."""
    data = path.read_bytes()
    if data.startswith((b"<\0", b"\0<")):  # UTF-16 without a mark, which XML allows
        data = (codecs.BOM_UTF16_LE if data[0] else codecs.BOM_UTF16_BE) + data
    declared = _DECLARED.match(data)
    name = declared[1].decode("ascii", "replace").lower() if declared else ""
    encoding = _WIDER.get(name.replace("-", "_"), name)
    # A declaration that reads as ASCII does not stand in UTF-16, whatever it says.
    if encoding in ("", "utf-8", "utf8") or encoding.startswith(("utf-16", "utf16", "ucs-2")):
        return decode_text(data, path, ConversionError)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise not_utf8(data, path, ConversionError, error, declared=name) from error
    except (LookupError, ValueError) as error:
        fix = "that encoding is not known; save the file as UTF-8"
        raise ConversionError(path, "encoding", name, fix) from error


def _check_boxes_are_of_objects(path: Path, root: Element, objects: list[Element]) -> None:
    """Each box, and each corner, stands in an object; parts of an object may have boxes of their own."""
    inside = {id(node) for item in objects for node in item.iter()}
    for node in root.iter():
        strange = node.tag == "bndbox" or node.tag in _CORNERS
        if strange and id(node) not in inside:
            fix = "a box that stands elsewhere is not read; put it into <object>"
            raise ConversionError(path, node.tag, "outside of <object>", fix)


def _check_no_object_by_another_name(path: Path, root: Element) -> None:
    """A label without any object is of an image free of defects, unless something else in it has a name."""
    aside = {id(node) for item in root if item.tag in _ASIDE for node in item.iter()}
    for node in root.iter():
        if id(node) not in aside and node is not root and node.find("name") is not None:
            fix = "something with a name is no object, and the image would be free of defects; write <object>"
            raise ConversionError(path, node.tag, "a name outside of <object>", fix)


def _single(path: Path, node: Element, key: str) -> Element | None:
    """The one child of that tag; None where there is none."""
    children = node.findall(key)
    if len(children) > 1:
        fix = f"<{node.tag}> has one <{key}>; write each object by itself"
        raise ConversionError(path, f"{node.tag}.{key}", len(children), fix)
    return children[0] if children else None


def _whole(path: Path, size: Element | None, key: str) -> int | None:
    """One number of a size, written 96 or 96.0; None where nothing is written."""
    node = None if size is None else _single(path, size, key)
    text = ("" if node is None else node.text or "").strip()
    if not text:
        return None
    fix = "write the pixels of the image as a whole number, or leave the size out"
    try:
        value = float(text)
    except ValueError as error:
        raise ConversionError(path, f"size.{key}", text[:80], fix) from error
    if not value.is_integer() or not 0 <= value <= _LARGEST:
        raise ConversionError(path, f"size.{key}", text[:80], fix)
    return int(value)


def _read_object(path: Path, node: Element, first_pixel: int) -> LabelledBox:
    name_node = _single(path, node, "name")
    name = same_text("" if name_node is None else name_node.text or "").strip()
    if not name:
        raise ConversionError(path, "object.name", name, "each object needs a class name")
    box = _single(path, node, "bndbox")
    others = [child.tag for child in node if child.tag not in _ASIDE_OF_OBJECT and len(child)]
    if box is None and others:
        fix = "a shape of that kind is not read; write <bndbox> with xmin, ymin, xmax and ymax"
        raise ConversionError(path, f"object.{others[0]}", f"no bndbox for {name}", fix)
    x0, y0, x1, y1 = (_corner(path, box, key) for key in _CORNERS)
    apart = "difficult" if _is_set(node, "difficult") else ""
    return LabelledBox(name, (x0 - first_pixel, y0 - first_pixel, x1, y1), apart=apart)


def _corner(path: Path, box: Element | None, key: str) -> float:
    node = None if box is None else _single(path, box, key)
    text = None if node is None else node.text or ""
    fix = "each corner is a finite number"
    try:
        value = float(text or "")
    except ValueError as error:
        raise ConversionError(path, f"bndbox.{key}", text, fix) from error
    if not isfinite(value):
        raise ConversionError(path, f"bndbox.{key}", text, fix)
    return value


def _unread(root: Element, objects: list[Element]) -> dict[str, int]:
    """Tags and attributes that say something which is not used, and how often."""
    read = {*_ASIDE, "object"}
    tags = Counter(
        child.tag for child in root if child.tag not in read and child.find(".//object") is None
    )
    for node in objects:
        tags.update(f"object.{child.tag}" for child in node if child.tag not in _ASIDE_OF_OBJECT)
        tags.update(
            f"object.{key}" for key in ("difficult", "truncated", "occluded") if _is_set(node, key)
        )
    inside = {id(node) for item in objects for node in item.iter()}
    tags.update(
        f"{'object.' if id(node) in inside and node.tag != 'object' else ''}{node.tag}@{name}"
        for node in root.iter()
        for name in node.attrib
    )
    return dict(tags)


def _is_set(node: Element, key: str) -> bool:
    return (node.findtext(key) or "").strip() not in ("", "0", "false", "False", "Unspecified")
