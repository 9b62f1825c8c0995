"""Dataset cards: one YAML file in ``datasets/`` says all that the data stages need to know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .label_formats import LABEL_FORMATS
from .layouts import ClassName, Layout
from .strict import Strict, did_you_mean, first_fault, name_one_of
from .tasks import DETECTION, TASKS
from .yaml_text import read_yaml

MADE_HERE = "a synthetic set is made here and has no mirror: leave it out"
_ADDRESSES = {
    "kaggle": "https://www.kaggle.com/datasets/{}",
    "hugging_face": "https://huggingface.co/datasets/{}",
    "google_drive": "https://drive.google.com/file/d/{}/view",
    "baidu": "https://pan.baidu.com/s/{}",
    "doi": "https://doi.org/{}",
    "web": "{}",
}


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


class SourcePage(Strict):
    """Where a person gets a set that no program may fetch: behind a login, a licence or a form.

    Attributes:
        at: Kind of place.
        id: What it is called there: ``owner/name`` at Kaggle and Hugging Face, the id of a file of Google Drive or
            Baidu, a DOI; for ``web`` the address.
        note: What to take there, and what to know of it.
    """

    at: Literal["kaggle", "hugging_face", "google_drive", "baidu", "doi", "web"]
    id: str = Field(min_length=1)
    note: str = ""

    @property
    def address(self) -> str:
        """The page's address."""
        return _ADDRESSES[self.at].format(self.id)

    @property
    def told_note(self) -> str:
        """Its note in brackets, after a blank; nothing where it has none."""
        return f" ({self.note})" if self.note else ""


class Source(Strict):
    """Where a dataset comes from.

    Attributes:
        kind: ``archive`` (fetched), ``package`` (installed with pip) or ``synthetic`` (made here).
        home: Page of the publisher.
        urls: Addresses of the archive, tried in order after a mirror.
        pages: Where a person gets it, in the order in which to try; the archive is then named as a mirror.
        download_mib: Size of the archive, MiB, as far as it is known.
        sha256: Hash of the archive, where one byte-identical archive circulates.
        md5: The same by MD5, where its publisher prints no other.
        package: Name under which Python imports the package that carries the set.
        manifest: List of file hashes, relative to the card: ``<sha256>  <path>`` lines, gzip. Only the files
            that the layout holds are asked for.
        listed_only: Whether a file that the manifest does not hold is an error; otherwise it is counted.
        place_here: What a user without a working address can do.
        unpacked_mib: Most that an archive may hold, MiB; more is taken for an attack.
        seed: Seed of a synthetic set.
        look: How plainly the defects of a synthetic set show.
    """

    kind: Literal["archive", "package", "synthetic"]
    home: str = ""
    urls: list[str] = Field(default=[])
    pages: list[SourcePage] = Field(default=[])
    download_mib: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    package: str | None = None
    manifest: str | None = None
    listed_only: bool = False
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
        if self.listed_only and self.manifest is None:
            raise ValueError("`listed_only` needs a `manifest` that lists the files")
        return self

    @property
    def needs_a_person(self) -> bool:
        """Whether no program can get it: a user names a folder or an archive."""
        return self.kind == "archive" and not self.urls

    def how_to_get(self) -> str:
        """What a person does to get it, in one line."""
        first = [f"get it at {page.address}{page.told_note}" for page in self.pages[:1]]
        others = [f"or at {page.address}{page.told_note}" for page in self.pages[1:]]
        return "; ".join(filter(None, (", ".join([*first, *others]), self.place_here)))


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
    """The same for tasks whose images have one class.

    Attributes:
        images: Images.
        images_per_class: The same by class.
        images_without_defect: Those that are free of defects, where the task has such.
    """

    images: int
    images_per_class: dict[ClassName, int]
    images_without_defect: int | None = None


Said = Literal["allowed", "not allowed", "not stated"]


class Allows(Strict):
    """What a licence allows, as far as its publisher says so.

    Attributes:
        research: Use in research.
        commercial: Use in a business.
        redistribution: To give the images on.
    """

    research: Said = "not stated"
    commercial: Said = "not stated"
    redistribution: Said = "not stated"

    def told(self) -> str:
        """The same in words.

        Example:
            >>> Allows(research="allowed", commercial="not allowed").told()
            'research allowed, commercial not allowed, redistribution not stated'
        """
        return ", ".join(f"{use} {said}" for use, said in self)


class Grouping(Strict):
    r"""Images that belong together by their names, whatever their pixels show: they stay on one side of a split.

    Attributes:
        of: What a group stands for: a board, a coil, a photograph.
        pattern: Regular expression that is looked for in a name without its suffix; what its first parentheses hold
            names the group.
        modulus: Of a rule by numbers, ``(number - offset) mod modulus``, with the last number of the name.
        offset: The same rule's offset.
        block: How many numbers in a row, of what that rule gives, are one group.
        apart: Whether surfaces are compared within a group alone, since two groups are known to show different pieces,
            or what they share is none (a lamp, plain ground that agrees by chance).

    Example:
        >>> Grouping(of="board", pattern=r"^(\d+)_").group_of("04_short_12")
        '04'
        >>> Grouping(of="photograph", modulus=104, offset=1).group_of("105")
        '0'
    """

    of: str = Field(min_length=1)
    pattern: str | None = None
    modulus: int | None = Field(default=None, gt=0)
    offset: int = 0
    block: int = Field(default=1, gt=0)
    apart: bool = False

    @model_validator(mode="after")
    def _one_rule(self) -> Grouping:
        if (self.pattern is None) == (self.modulus is None):
            raise ValueError("a group is told by a `pattern` or by a `modulus`: write one of both")
        if self.pattern is not None and (self.offset or self.block > 1):
            raise ValueError("`offset` and `block` belong to `modulus`; leave them out")
        return self

    @field_validator("pattern")
    @classmethod
    def _pattern_has_a_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "()").groups
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error
        if not groups:
            raise ValueError("put what names the group into parentheses")
        return pattern

    def group_of(self, stem: str) -> str | None:
        """Group of an image by its name without suffix; None where the rule does not fit that name."""
        if self.pattern is not None:
            match = re.search(self.pattern, stem)
            return match[1] if match else None
        assert self.modulus is not None
        numbers = re.findall(r"\d+", stem)
        return (
            str((int(numbers[-1]) - self.offset) % self.modulus // self.block) if numbers else None
        )


class Official(Strict):
    """The parts that the publisher lists, as files of the set: each line begins with an image, path and suffix or not.

    Attributes:
        train: Lists of training images.
        val: Lists of validation images.
        trainval: Lists of images of which a split takes both; its seed draws them.
        test: Lists of test images.
        behind: What stands behind a listed name in the name of the image, such as ``_test``.
        only: Whether images on no list are not of the set; otherwise they are an error.
    """

    train: list[str] = Field(default=[])
    val: list[str] = Field(default=[])
    trainval: list[str] = Field(default=[])
    test: list[str] = Field(min_length=1)
    behind: str = ""
    only: bool = False

    @model_validator(mode="after")
    def _both_parts_or_one_to_draw_from(self) -> Official:
        if bool(self.trainval) == bool(self.train and self.val) or bool(self.train) != bool(
            self.val
        ):
            raise ValueError("name lists of `trainval`, or of both `train` and `val`")
        return self

    @property
    def lists(self) -> dict[str, list[str]]:
        """File names by part."""
        named = {part: getattr(self, part) for part in ("train", "val", "trainval", "test")}
        return {part: files for part, files in named.items() if files}

    def holds(self, path: PurePath) -> bool:
        """Whether a file of the set is one of the lists."""
        names = [PurePath(name).parts for files in self.lists.values() for name in files]
        return any(path.parts[-len(parts) :] == parts for parts in names)


class Customs(Strict):
    """How papers divide a set, and what an honest split has to keep together.

    Attributes:
        customary: The protocol here that is nearest to what papers do.
        papers: What papers do, in words.
        clean: What the protocol `clean` keeps together, in words.
    """

    customary: Literal["official", "random", "sequential", "paper"] = "random"
    papers: str = ""
    clean: str = ""


class DatasetCard(Strict):
    """What a dataset is.

    Attributes:
        name: Name in studies and paths; the file's stem.
        title: Name in tables.
        task: What is to be solved: find defects, tell the one class of an image, or tell images with a defect from
            those without one, having learnt from the latter alone.
        surface: What is inspected.
        classes: Canonical class names; their order is the category id.
        aliases: Other spellings of a class.
        defect_free: Names by which images are said to be free of defects, for the task that learns from them; they
            are no classes.
        drop: Label names that are dropped and listed.
        drop_files: Files that are not taken up, by name or pattern (``*_temp.jpg``), each with the reason.
        also_called: Other names of the set, which papers use.
        unconfirmed: What of this card is a reading of ours and not a citation.
        images: How many images it holds, where ``expected`` does not register it.
        source: Where it comes from.
        layout: How it is laid out.
        allow_empty: Whether an image may be free of defects.
        unlabelled_are_empty: Whether an image without a label is free of defects; otherwise it is an error.
        ignore_label_sizes: Whether boxes are right where a label says another size than its image has;
            otherwise labels made for another size are an error.
        expected: Registered counts.
        grouping: Which images belong together by their names.
        official: The publisher's parts, as lists of the set.
        protocols: How papers divide it.
        splits: Published lists by protocol, ``file_name,part`` lines relative to the card: what seed 0 stands
            for, so that scores stay comparable when the overlap finder learns to see more.
        train_lists: Published choices from the training part of a split, by name: ``file_name,class`` lines.
        licence: As its publisher states it.
        allows: What it allows.
        cite: Works to cite.
        folder: Folder of the card; set by the loader.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    task: TaskName = DETECTION.name
    surface: str
    classes: list[ClassName] = Field(min_length=1)
    aliases: dict[ClassName, ClassName] = Field(default={})
    defect_free: list[ClassName] = Field(default=[])
    drop: list[ClassName] = Field(default=[])
    drop_files: dict[str, str] = Field(default={})
    also_called: list[str] = Field(default=[])
    unconfirmed: str = ""
    images: int | None = Field(default=None, gt=0)
    source: Source
    layout: Layout
    allow_empty: bool = False
    unlabelled_are_empty: bool = False
    ignore_label_sizes: bool = False
    expected: Expected | ExpectedClasses | None = None
    grouping: Grouping | None = None
    official: Official | None = None
    protocols: Customs = Field(default=Customs())
    splits: dict[Literal["clean", "random", "sequential"], str] = Field(default={})
    train_lists: dict[str, str] = Field(default={})
    licence: str
    allows: Allows = Field(default=Allows())
    cite: list[str] = Field(default=[])
    folder: Path = Path("datasets")

    @field_validator("train_lists")
    @classmethod
    def _lists_are_no_shares(cls, lists: dict[str, str]) -> dict[str, str]:
        shares = [name for name in lists if re.fullmatch(r"\d+pct", name)]
        if shares:
            raise ValueError(
                f"{shares[0]} is the name of a share of the training part: name the list otherwise"
            )
        return lists

    @field_validator("classes", "defect_free", "drop")
    @classmethod
    def _names_can_be_told_apart(cls, names: list[str]) -> list[str]:
        bare = [name for name in names if name != name.strip() or not name]
        if bare:
            raise ValueError(f"{bare[0]!r} is empty or has blanks around it: write the name alone")
        odd = [name for name in names if not name.isprintable()]
        if odd:
            raise ValueError(f"{odd[0]!r} holds a line break or a sign that cannot be printed")
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
        free = [n for n in self.defect_free if n in (*self.classes, *self.aliases, *self.drop)]
        if free:
            raise ValueError(f"{free[0]} is defect_free, and a class, an alias or dropped: say one")
        return self

    @model_validator(mode="after")
    def _fields_fit_the_task(self) -> DatasetCard:
        task = TASKS[self.task]
        if self.layout.format not in task.label_formats:
            raise ValueError(f"layout.format of {task.name} is one of {task.label_formats}")
        if self.allow_empty and not task.finds_boxes:
            raise ValueError("allow_empty is for detection: a class of its own is free of defects")
        if bool(self.defect_free) != task.learns_defect_free:
            of = ", ".join(other.name for other in TASKS.values() if other.learns_defect_free)
            raise ValueError(
                f"`defect_free` and the task {of} belong together: it learns from such images alone"
            )
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
            raise ValueError("expected counts boxes for detection, images for other tasks")
        if isinstance(self.expected, ExpectedClasses):
            is_counted = self.expected.images_without_defect is not None
            if is_counted != task.learns_defect_free:
                raise ValueError(
                    "`expected.images_without_defect` and `defect_free` belong together"
                )
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

    @model_validator(mode="after")
    def _customs_fit(self) -> DatasetCard:
        if self.protocols.customary == "official" and self.official is None:
            raise ValueError("`protocols.customary: official` needs the lists of `official`")
        if self.images is not None and self.expected is not None:
            raise ValueError("`expected` says how many images there are; leave `images` out")
        return self

    @property
    def n_images(self) -> int | None:
        """How many images it holds, where that is known."""
        return self.expected.images if self.expected else self.images

    def why_dropped(self, path: PurePath) -> str | None:
        """Why a file is not taken up; None where it is."""
        name = path.name.lower()
        reasons = (why for mask, why in self.drop_files.items() if fnmatchcase(name, mask.lower()))
        return next(reasons, None)

    def holds(self, path: PurePath) -> Literal["images", "labels", "names", "lists"] | None:
        """What a file of the raw data is: as its layout says, or a list of its official parts; None: not of the set.

        Args:
            path: The file, relative to the raw data.
        """
        if self.official is not None and self.official.holds(path):
            return "lists"
        return None if self.why_dropped(path) is not None else self.layout.holds(path)

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

    def knows(self, name: str) -> bool:
        """Whether a name is a class, an alias, one of ``defect_free`` or a dropped one."""
        return self.class_id(name) is not None or name in (*self.defect_free, *self.drop)


def load_dataset_card(path: str | Path) -> DatasetCard:
    """Read and check a dataset card.

    Raises:
        ConfigError: It is missing, wrong, or names another dataset.
    """
    file = Path(path)
    content = read_yaml(file, "name a card in datasets/")
    if not isinstance(content, dict):
        fix = "a card is a mapping of fields: name, title, classes, source, layout, licence"
        raise ConfigError(path, "content", type(content).__name__, fix)
    try:
        card = DatasetCard.model_validate({**content, "folder": file.parent})
    except ValidationError as error:
        field, value, fix = first_fault(DatasetCard, error)
        raise ConfigError(path, field or "file", value, fix) from error
    if card.name != file.stem:
        raise ConfigError(path, "name", card.name, f"write the file's stem, {file.stem}")
    return card


def load_shelf(folder: str | Path = "datasets") -> list[DatasetCard]:
    """All cards of a folder, by name.

    Raises:
        ConfigError: A card is wrong.
    """
    return [load_dataset_card(path) for path in sorted(Path(folder).glob("*.yaml"))]


def dataset_tasks(names: Iterable[str], folder: str | Path = "datasets") -> dict[str, str]:
    """Task by dataset.

    Raises:
        ConfigError: A card is missing or wrong.
    """
    return {name: load_dataset_card(Path(folder) / f"{name}.yaml").task for name in names}
