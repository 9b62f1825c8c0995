"""Formats of labels: what a card may ask for, and what it says because such files cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelFormat:
    """What is to be known of a format before a label is read.

    Attributes:
        name: Name on cards.
        suffixes: Suffixes of label files, also in a folder that holds images, too; none where the images themselves
            tell their class.
        suffixes_apart: Further suffixes, in folders that hold no images.
        suffix_tells: Whether a suffix alone shows that a file is a label, wherever it lies.
        class_files: Names of files that say which class a number is; they are taken wherever they lie.
        says_sizes: Whether a label says the size of its image.
        folder_is_class: Whether the folder that an image lies in is its class.
        takes: Fields of the layout that say what such labels cannot.
        needs: Those among them that have to be written.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    suffixes_apart: tuple[str, ...] = ()
    suffix_tells: bool = True
    class_files: tuple[str, ...] = ()
    says_sizes: bool = False
    folder_is_class: bool = False
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def read_suffixes(self) -> tuple[str, ...]:
        """Suffixes of all files that are read as labels."""
        return (*self.suffixes, *self.suffixes_apart)


_OF_BOXES = ("drop_images", "image_ending", "label_ending")
_FORMATS = (
    LabelFormat(
        "voc",
        suffixes=(".xml",),
        says_sizes=True,
        takes=("first_pixel", "difficult", *_OF_BOXES),
    ),
    LabelFormat(
        "yolo",
        suffixes=(".txt",),
        class_files=("data.yaml", "data.yml", "classes.txt", "obj.names"),
        takes=("names", *_OF_BOXES),
    ),
    LabelFormat(
        "coco",
        suffixes=(".json",),
        says_sizes=True,
        takes=("difficult", "drop_images", "image_ending"),
    ),
    LabelFormat(
        "labelme",
        suffixes=(".json",),
        says_sizes=True,
        takes=("least_thickness", *_OF_BOXES),
    ),
    LabelFormat(
        "masks",
        suffixes=(".png", ".bmp", ".tif", ".tiff"),
        suffixes_apart=(".jpg", ".jpeg"),
        suffix_tells=False,
        takes=("mask", *_OF_BOXES),
        needs=("mask",),
    ),
    LabelFormat(
        "deeppcb",
        suffixes=(".txt",),
        takes=("names", "first_pixel", *_OF_BOXES),
        needs=("names", "first_pixel"),
    ),
    LabelFormat("folders", folder_is_class=True),
    LabelFormat("names"),
    LabelFormat("lists", suffixes=(".txt", ".csv")),
)
LABEL_FORMATS: Mapping[str, LabelFormat] = {form.name: form for form in _FORMATS}
