"""Tables that papers print, typed in as they stand there: what the claims audit does its arithmetic on."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from .errors import ConfigError
from .strict import BatchSize, Side, Strict, first_fault
from .yaml_text import read_yaml

FOLDER = "printed_tables"  # in the folder of the methods
NETWORKS = "other_networks.yaml"  # in there: counts of networks that have no folder of their own
Figure = Literal["params_m", "operations_g", "map50", "map50_95", "map"]
FIGURES: tuple[Figure, ...] = get_args(Figure)
SCORES: tuple[Figure, ...] = ("map50", "map50_95", "map")
UnitName = Literal["MAC", "2 x MAC"]


def _as_printed(value: Any) -> Decimal:
    """A figure with all its digits; a float has lost a zero at its end."""
    if isinstance(value, (float, bool)) or not isinstance(value, (str, int, Decimal)):
        raise ValueError("write the figure in quotes, as it is printed: its digits are compared")
    try:
        figure = Decimal(value)
    except InvalidOperation as error:
        raise ValueError("it is no figure; write it in digits with a point") from error
    if not figure.is_finite():
        raise ValueError("it is no figure; write it in digits with a point")
    return figure


Printed = Annotated[Decimal, BeforeValidator(_as_printed)]


class PrintedSpeed(Strict):
    """A printed speed, and what is said of how it was taken.

    Attributes:
        fps: Images a second.
        ms: Milliseconds of one call.
        batch: Images a call.
        precision: Arithmetic.
        boundary: What is timed, such as ``forward`` or ``end to end``.
        device: On what.
    """

    fps: Printed | None = None
    ms: Printed | None = None
    batch: BatchSize | None = None
    precision: str = ""
    boundary: str = ""
    device: str = ""

    @model_validator(mode="after")
    def _says_a_speed(self) -> PrintedSpeed:
        if self.fps is None and self.ms is None:
            raise ValueError("a speed has `fps`, `ms` or both")
        return self

    @property
    def lacks(self) -> list[str]:
        """What is not said and changes the figure."""
        told = {
            "batch": self.batch,
            "precision": self.precision,
            "boundary": self.boundary,
            "device": self.device,
        }
        return [name for name, value in told.items() if not value]


class PrintedRow(Strict):
    """A row of a printed table; scores in percent.

    Attributes:
        method: Its name in the paper; the same in all tables of the paper.
        network: The network whose counts are known by other means: a folder of the methods, or one of
            ``other_networks.yaml``; empty where there is none.
        rebuilt_from_it: Whether our network was rebuilt from these very counts, which then prove nothing.
        data_set: The data; that of the table by default.
        size: Side of the input, pixels; that of the table by default.
        params_m: Parameters, millions.
        operations_g: Operations of one image, G.
        unit: What the paper says that an operation is; empty where it does not.
        map50: mAP at an IoU of 0.5, percent.
        map50_95: mAP over IoUs of 0.5 to 0.95, percent.
        map: mAP without a word on the IoU, percent.
        speeds: Printed speeds.
        note: What else must be known.
    """

    method: str = Field(min_length=1)
    network: str = ""
    rebuilt_from_it: bool = False
    data_set: str = ""
    size: Side | None = None
    params_m: Printed | None = None
    operations_g: Printed | None = None
    unit: Literal["", "MAC", "2 x MAC"] = ""
    map50: Printed | None = None
    map50_95: Printed | None = None
    map: Printed | None = None
    speeds: list[PrintedSpeed] = Field(default=[])
    note: str = ""

    @model_validator(mode="after")
    def _holds_a_figure(self) -> PrintedRow:
        if not self.speeds and all(self.printed(figure) is None for figure in FIGURES):
            raise ValueError(f"a row holds a figure; write one of {', '.join(FIGURES)}, speeds")
        return self

    def printed(self, figure: Figure) -> Decimal | None:
        """A figure of this row."""
        return getattr(self, figure)


class PrintedStatement(Strict):
    """What a text says of two rows.

    Attributes:
        figure: Which figure of the rows.
        kind: ``percent`` of change, ``difference`` in the unit of the figure (points of a score), or ``beside``:
            both figures stand beside each other, without a figure of their ratio.
        of: The row that is better.
        against: The row that it is held against, or a network whose counts are known.
        value: What is printed, negative for a loss; none for ``beside``.
        data_set: The data; that of the table by default.
        size: Side of the input, pixels; that of the table by default.
    """

    figure: Figure
    kind: Literal["percent", "difference", "beside"]
    of: str
    against: str
    value: Printed | None = None
    data_set: str = ""
    size: Side | None = None

    @model_validator(mode="after")
    def _has_its_figure(self) -> PrintedStatement:
        if (self.value is None) != (self.kind == "beside"):
            raise ValueError("`percent` and `difference` have a `value`, `beside` has none")
        if self.kind == "beside" and self.figure != "operations_g":
            raise ValueError("`beside` is for operations_g, whose units are compared")
        return self


class PrintedTable(Strict):
    """A table, or an abstract, of a paper.

    Attributes:
        paper: Short name of the paper; the same for all its tables.
        place: Where in the paper, such as ``table 3`` or ``abstract``.
        citation: The paper.
        read: What was read of it, and what is not verified.
        data_set: The data of its rows: a dataset by its name here, or in words.
        size: Side of the input, pixels.
        unstated: What must be known to repeat a score, and is not said.
        not_comparable: Why its scores can be compared with no other; empty where they can.
        rows: Its rows.
        statements: What is said of them.
    """

    paper: str = Field(min_length=1)
    place: str
    citation: str
    read: str
    data_set: str = ""
    size: Side | None = None
    unstated: list[str] = Field(default=[])
    not_comparable: str = ""
    rows: list[PrintedRow] = Field(default=[])
    statements: list[PrintedStatement] = Field(default=[])

    @model_validator(mode="before")
    @classmethod
    def _parts_take_what_all_share(cls, content: Any) -> Any:
        """Rows and statements with the data and the size of their table, where they say no other."""
        if not isinstance(content, dict):
            return content
        shared = {key: content[key] for key in ("data_set", "size") if content.get(key)}
        parts = {
            name: [shared | part if isinstance(part, dict) else part for part in content[name]]
            for name in ("rows", "statements")
            if isinstance(content.get(name), list)
        }
        return content | parts

    @property
    def source(self) -> str:
        """Paper and place."""
        return f"{self.paper}, {self.place}"


class OtherNetwork(Strict):
    """Counts of a network that has no folder among the methods.

    Attributes:
        params_m: Parameters, millions.
        operations_g: Operations of one image, G.
        unit: What an operation is.
        size: Side of the input, pixels.
        classes: Number of classes.
        source: Who counted.
    """

    params_m: Printed
    operations_g: Printed
    unit: UnitName
    size: Side
    classes: int
    source: str


class _OtherNetworks(Strict):
    networks: dict[str, OtherNetwork]


def read_printed_tables(models_dir: str | Path) -> list[PrintedTable]:
    """The printed tables beside the methods, by file name; none where there is no such folder.

    Raises:
        ConfigError: A table has a field that is wrong.
    """
    folder = Path(models_dir) / FOLDER
    paths = [path for path in sorted(folder.glob("*.yaml")) if path.name != NETWORKS]
    return [_parse(path, PrintedTable) for path in paths]


def read_other_networks(models_dir: str | Path) -> dict[str, OtherNetwork]:
    """Counts of networks without a folder, by name; none where there is no such file.

    Raises:
        ConfigError: A network has a field that is wrong.
    """
    path = Path(models_dir) / FOLDER / NETWORKS
    return _parse(path, _OtherNetworks).networks if path.is_file() else {}


def _parse(path: Path, kind: Any) -> Any:
    content = read_yaml(path, "write the table")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        field, value, fix = first_fault(kind, error)
        raise ConfigError(path, field, value, fix) from error
