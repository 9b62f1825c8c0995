"""What every reader of labels gives: the boxes of an image, or its class, as the labels spell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ...base.cards import DatasetCard
from ..coco import Corners
from ..pairing import Decoded, LabelledImage, Paired, pair_by_stem

EDGES = "corners are edges of pixels that count from 0"


@dataclass(frozen=True)
class LabelledBox:
    """One labelled object.

    Attributes:
        name: Class name as the label spells it.
        corners: Edges x0, y0, x1, y1 in pixels that count from 0.
        name_field: Where in the file its class stands, in words for errors.
        box_field: The same for its corners.
        apart: The mark by which the label sets it apart, such as ``difficult``; empty where it does not.
    """

    name: str
    corners: Corners
    name_field: str = "object.name"
    box_field: str = "bndbox"
    apart: str = ""


@dataclass(frozen=True)
class Label:
    """What is said of one image; all but the boxes is often wrong and never relied on.

    Attributes:
        name: Its name in reports: of its file, or of its entry where a file holds several.
        boxes: Its objects.
        file_name: File name of the image as the label tells it; None in a format that tells none.
        size: Width, height and, in VOC, depth, as far as they are told; empty in a format that tells none.
        unread: How often each part stands in it that is not used, such as ``object.polygon``.
        boxed: How often a shape of each kind became the box around it.
        repairs: What was changed while it was read, by its key in ``conversion.json``.
    """

    name: str
    boxes: list[LabelledBox]
    file_name: str | None = None
    size: tuple[int | None, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    boxed: Mapping[str, int] = field(default_factory=dict)
    repairs: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledSet:
    """A set for detection whose labels are found, and the reader of them.

    Attributes:
        paired: Its images with their labels.
        read: Reads the label of an image; the size is that of the decoded image.
        coordinates: What corners in the labels are, in words.
        pixels: How corners are to be written, where the labels give pixels; empty where they give fractions.
        when_apart: What becomes of boxes that labels set apart; None where the card has to say it.
    """

    paired: Paired
    read: Callable[[LabelledImage, Decoded], Label]
    coordinates: str = EDGES
    pixels: str = "write pixels, counted from 0"
    when_apart: str | None = None


class BoxReader(Protocol):
    """Opens a set of one format for detection."""

    def __call__(self, card: DatasetCard, raw: Path) -> LabelledSet:
        """Find images and labels.

        Args:
            card: Its layout says where they lie and what the labels cannot say.
            raw: Raw data.

        Raises:
            ConversionError: An image or a label is alone, or what is read before the labels breaks a rule.
        """
        ...


@dataclass(frozen=True)
class ClassedImage:
    """An image and the name of its class, as the raw data spell it, and the file that tells it."""

    path: Path
    name: str
    told_by: Path


class ClassReader(Protocol):
    """Tells the class of each image of a set for classification."""

    def __call__(
        self, card: DatasetCard, raw: Path, files: Mapping[str, list[Path]]
    ) -> list[ClassedImage]:
        """Tell the classes.

        Args:
            card: The dataset.
            raw: Raw data.
            files: ``images`` and ``labels`` of the set.

        Raises:
            ConversionError: An image has no class, or a list names an image that is not there.
        """
        ...


def read_files(
    card: DatasetCard, raw: Path, read: Callable[[Path, Decoded], Label], **words: Any
) -> LabelledSet:
    """A set whose images have a label file each, of the same stem.

    Args:
        card: The dataset.
        raw: Raw data.
        read: Reads one file.
        words: Further attributes of the set.

    Raises:
        ConversionError: An image or a label is alone, or a stem occurs twice.
    """

    def read_one(pair: LabelledImage, size: Decoded) -> Label:
        assert pair.label is not None  # one without a label is not read
        return read(pair.label, size)

    return LabelledSet(pair_by_stem(raw, card), read_one, **words)
