"""Dataset cards: one YAML file in ``datasets/`` says all that the data stages need to know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .label_formats import LABEL_FORMATS
from .layouts import ClassName, Layout
from .strict import Strict, did_you_mean, first_fault, name_one_of
from .tasks import DETECTION, TASKS
from .yaml_text import read_yaml

MADE_HERE = "a synthetic set is made here and has no mirror: leave it out"


def _is_a_task(name: str) -> str:
    if name not in TASKS:
        raise ValueError(name_one_of(name, TASKS))
    return name


TaskName = Annotated[str, AfterValidator(_is_a_task), Field(json_schema_extra={"enum": [*TASKS]})]


class DefectLook(Strict):
    """How plainly the defects of a synthetic set show.

    Attributes:
        least_size: Factor of the least size of a defect of each class; the largest stays.
        contrast: Factor of the contrast.
        others: Factor of how often a defect is of another class than most of its strip.
    """

    least_size: float = Field(default=1.0, ge=1, le=3)
    contrast: float = Field(default=1.0, ge=0.2, le=3)
    others: float = Field(default=1.0, ge=0, le=1.5)


class Source(Strict):
    """Where a dataset comes from.

    Attributes:
        kind: ``archive`` (fetched), ``package`` (installed with pip) or ``synthetic`` (made here).
        home: Page of the publisher.
        urls: Addresses of the archive, tried in order after a mirror.
        sha256: Hash of the archive, where one byte-identical archive circulates.
        package: Name under which Python imports the package that carries the set.
        manifest: List of file hashes, relative to the card: ``<sha256>  <path>`` lines, gzip. Only the files
            that the layout holds are asked for.
        place_here: What a user without a working address can do.
        unpacked_mib: Most that an archive may hold, MiB; more is taken for an attack.
        seed: Seed of a synthetic set.
        look: How plainly the defects of a synthetic set show.
    """

    kind: Literal["archive", "package", "synthetic"]
    home: str = ""
    urls: list[str] = Field(default=[])
    sha256: str | None = None
    package: str | None = None
    manifest: str | None = None
    place_here: str = ""
    unpacked_mib: int = Field(default=16 * 1024, gt=0)
    seed: int = Field(default=0, ge=0)
    look: DefectLook = Field(default=DefectLook())

    @model_validator(mode="after")
    def _a_package_has_a_name(self) -> Source:
        if (self.kind == "package") != (self.package is not None):
            raise ValueError("`kind: package` and the package's import name belong together")
        if self.kind != "synthetic" and (self.seed, self.look) != (0, DefectLook()):
            raise ValueError("`seed` and `look` are of synthetic sets; leave them out")
        return self


class Expected(Strict):
    """Registered counts of the conversion; a difference stops it.

    Attributes:
        images: Images.
        boxes_labelled: Boxes in the labels.
        duplicates: Boxes dropped because the same image has the same box of the same class.
        boxes: Boxes that stay.
        boxes_per_class: The same by class.
    """

    images: int
    boxes_labelled: int
    duplicates: int = 0
    boxes: int
    boxes_per_class: dict[ClassName, int]


class ExpectedClasses(Strict):
    """The same for classification.

    Attributes:
        images: Images.
        images_per_class: The same by class.
    """

    images: int
    images_per_class: dict[ClassName, int]


class DatasetCard(Strict):
    """What a dataset is.

    Attributes:
        name: Name in studies and paths; the file's stem.
        title: Name in tables.
        task: What is to be solved: find defects, or tell the one class of an image.
        surface: What is inspected.
        classes: Canonical class names; their order is the category id.
        aliases: Other spellings of a class.
        drop: Label names that are dropped and listed.
        source: Where it comes from.
        layout: How it is laid out.
        allow_empty: Whether an image may be free of defects.
        unlabelled_are_empty: Whether an image without a label is free of defects; otherwise it is an error.
        ignore_label_sizes: Whether boxes are right where a label says another size than its image has;
            otherwise labels made for another size are an error.
        expected: Registered counts.
        splits: Published lists by protocol, ``file_name,part`` lines relative to the card: what seed 0 stands
            for, so that scores stay comparable when the overlap finder learns to see more.
        train_lists: Published choices from the training part of a split, by name: ``file_name,class`` lines.
        licence: As its publisher states it.
        cite: Works to cite.
        folder: Folder of the card; set by the loader.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    task: TaskName = DETECTION.name
    surface: str
    classes: list[ClassName] = Field(min_length=1)
    aliases: dict[ClassName, ClassName] = Field(default={})
    drop: list[ClassName] = Field(default=[])
    source: Source
    layout: Layout
    allow_empty: bool = False
    unlabelled_are_empty: bool = False
    ignore_label_sizes: bool = False
    expected: Expected | ExpectedClasses | None = None
    splits: dict[Literal["clean", "random", "sequential"], str] = Field(default={})
    train_lists: dict[str, str] = Field(default={})
    licence: str
    cite: list[str] = Field(default=[])
    folder: Path = Path("datasets")

    @field_validator("classes", "drop")
    @classmethod
    def _names_can_be_told_apart(cls, names: list[str]) -> list[str]:
        bare = [name for name in names if name != name.strip() or not name]
        if bare:
            raise ValueError(f"{bare[0]!r} is empty or has blanks around it: write the name alone")
        twice = [name for n, name in enumerate(names) if name in names[:n]]
        if twice:
            raise ValueError(f"{twice[0]} stands twice: name it once")
        return names

    @model_validator(mode="after")
    def _aliases_lead_to_classes(self) -> DatasetCard:
        lost = [alias for alias, name in self.aliases.items() if name not in self.classes]
        if lost:
            raise ValueError(f"each alias leads to a class; wrong: {lost}")
        canonical = [alias for alias in self.aliases if alias in self.classes]
        if canonical:
            raise ValueError(f"{canonical[0]} is a class of its own, and no alias of another")
        kept = [name for name in self.drop if name in (*self.classes, *self.aliases)]
        if kept:
            raise ValueError(f"{kept[0]} is dropped, and a class or an alias: say one of both")
        return self

    @model_validator(mode="after")
    def _fields_fit_the_task(self) -> DatasetCard:
        task = TASKS[self.task]
        if self.layout.format not in task.label_formats:
            raise ValueError(f"layout.format of {task.name} is one of {task.label_formats}")
        if self.allow_empty and not task.finds_boxes:
            raise ValueError("allow_empty is for detection: a class of its own is free of defects")
        if self.unlabelled_are_empty and not self.allow_empty:
            raise ValueError("unlabelled_are_empty needs allow_empty: true")
        if self.ignore_label_sizes and not self.layout.label_format.says_sizes:
            of = ", ".join(form.name for form in LABEL_FORMATS.values() if form.says_sizes)
            raise ValueError(f"ignore_label_sizes is for {of}: {self.layout.format} says no sizes")
        if self.unlabelled_are_empty and "unlabelled" in self.layout.drop_images:
            raise ValueError(
                "unlabelled_are_empty keeps the images that drop_images drops: say one of both"
            )
        if self.expected and isinstance(self.expected, Expected) != task.finds_boxes:
            raise ValueError("expected counts boxes for detection, images for classification")
        return self

    @model_validator(mode="after")
    def _the_layout_names_the_classes(self) -> DatasetCard:
        masks = self.layout.mask.values if self.layout.mask else {}
        for field, names in (("names", self.layout.names.values()), ("mask.values", masks)):
            lost = [n for n in names if self.class_id(n) is None and n not in self.drop]
            if lost:
                raise ValueError(f"layout.{field}: {lost[0]!r} is no class, alias or dropped name")
        return self

    @model_validator(mode="after")
    def _expected_names_the_classes(self) -> DatasetCard:
        if isinstance(self.expected, Expected):
            named = list(self.expected.boxes_per_class)
        else:
            named = list(self.expected.images_per_class) if self.expected else self.classes
        if named != self.classes:
            raise ValueError("expected counts name the classes in their order")
        return self

    def train_list(self, name: str) -> Path:
        """File of a published choice from the training part.

        Raises:
            ConfigError: The card names no such list.
        """
        if name not in self.train_lists:
            lists = f"name one of its train_lists: {', '.join(self.train_lists) or 'it has none'}"
            fix = "; ".join(filter(None, (lists, did_you_mean(name, self.train_lists))))
            raise ConfigError(self.folder / f"{self.name}.yaml", "train_list", name, fix)
        return self.folder / self.train_lists[name]

    def class_id(self, name: str) -> int | None:
        """Category id of a label's composed name, aliases included; None if it is unknown."""
        canonical = self.aliases.get(name, name)
        return self.classes.index(canonical) if canonical in self.classes else None


def load_dataset_card(path: str | Path) -> DatasetCard:
    """Read and check a dataset card.

    Raises:
        ConfigError: It is missing, wrong, or names another dataset.
    """
    file = Path(path)
    content = read_yaml(file, "name a card in datasets/")
    try:
        card = DatasetCard.model_validate({**content, "folder": file.parent})
    except TypeError as error:
        raise ConfigError(path, "content", str(error), "mend the YAML") from error
    except ValidationError as error:
        field, value, fix = first_fault(DatasetCard, error)
        raise ConfigError(path, field or "file", value, fix) from error
    if card.name != file.stem:
        raise ConfigError(path, "name", card.name, f"write the file's stem, {file.stem}")
    return card


def dataset_tasks(names: Iterable[str], folder: str | Path = "datasets") -> dict[str, str]:
    """Task by dataset.

    Raises:
        ConfigError: A card is missing or wrong.
    """
    return {name: load_dataset_card(Path(folder) / f"{name}.yaml").task for name in names}
