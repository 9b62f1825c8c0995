"""Engines: each model file by every engine and precision of the study, scored and timed in one race."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any

from ...base.engines import ENGINES, PRECISIONS, REFERENCE, Form, forms_of
from ...base.errors import ReportError
from ...base.records import ABSENT
from ...base.tasks import TASKS
from ...deploy.engines.files import recorded_sha256
from ...measure.seeds import difference_of
from ..columns import start_notes
from ..numbers import NOTHING, percent, points
from ..numbers import number as digits
from ..records.cell import CellRecords
from ..records.cells import Entry, read_figures
from ..records.comparison import RUNS_OF, ByFigure
from ..records.costs import mean, ratio_of
from ..records.kept_rows import read_instances
from ..records.study import StudyRecords
from ..records.timings import note_on_tiles, tile_of
from ..table import HEADLINE, NAME, Column, Row, RowBlock, Shown, Table, keys_of, word_column
from ..validity import marked_invalid, notes_on_invalid

ORDER = 33
MOST_LOST = 0.02  # of the headline figure, before a row is marked
LOSES = "§"
TIMED = ("ratio_to_artifact", "latency_ms_p50", "ratio_to_reference")  # columns
KEPT = "engines.csv"  # beside kept cells: predictions of forms are not kept
SAME = 1e-6  # of a difference and what a CSV holds of it
FIGURE_TITLES = {"map50": "mAP50", "balanced_accuracy": "balanced accuracy"}


@dataclass(frozen=True)
class EngineRow:
    """A method by one engine and precision.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts were made.
        method: Name of the method.
        title: Its name in tables.
        engine: What runs the model.
        precision: Its arithmetic.
        score: The headline figure of its task on the test part.
        gain: Its score minus that of the artifact in the reference engine, on the same images.
        gain_low: Lower end of its 95 % interval.
        gain_high: Upper end.
        ratio_to_artifact: Latency over that of the artifact in the reference engine, in the same race.
        ratio_to_artifact_low: Lower end of its 95 % interval.
        ratio_to_artifact_high: Upper end.
        latency_ms_p50: Median latency, ms.
        ratio_to_reference: Latency over that of the reference model.
        model_mib: Size of the model's files, MiB.
        largest_difference: Of its outputs from the artifact's: scores, or boxes as a share of the input's side.
        absent_because: What stopped the engine; empty where it ran.
        untimed_because: Why it was scored and not timed; empty where it was.
        latency_valid: Whether the ratios can be trusted.
        latency_invalid_because: Why not; empty where they can.
        threads: Threads of the engine.
        tile_px: Side of the tile, pixels, that latency is of; None where it is of a whole image.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    engine: str
    precision: str
    score: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    ratio_to_artifact: float | None = None
    ratio_to_artifact_low: float | None = None
    ratio_to_artifact_high: float | None = None
    latency_ms_p50: float | None = None
    ratio_to_reference: float | None = None
    model_mib: float | None = None
    largest_difference: float | None = None
    absent_because: str = ""
    untimed_because: str = ""
    latency_valid: bool | None = None
    latency_invalid_because: str = ""
    threads: float | None = None
    tile_px: int | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What tells a row from all others."""
        return self.dataset, self.protocol, self.method, self.engine, self.precision


COLUMNS = (
    word_column("title", "method", NAME),
    word_column("engine", "engine", NAME),
    word_column("precision", "precision", NAME),
    Column("score", "score", "%", percent, priority=3),
    Column("gain", "minus onnxruntime fp32", "points", points, priority=HEADLINE),
    Column("ratio_to_artifact", "latency over onnxruntime fp32", write=digits, priority=HEADLINE),
    Column("latency_ms_p50", "p50", "ms", digits, priority=6),
    Column("ratio_to_reference", "ratio to the reference model", write=digits, priority=7),
    Column("model_mib", "files", "MiB", digits, priority=8),
    Column(
        "largest_difference", "largest difference of outputs", write="{:.1e}".format, priority=9
    ),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """The table of engines; nothing where one engine ran all files in one precision."""
    rows = rows_of(study.entries)
    if rows:
        yield engine_table(rows, note_on_tiles(study.entries))


def rows_of(entries: Sequence[Entry]) -> list[EngineRow]:
    """Rows of all methods that were run in more than one form, the artifact first.

    Raises:
        ReportError: A form lacks a record, or its records speak of different files.
    """
    rows = []
    for entry in entries:
        forms = [form for form in forms_of(ENGINES, PRECISIONS) if _was_asked_for(entry, form)]
        if forms:
            artifacts = _Artifacts(entry)
            made = [_row(entry, form, artifacts) for form in (Form(REFERENCE), *forms)]
            beside = entry.first.folder.parents[1] / KEPT
            rows += _with_kept_intervals(made, beside) if beside.is_file() else made
    return rows


def _with_kept_intervals(rows: Sequence[EngineRow], path: Path) -> list[EngineRow]:
    """Rows whose predictions are not kept, with the intervals of the table that was made when they were at hand."""
    kept = {row.key: row for row in read_instances(path, EngineRow)}
    told = []
    for row in rows:
        then = kept.get(row.key)
        if (
            then is not None
            and row.gain is not None
            and row.gain_low is None
            and isclose(then.gain or 0.0, row.gain, abs_tol=SAME)
        ):
            row = replace(row, gain_low=then.gain_low, gain_high=then.gain_high)
        told.append(row)
    return told


def _was_asked_for(entry: Entry, form: Form) -> bool:
    folder = entry.first.folder / form.folder
    return not form.is_artifact and (folder / "accuracy.json").is_file()


class _Artifacts:
    """The artifacts of a method, which its forms are held against.

    Args:
        entry: All seeds of the method.
    """

    def __init__(self, entry: Entry) -> None:
        self.cells = entry.cells
        self.figure = TASKS[entry.task].headline_figure
        self.runs_of = RUNS_OF[entry.task]

    @cached_property
    def runs(self) -> ByFigure | None:
        """Their scores on resamples, made once and only if asked for."""
        return self.runs_of(self.cells)


def _row(entry: Entry, form: Form, artifacts: _Artifacts) -> EngineRow:
    names = (entry.first.dataset, entry.first.protocol, entry.first.method, entry.title)
    row = EngineRow(*names, form.engine, form.precision, tile_px=tile_of(entry))
    figure = TASKS[entry.task].headline_figure
    if form.is_artifact:
        timed = [cell.latency["figures"] for cell in entry.cells if cell.latency]
        counted = [cell.complexity["figures"] for cell in entry.cells if cell.complexity]
        size = mean(counted, "size_mib") if counted else None
        scores = [cell.accuracy["figures"] for cell in entry.cells]
        return replace(row, score=mean(scores, figure), model_mib=size, **_times(timed))
    cells = [_cell_of(cell, form) for cell in entry.cells]
    reasons = [cell.accuracy["figures"][ABSENT] for cell in cells if cell.is_absent]
    if reasons:
        return replace(row, absent_because=reasons[0])
    told = [cell.latency["figures"] for cell in cells if cell.latency]
    timed = [figures for figures in told if ABSENT not in figures]
    untimed = [figures[ABSENT] for figures in told if ABSENT in figures]
    agreed = [_agreement(cell.folder / "agreement.json") for cell in cells]
    return replace(
        row,
        score=mean([cell.accuracy["figures"] for cell in cells], figure),
        model_mib=mean([_size(cell, form) for cell in entry.cells], "mib"),
        largest_difference=max(agreed),
        untimed_because=untimed[0] if untimed else "",
        **_gain(artifacts, cells),
        **_times(timed),
        **{
            name.replace("base", "artifact"): value
            for name, value in ratio_of(timed, "ratio_to_base").items()
        },
    )


def _cell_of(cell: CellRecords, form: Form) -> CellRecords:
    """The form of a cell as a cell of its own: scored and timed files must be the same."""
    folder = cell.folder / form.folder
    command = f"snakemake --cores 8 {folder}/accuracy.json"
    accuracy = read_figures(folder / "accuracy.json", "accuracy", command)
    timed = cell.folder / "latency" / f"{form.name}.json"
    latency = read_figures(
        timed, "latency", f"defectbench race --form {REFERENCE} --form {form.name} {cell.folder}"
    )
    _check_one_model(cell, form, accuracy, latency, timed)
    return replace(cell, folder=folder, accuracy=accuracy, latency=latency, engine=form.name)


def _check_one_model(
    cell: CellRecords,
    form: Form,
    accuracy: dict[str, Any],
    latency: dict[str, Any],
    timed: Path,
) -> None:
    """What was scored, what was timed and what was made of the artifact are one model."""
    if ABSENT in accuracy["figures"]:
        return
    seen = recorded_sha256(latency["inputs"])
    scored = accuracy.get("model_sha256")
    if scored and scored != seen:
        fix = f"the scored model is {scored}; make both again: snakemake --cores 8 {timed}"
        raise ReportError(timed, "inputs.model.sha256", seen, fix)
    if cell.complexity is None:
        return
    artifact = cell.complexity["inputs"]["model"]["sha256"]
    source = seen
    # from the files of an engine back to the artifact, by way of the file in eight bits where there is one
    for number, record in enumerate(dict.fromkeys(filter(None, (form.conversion, form.rounding)))):
        made = read_figures(cell.folder / record, "conversion", f"snakemake --cores 8 {timed}")
        if number and recorded_sha256(made["inputs"]) != source:
            break
        source = made["inputs"].get("source", {}).get("sha256")
    if source != artifact:
        fix = f"the artifact is {artifact} now; make it again: snakemake --cores 8 {timed}"
        raise ReportError(cell.folder / form.folder, "made of", source, fix)


def _size(cell: CellRecords, form: Form) -> dict[str, float]:
    """Size of the files that a form runs, MiB."""
    if form.conversion is None:
        return {"mib": cell.complexity["figures"]["size_mib"]} if cell.complexity else {"mib": 0.0}
    path = cell.folder / form.conversion
    made = read_figures(path, "conversion", f"snakemake --cores 8 {path}")
    return {"mib": made["figures"]["model_mib"]}


def _agreement(path: Path) -> float:
    figures = read_figures(path, "agreement", f"snakemake --cores 8 {path}")["figures"]
    return max(value for name, value in figures.items() if name.startswith("largest_difference"))


def _times(timed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not timed:
        return {}
    names = ("latency_ms_p50", "ratio_to_reference", "threads")
    # artifacts that were timed before races have no ratio
    told = [name for name in names if all(name in figures for figures in timed)]
    reasons = [reason for figures in timed for reason in figures["invalid_because"]]
    return {
        **{name: mean(timed, name) for name in told},
        "latency_valid": all(figures["valid"] for figures in timed),
        "latency_invalid_because": "; ".join(dict.fromkeys(reasons)),
    }


def _gain(artifacts: _Artifacts, cells: Sequence[CellRecords]) -> dict[str, float]:
    """Score of a form minus that of the artifact on the same images, with interval where predictions are at hand."""
    figure, runs = artifacts.figure, artifacts.runs_of(cells)
    if runs is None or artifacts.runs is None:
        scores = [
            mean([c.accuracy["figures"] for c in some], figure) for some in (cells, artifacts.cells)
        ]
        return {"gain": scores[0] - scores[1]}
    interval = difference_of(runs[figure], artifacts.runs[figure]).interval
    return {"gain": interval.estimate, "gain_low": interval.low, "gain_high": interval.high}


def engine_table(rows: Sequence[EngineRow], more_notes: Sequence[str] = ()) -> Table:
    """The rows as a table; a form that an engine cannot run is a row that says what stopped it.

    Args:
        rows: The rows.
        more_notes: What is said below the table beside what the rows tell.
    """
    blocks = {
        place: RowBlock(f"{place[0]}, {place[1]}")
        for place in dict.fromkeys((row.dataset, row.protocol) for row in rows)
    }
    shown = [_shown(row, blocks[row.dataset, row.protocol]) for row in rows]
    notes = [
        "The score is mAP50 of a detector, balanced accuracy of a classifier and AUROC of what learnt from images "
        "without a defect, of the files that were timed; "
        "differences are on the same test images, with 95 % interval over groups of images."
    ]
    lossy = [row for row in rows if row.gain is not None and row.gain < -MOST_LOST]
    if lossy:
        surely = [row for row in lossy if row.gain_high is not None and row.gain_high < -MOST_LOST]
        notes.append(
            f"{LOSES} loses more than {100 * MOST_LOST:.0f} points; in {len(surely)} of {len(lossy)} rows so marked "
            "the whole interval does."
        )
    notes += [*start_notes(row.method for row in rows), *more_notes]
    counts = sorted({int(row.threads) for row in rows if row.threads})
    if counts:
        threads = " or ".join(map(str, counts))
        notes.append(f"Latency is with {threads} thread{'s' if counts != [1] else ''}.")
    notes += notes_on_invalid(
        {
            f"{row.title} by {Form(row.engine, row.precision).name} "
            f"({row.dataset}, {row.protocol})": row.latency_invalid_because
            for row in rows
            if row.latency_valid is False
        }
    )
    for row in rows:
        if row.absent_because:
            notes.append(f"{row.engine} does not run {row.title}: {row.absent_because}.")
        if row.untimed_because:
            notes.append(f"{row.engine} is not timed with {row.title}: {row.untimed_because}.")
    return Table(
        name="engines",
        title="Engines and precisions",
        columns=COLUMNS,
        rows=shown,
        notes=list(dict.fromkeys(notes)),
        fields=keys_of(EngineRow),
        lead="Each model file by every engine and precision of the study, scored on the test part and timed in one "
        "race.",
    )


def _shown(row: EngineRow, block: RowBlock) -> Row:
    values = {name: getattr(row, name) for name in keys_of(EngineRow)}
    shown: dict[str, Shown] = {}
    if row.absent_because:
        shown["gain"] = Shown("cannot run")
        shown["ratio_to_artifact"] = Shown(NOTHING)
    elif row.gain is not None and row.gain < -MOST_LOST:
        (column,) = (column for column in COLUMNS if column.key == "gain")
        shown["gain"] = replace(column.show(Row(values)), mark=LOSES)
    if row.latency_valid is False:
        timed = [column for column in COLUMNS if column.key in TIMED]
        shown |= marked_invalid(Row(values), timed)
    return Row(values, shown, block)
