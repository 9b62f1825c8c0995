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
from ...base.files import OF_POINTER, POINTER
from ...base.texts import decode_text, not_utf8, same_text
from .label import EDGES, Label, LabelledBox, LabelledSet, read_files

COORDINATES = "1-based inclusive corners become 0-based: x0 = xmin - 1, x1 = xmax"

_SIZE = ("width", "height", "depth")
_LARGEST = 2**31  # pixels
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_CLASS_TAGS = ("name", "label", "class", "category")  # that other programs write for it
_NUMBER, _BETWEEN = re.compile(r"[+-]?\d{1,12}(\.\d*)?"), re.compile(r"[\s,;()\[\]]+")
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
        if text.startswith(POINTER.decode()):
            fix = OF_POINTER
        raise ConversionError(path, "content", str(error), fix) from error
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2].lower()
    if root.tag != "annotation":
        raise ConversionError(path, "root", root.tag, "a VOC label begins with <annotation>")
    objects = list(root.iter("object"))
    _check_boxes_are_of_objects(path, root, objects)
    if not objects:
        _check_nothing_shows_a_defect(path, root)
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


def _check_nothing_shows_a_defect(path: Path, root: Element) -> None:
    """A label without any object is of an image free of defects, unless something in it has a class or a box."""
    nodes = [node for item in root if item.tag not in _ASIDE for node in item.iter()]
    for node in nodes:
        name = next((key for key in _CLASS_TAGS if node.find(key) is not None), None)
        if name is not None:
            fix = f"something with a {name} is no object, and the image would be free of defects; write <object>"
            raise ConversionError(path, node.tag, f"a {name} outside of <object>", fix)
    if sum(map(_count_of_numbers, nodes)) >= len(_CORNERS):
        tags = ", ".join(list(dict.fromkeys(node.tag for node in nodes))[:8])
        fix = "defects are read from <object> with <name> and <bndbox>: write them so, or take these tags out"
        raise ConversionError(path, "objects", f"none, and numbers in {tags}", fix)


def _count_of_numbers(node: Element) -> int:
    """Numbers in the text and in the attributes of a node, such as the four of a box; words among them are prose."""
    count = 0
    for text in (node.text or "", *node.attrib.values()):
        parts = [part for part in _BETWEEN.split(text) if part]
        count += len(parts) if all(map(_NUMBER.fullmatch, parts)) else 0
    return count


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
        value = _number(text)
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
        value = _number(text or "")
    except ValueError as error:
        raise ConversionError(path, f"bndbox.{key}", text, fix) from error
    if not isfinite(value):
        raise ConversionError(path, f"bndbox.{key}", text, fix)
    return value


def _number(text: str) -> float:
    """A number as people write it; Python would take 1_5 for 15."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


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
