"""The layout of raw data, as a card says it: where images and labels lie, and what the labels cannot say."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from .files import is_system_folder
from .label_formats import LABEL_FORMATS, LabelFormat
from .strict import Strict, name_one_of
from .texts import same_text

TOP = "."  # the whole of the raw data, as a layout names it


def _is_a_format(name: str) -> str:
    if name not in LABEL_FORMATS:
        raise ValueError(name_one_of(name, LABEL_FORMATS))
    return name


FormatName = Annotated[
    str, AfterValidator(_is_a_format), Field(json_schema_extra={"enum": [*LABEL_FORMATS]})
]
ClassName = Annotated[str, AfterValidator(same_text)]
Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]


class Mask(Strict):
    """What the pixels of a mask mean; each connected component becomes a box.

    Attributes:
        values: Index, or colour as red, green and blue, 0..255, by class.
        background: Index or colour of what is free of defects; 0, or black, by default.
        tolerance: Most by which a pixel's levels may differ from the nearest value, as they do in a mask that was
            saved as JPEG. A pixel that is farther off is an error.
        least_area: Least area of a component in pixels; smaller ones are left out, and listed.
    """

    values: dict[ClassName, Level | Colour] = Field(min_length=1)
    background: Level | Colour | None = None
    tolerance: int = Field(default=0, ge=0, le=255)
    least_area: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _values_can_be_told_apart(self) -> Mask:
        kinds = {isinstance(value, int) for value in self.all_values}
        if len(kinds) > 1:
            raise ValueError("write indices alone or colours alone, for the background, too")
        twice = [value for n, value in enumerate(self.all_values) if value in self.all_values[:n]]
        if twice:
            raise ValueError(f"{twice[0]} stands twice: each value means one thing")
        return self

    @property
    def is_colours(self) -> bool:
        """Whether values are colours; otherwise indices."""
        return not isinstance(next(iter(self.values.values())), int)

    @property
    def all_values(self) -> list[int | Colour]:
        """The background's value, then those of the classes."""
        background = self.background
        if background is None:
            background = (0, 0, 0) if self.is_colours else 0
        return [background, *self.values.values()]


class Layout(Strict):
    """Where images and labels lie in the raw data, and what the labels cannot say.

    Attributes:
        images: Names of folders that hold images, at any depth, in upper or lower case; ``*`` stands for any signs.
        labels: The same for labels; none where the images themselves tell their class. A folder that holds
            both is named under both, and ``.`` is the whole, whatever its folders.
        format: Format of the labels. Boxes: ``voc``, ``yolo``, ``coco``, ``labelme``, ``masks``, ``deeppcb``. One class
            an image: ``folders``, the folder that an image lies in; ``names``, its stem up to the last underscore;
            ``lists``, text files whose lines begin with a file name and a class.
        image_ending: What the stems of images end in beside the part that they share with their labels; other images
            are no part of the set.
        label_ending: The same for labels.
        names: Class by number, where labels hold numbers: a mapping, or a list that begins with number 0.
        first_pixel: 1 where corners are pixels that count from 1 and the last one belongs to the box; 0 where they
            are edges that count from 0. Pascal VOC's are 1 by default.
        difficult: What becomes of boxes that labels set apart, ``difficult`` in VOC and ``iscrowd`` in COCO. ``keep``:
            boxes like any other, VOC's default. ``drop``: left out. ``ignore``: neither asked for nor counted as false.
        least_thickness: Least side in pixels of the box of a line or a point, which has no area; boxes are widened
            about their centre.
        mask: What the pixels of masks mean.
        drop_images: Images that are left out and listed instead of being an error. ``unlabelled``: those without a
            label. ``empty``: those whose label holds no object. ``repeated``: those whose stem several folders hold
            while one label has that stem.
    """

    images: list[str] = Field(min_length=1)
    labels: list[str] = Field(default=[])
    format: FormatName = "voc"
    image_ending: str = ""
    label_ending: str = ""
    names: dict[int, ClassName] = Field(default={})
    first_pixel: Literal[0, 1] | None = None
    difficult: Literal["keep", "drop", "ignore"] | None = None
    least_thickness: float = Field(default=4.0, gt=0, le=1000)
    mask: Mask | None = None
    drop_images: list[Literal["unlabelled", "empty", "repeated"]] = Field(default=[])

    @field_validator("names", mode="before")
    @classmethod
    def _a_list_counts_from_0(cls, names: Any) -> Any:
        return dict(enumerate(names)) if isinstance(names, list) else names

    @model_validator(mode="after")
    def _labels_where_there_are_files(self) -> Layout:
        with_files = [name for name, form in LABEL_FORMATS.items() if form.suffixes]
        if bool(self.labels) != (self.format in with_files):
            told = f"{', '.join(with_files[:-1])} and {with_files[-1]}"
            raise ValueError(f"`labels` are named for {told}, and for no other format")
        paths = [
            name for name in (*self.images, *self.labels) if not name or {"/", "\\"} & set(name)
        ]
        if paths:
            raise ValueError(
                f"name a folder alone, wherever it lies, not the path to it: {paths[0]!r}"
            )
        hidden = [
            name for name in (*self.images, *self.labels) if name != TOP and is_system_folder(name)
        ]
        if hidden:
            raise ValueError(f"folders that are hidden are passed over; rename {hidden[0]!r}")
        return self

    @model_validator(mode="after")
    def _fields_fit_the_format(self) -> Layout:
        form = self.label_format
        for name, field in type(self).model_fields.items():
            is_free = name in ("images", "labels", "format", *form.takes)
            if not is_free and getattr(self, name) != field.default:
                of = [other.name for other in LABEL_FORMATS.values() if name in other.takes]
                raise ValueError(
                    f"{name} is for {', '.join(of)}; {self.format} does not ask for it"
                )
        for name in form.needs:
            if getattr(self, name) in (None, {}):
                raise ValueError(f"{self.format} needs `{name}`, which its labels do not say")
        return self

    @property
    def label_format(self) -> LabelFormat:
        """What is known of the format."""
        return LABEL_FORMATS[self.format]

    def holds(self, path: PurePath) -> Literal["images", "labels", "names"] | None:
        """What a file of the raw data is by its folders, the innermost first; None: neither.

        Where a folder is named for both, the file's suffix says what it is, and its ending. ``names`` is a file that
        says which class a number is.

        Args:
            path: The file, relative to the raw data.
        """
        folders = _folders(path)
        place = self._place(folders)
        if any(map(is_system_folder, folders[1:])):
            return None
        if path.name.lower() in self.label_format.class_files:
            return "names"
        if place is None:
            return None
        of_images, of_labels = self._named(folders[place])
        of_labels = of_labels and self._ends(path, self.label_ending)
        is_label = of_labels and path.suffix.lower() in self.label_format.suffixes
        if is_label or (of_labels and not of_images):
            return "labels"
        return "images" if of_images and self._ends(path, self.image_ending) else None

    def stem(self, path: PurePath, kind: str) -> str:
        """What an image and its label share: the stem in small letters, composed, without the ending of its kind.

        Args:
            path: A file that the layout holds.
            kind: ``images`` or ``labels``.
        """
        ending = {"images": self.image_ending, "labels": self.label_ending}.get(kind, "")
        return _folded(path.stem).removesuffix(_folded(ending))

    def around(self, path: PurePath) -> tuple[str, ...]:
        """Folders of a file without the one that says what it is: those of an image are those of its label.

        Args:
            path: A file that the layout holds, relative to the raw data.
        """
        folders = _folders(path)
        place = self._place(folders)
        if place is not None and not all(self._named(folders[place])):
            del folders[place]
        return tuple(same_text(folder) for folder in folders if folder != TOP)

    def _ends(self, path: PurePath, ending: str) -> bool:
        return _folded(path.stem).endswith(_folded(ending))

    def _place(self, folders: list[str]) -> int | None:
        """Index of the folder that says what a file is."""
        places = range(len(folders) - 1, -1, -1)
        return next((place for place in places if any(self._named(folders[place]))), None)

    def _named(self, folder: str) -> tuple[bool, bool]:
        """Whether a folder is named for images, and for labels."""
        return _is_named(folder, self.images), _is_named(folder, self.labels)


def _folders(path: PurePath) -> list[str]:
    """Folders that a file lies in, the top of the raw data first."""
    return [TOP, *path.parts[:-1]]


def _is_named(folder: str, names: list[str]) -> bool:
    folded = _folded(folder)
    return any(
        folded == _folded(name)
        if "*" not in name
        else bool(re.fullmatch(".*".join(map(re.escape, _folded(name).split("*"))), folded))
        for name in names
    )


def _folded(name: str) -> str:
    return same_text(name).lower()
