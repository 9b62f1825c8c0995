"""Boards: what model files score and how fast they are there; and what others print, in a column of its own.

Records of an emulated processor have no row: its times say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...base.board_claims import BoardClaim, read_board_claims
from ...base.boards import DEVICES
from ...base.compressions import base_method
from ...base.errors import ReportError
from ...base.tasks import TASKS
from ...deploy.engines.files import recorded_sha256
from ..numbers import INVALID, NOTHING, percent
from ..numbers import number as digits
from ..records.cells import Entry, read_figures
from ..records.costs import mean, ratio_of
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Row, RowBlock, Shown, Table, keys_of, word_column

ORDER = 36


@dataclass(frozen=True)
class DeviceRow:
    """A method on a board, or a latency that others print of it.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts were made.
        method: Name of the method.
        title: Its name in tables.
        device: Name of the board; empty in the row of a claim.
        board: What the board calls itself.
        power_mode: Name of its power mode.
        engine: What runs the model.
        precision: Its arithmetic.
        score: The headline figure of its task on the images that the board saw, from its own outputs.
        n_images: How many these are.
        latency_ms_p50: Median latency there, ms.
        latency_ms_p90: Ninth of ten.
        latency_ms_p99: 99 of 100.
        ratio_to_reference: Latency over that of the reference model in the same engine on that board.
        ratio_to_reference_low: Lower end of its 95 % interval.
        ratio_to_reference_high: Upper end.
        board_w_mean: Power of the board meanwhile, W.
        largest_difference: Of its outputs from the artifact's in onnxruntime on the desktop.
        latency_valid: Whether the ratio can be trusted.
        claimed_ms: What others print; never beside a figure of ours.
        claim: What of: board, input, precision, what is timed.
        claim_grade: Whether it can be measured again.
        claim_source: Where it is printed.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    device: str = ""
    board: str = ""
    power_mode: str | None = None
    engine: str = ""
    precision: str = ""
    score: float | None = None
    n_images: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p90: float | None = None
    latency_ms_p99: float | None = None
    ratio_to_reference: float | None = None
    ratio_to_reference_low: float | None = None
    ratio_to_reference_high: float | None = None
    board_w_mean: float | None = None
    largest_difference: float | None = None
    latency_valid: bool | None = None
    claimed_ms: float | None = None
    claim: str = ""
    claim_grade: str = ""
    claim_source: str = ""


COLUMNS = (
    word_column("title", "method", NAME),
    word_column("device", "board", NAME),
    word_column("engine", "engine", NAME),
    word_column("precision", "precision", NAME),
    word_column("power_mode", "power mode", 3),
    Column("latency_ms_p50", "p50", "ms", digits, priority=HEADLINE),
    Column("latency_ms_p90", "p90", "ms", digits, priority=8),
    Column("latency_ms_p99", "p99", "ms", digits, priority=6),
    Column("ratio_to_reference", "ratio to the reference model", write=digits, priority=HEADLINE),
    Column("score", "score", "%", percent, priority=2),
    Column("board_w_mean", "power", "W", digits, priority=5),
    Column("largest_difference", "difference of outputs", write="{:.1e}".format, priority=9),
    Column("claimed_ms", "others print", "ms", digits, priority=4),
    word_column("claim", "of", 4),
    word_column("claim_grade", "can it be measured again", 7),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """The table of boards; nothing where there is neither a record nor a claim."""
    rows = rows_of(study.entries, read_board_claims(study.models_dir))
    if rows:
        yield device_table(rows)


def rows_of(entries: Sequence[Entry], claims: Sequence[BoardClaim]) -> list[DeviceRow]:
    """Rows of what was measured, then those of claims on the same method.

    Raises:
        ReportError: A record lacks another one, or speaks of another model file.
    """
    rows = []
    for entry in entries:
        names = (entry.first.dataset, entry.first.protocol, entry.first.method, entry.title)
        plain = DeviceRow(*names)
        rows += [_measured(plain, entry, folders) for folders in _folders(entry)]
        if base_method(entry.first.method) == entry.first.method:
            rows += [_claimed(plain, c) for c in claims if c.method == entry.first.method]
    return rows


def _folders(entry: Entry) -> list[list[Path]]:
    """Folders of records by board and form, a folder a cell; without those of emulated boards."""
    by_place: dict[tuple[str, str], list[Path]] = {}
    for cell in entry.cells:
        for path in sorted((cell.folder / DEVICES).glob("*/*/latency.json")):
            if not _latency(path.parent)["emulated"]:
                form = path.parent
                by_place.setdefault((form.parent.name, form.name), []).append(form)
    return list(by_place.values())


def _latency(folder: Path) -> dict[str, Any]:
    return read_figures(folder / "latency.json", "latency", _command(folder))


def _command(folder: Path) -> str:
    return f"defectbench edge run HOST --bundle BUNDLE --out FOLDER/{folder.parent.name}"


def _measured(row: DeviceRow, entry: Entry, folders: Sequence[Path]) -> DeviceRow:
    timed = [_latency(folder) for folder in folders]
    scored = [
        read_figures(folder / "accuracy.json", "accuracy", _command(folder)) for folder in folders
    ]
    agreed = [
        read_figures(folder / "agreement.json", "agreement", _command(folder)) for folder in folders
    ]
    for folder, latency, accuracy in zip(folders, timed, scored, strict=True):
        seen = recorded_sha256(latency["inputs"])
        if accuracy["model_sha256"] != seen:
            fix = (
                f"the scored model is {accuracy['model_sha256']}; run it again: {_command(folder)}"
            )
            raise ReportError(folder / "latency.json", "inputs.model.sha256", seen, fix)
    figures = [latency["figures"] for latency in timed]
    board, power = timed[0]["board"], [latency["power"] for latency in timed]
    differences = [
        value
        for record in agreed
        for name, value in record["figures"].items()
        if name.startswith("largest_difference")
    ]
    watts = [p["board_w_mean"] for p in power if p and p["board_w_mean"] is not None]
    names = ("latency_ms_p50", "latency_ms_p90", "latency_ms_p99")
    engine, precision = _form(folders[0].name)
    return replace(
        row,
        device=folders[0].parent.name,
        board=board["model"] or board["cpu"] or "",
        power_mode=board["power_mode"],
        engine=engine,
        precision=precision,
        score=mean([record["figures"] for record in scored], TASKS[entry.task].headline_figure),
        n_images=scored[0]["figures"]["n_images"],
        **{name: mean(figures, name) for name in names},
        **ratio_of(figures, "ratio_to_reference"),
        board_w_mean=sum(watts) / len(watts) if watts else None,
        largest_difference=max(differences),
        latency_valid=all(record["valid"] for record in figures),
    )


def _form(name: str) -> tuple[str, str]:
    engine, _, precision = name.partition("-")
    return engine, precision or "fp32"


def _claimed(row: DeviceRow, claim: BoardClaim) -> DeviceRow:
    side = f"{claim.size} px" if claim.size else "size not said"
    told = (claim.board, claim.power_mode, side, claim.precision, claim.timed)
    return replace(
        row,
        claimed_ms=claim.ms,
        claim=", ".join(filter(None, told)),
        claim_grade=claim.grade,
        claim_source=f"{claim.id}: {claim.source}",
    )


def device_table(rows: Sequence[DeviceRow]) -> Table:
    """The rows as a table."""
    blocks = {
        place: RowBlock(f"{place[0]}, {place[1]}")
        for place in dict.fromkeys((row.dataset, row.protocol) for row in rows)
    }
    notes = []
    if any(row.device for row in rows):
        counts = sorted({row.n_images for row in rows if row.n_images})
        notes.append(
            f"Scores are of the outputs that the board gave, on {' or '.join(map(str, counts))} images of the test "
            "part, scored on the desktop: mAP50 of a detector, balanced accuracy of a classifier."
        )
        notes.append("The reference model was timed on the same board in the same engine.")
        notes += [
            f"{row.device}: {row.board}, {row.power_mode or 'no power mode told'}."
            for row in rows
            if row.device
        ]
    if any(row.latency_valid is False for row in rows):
        notes.append(f"{INVALID} The ratio cannot be trusted; the record says why.")
    if any(row.claimed_ms is not None for row in rows):
        notes.append(
            "What others print is no figure of this suite, and stands beside none: other boards, inputs, settings."
        )
    return Table(
        name="devices",
        title="Boards",
        columns=COLUMNS,
        rows=[_shown(row, blocks[row.dataset, row.protocol]) for row in rows],
        notes=list(dict.fromkeys(notes)),
        fields=keys_of(DeviceRow),
        lead="Model files on boards, and what others print of the same networks.",
    )


def _shown(row: DeviceRow, block: RowBlock) -> Row:
    values = {name: getattr(row, name) for name in keys_of(DeviceRow)}
    shown: dict[str, Shown] = {}
    if not row.device:
        shown = {name: Shown(NOTHING) for name in ("device", "engine", "precision")}
    elif row.latency_valid is False:
        (column,) = (column for column in COLUMNS if column.key == "ratio_to_reference")
        shown["ratio_to_reference"] = replace(column.show(Row(values)), mark=INVALID)
    return Row(values, shown, block)
