"""Image files of kinds that are not read: told by what they are, not called damaged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from ..base.errors import ConversionError

_HEAD = 512  # bytes, in which all of these signatures lie
_KINDS = {  # by the beginning of the file
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL",
    rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ": "JPEG2000",
    rb".{4}ftyp(hei|hev|mif1|msf1)": "HEIF",
    rb".{4}ftypavi": "AVIF",
    rb".{128}DICM": "DICOM",
    rb"%PDF-": "PDF",
    rb"PK\x03\x04": "a ZIP archive",
    rb"(?i)\s*(<!doctype html|<html|<head)": "a web page",
    rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml|<svg)": "XML",
}
_SAVE = "save it as PNG, TIFF, BMP, WebP or JPEG"
_DEEP = "save it with 8 bits, its grey levels scaled by the range of the camera; packs hold 8 bits"
# Markers of a JPEG that begin a frame; C4, C8 and CC are tables and reserved, and F7 is JPEG-LS.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_SCAN = 0xDA


def refuse_foreign_image(path: Path) -> None:
    """Stop before a file that no decoder of ours reads, though it is whole.

    Raises:
        ConversionError: It is of a kind that is not read, or a JPEG of more than 8 bits.
    """
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
        bits = jpeg_bits(handle) if head.startswith(b"\xff\xd8") else None
    for signature, kind in _KINDS.items():
        if re.match(signature, head, re.DOTALL):
            raise ConversionError(path, "kind of image", kind, _SAVE)
    if bits is not None and bits > 8:
        raise ConversionError(path, "depth of pixels", f"{bits} bits", _DEEP)


def jpeg_bits(handle: BinaryIO) -> int | None:
    """Bits a channel of a JPEG, of the header of its frame; None where there is none before the pixels."""
    handle.seek(2)
    while lead := handle.read(1):
        if lead != b"\xff":
            continue
        marker = handle.read(1)
        while marker == b"\xff":  # any number of them may stand before a marker
            marker = handle.read(1)
        if not marker or marker[0] == _SCAN:
            return None
        if marker[0] in _WITHOUT_LENGTH or marker[0] == 0:
            continue
        length = int.from_bytes(handle.read(2))
        if marker[0] in _FRAMES:
            precision = handle.read(1)
            return precision[0] if precision else None
        handle.seek(max(length - 2, 0), 1)
    return None
