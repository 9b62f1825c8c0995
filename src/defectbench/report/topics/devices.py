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
from ...base.records import ABSENT
from ...base.tasks import TASKS
from ...deploy.engines.files import recorded_sha256
from ..numbers import INVALID, NOTHING, percent
from ..numbers import number as digits
from ..records.cell import CellRecords
from ..records.cells import Entry, read_figures
from ..records.costs import mean, ratio_of
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Row, RowBlock, Shown, Table, keys_of, word_column

ORDER = 38
BY_TRTEXEC = "tensorrt (trtexec)"


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
        race_w_mean: Power of the board while all models of the engine took turns, W; none of this one alone.
        largest_difference: Of its outputs from the artifact's in onnxruntime on the desktop.
        latency_valid: Whether the ratio can be trusted.
        absent_because: What the engine said when it refused the model; empty where there are figures.
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
    race_w_mean: float | None = None
    largest_difference: float | None = None
    latency_valid: bool | None = None
    absent_because: str = ""
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
    rows: list[DeviceRow] = []
    for entry in entries:
        names = (entry.first.dataset, entry.first.protocol, entry.first.method, entry.title)
        plain = DeviceRow(*names)
        rows += [_of_board(plain, entry, runs) for runs in _runs(entry)]
        if base_method(entry.first.method) == entry.first.method:
            rows += [_claimed(plain, c) for c in claims if c.method == entry.first.method]
    return rows


@dataclass(frozen=True)
class _Run:
    """The records of a cell in one form on one board."""

    cell: CellRecords
    folder: Path
    latency: dict[str, Any]

    def read(self, kind: str) -> dict[str, Any]:
        """A further record."""
        return read_figures(self.folder / f"{kind}.json", kind, _command(self.folder))

    @property
    def absent_because(self) -> str:
        """What the engine said when it refused the model; empty where there are figures."""
        return self.latency["figures"].get(ABSENT, "")

    def check(self) -> None:
        """What was scored, what was timed and the cell of today are one model.

        Raises:
            ReportError: They are not.
        """
        agreement, command = self.read("agreement"), f"run it again: {_command(self.folder)}"
        artifact = agreement["inputs"]["artifact"]["sha256"]
        now = self.cell.complexity and self.cell.complexity["inputs"]["model"]["sha256"]
        if now and artifact != now:
            fix = f"the artifact is {now} now; pack it and {command}"
            raise ReportError(
                self.folder / "agreement.json", "inputs.artifact.sha256", artifact, fix
            )
        seen = recorded_sha256(self.latency["inputs"])
        scored = None if self.absent_because else self.read("accuracy")["model_sha256"]
        if scored and scored != seen:
            fix = f"the scored model is {scored}; {command}"
            raise ReportError(self.folder / "latency.json", "inputs.model.sha256", seen, fix)


def _runs(entry: Entry) -> list[list[_Run]]:
    """Records by board and form, a run a cell; without those of emulated boards."""
    by_place: dict[tuple[str, str], list[_Run]] = {}
    for cell in entry.cells:
        for path in sorted((cell.folder / DEVICES).glob("*/*/latency.json")):
            folder = path.parent
            run = _Run(cell, folder, read_figures(path, "latency", _command(folder)))
            if not run.latency["emulated"]:
                by_place.setdefault((folder.parent.name, folder.name), []).append(run)
    return list(by_place.values())


def _command(folder: Path) -> str:
    return f"defectbench edge run HOST --bundle BUNDLE --out FOLDER/{folder.parent.name}"


def _of_board(row: DeviceRow, entry: Entry, runs: Sequence[_Run]) -> DeviceRow:
    """The row of a method in one form on one board, or of what its engine said there."""
    for run in runs:
        run.check()
    board, folder = runs[0].latency["board"], runs[0].folder
    engine, precision = _form(folder.name)
    if any(run.latency["settings"]["by_trtexec"] for run in runs):
        engine = BY_TRTEXEC
    row = replace(
        row,
        device=folder.parent.name,
        board=board["model"] or board["cpu"] or "",
        power_mode=board["power_mode"],
        engine=engine,
        precision=precision,
    )
    reasons = [run.absent_because for run in runs if run.absent_because]
    if reasons:
        return replace(row, absent_because=reasons[0])
    return _with_figures(row, entry, runs)


def _with_figures(row: DeviceRow, entry: Entry, runs: Sequence[_Run]) -> DeviceRow:
    scored = [run.read("accuracy")["figures"] for run in runs]
    figures = [run.latency["figures"] for run in runs]
    differences = [
        value
        for run in runs
        for name, value in run.read("agreement")["figures"].items()
        if name.startswith("largest_difference")
    ]
    power = [run.latency["power"] for run in runs]
    watts = [p["board_w_mean"] for p in power if p and p["board_w_mean"] is not None]
    names = ("latency_ms_p50", "latency_ms_p90", "latency_ms_p99")
    return replace(
        row,
        score=mean(scored, TASKS[entry.task].headline_figure),
        n_images=scored[0]["n_images"],
        **{name: mean(figures, name) for name in names},
        **ratio_of(figures, "ratio_to_reference"),
        race_w_mean=sum(watts) / len(watts) if watts else None,
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
        notes += [
            f"{row.device}, {row.engine}: {digits(row.race_w_mean)} W while its models took turns, the reference model "
            "among them; power is of the board, not of a method."
            for row in rows
            if row.race_w_mean is not None
        ]
    if any(row.engine == BY_TRTEXEC for row in rows):
        notes.append(
            f"{BY_TRTEXEC} times copies and GPU, without preparation and suppression: no comparison with rows of other "
            "engines."
        )
    notes += [
        f"{row.device}, {row.engine} in {row.precision}: no figures of {row.title}: {row.absent_because}."
        for row in rows
        if row.absent_because
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
