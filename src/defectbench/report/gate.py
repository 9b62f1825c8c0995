"""The gate: a study against a reference, with the speed of the files themselves; and how a reference is renewed.

What the reference kept of model files, or a folder of them, races against the new ones here and now. A file is known by
its hash, so that no other one stands in for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..base.errors import ReportError
from ..base.files import atomic_write_text, sha256_file
from ..base.records import hardware_card, read_record, record_beside, software_card
from ..base.studies import LatencySettings
from ..measure.race_versions import PROTOCOL, VersionRatio, Versions, race_versions
from .records.cell import CellRecords
from .records.cells import Entry
from .records.changes import LEVEL, Change, Pairing, pairings
from .records.study import StudyRecords
from .reference import MODEL, keep_reference
from .side_by_side import SPREAD, changes_table, compare_studies, read_side, runs_of
from .table import Table

LOG = "renewals.md"
RACED = "both files in one race on this machine"
SAME_FILE = "one file, byte for byte"
SPEED_TOLERANCE = 0.05
LONGER = 2  # rounds of a second race over those of the first


@dataclass(frozen=True)
class Gate:
    """What the gate says.

    Attributes:
        changes: What became of each method of the reference, and methods that it lacks.
        table: The same as a table.
    """

    changes: Sequence[Change]
    table: Table

    @property
    def offending(self) -> list[Change]:
        """Methods of the reference that have changed; one that is new offends nobody."""
        return [change for change in self.changes if change.changed and not change.is_new]

    @property
    def lines(self) -> list[str]:
        """The offending rows, a line each."""
        return [f"{_named(change)}: {change.verdict}" for change in self.offending]


def _named(change: Change) -> str:
    return f"{change.title} ({change.dataset}, {change.protocol})"


@dataclass(frozen=True)
class GateSettings:
    """How the gate compares.

    Attributes:
        files: Folders that hold model files of the reference, at any depth, beside the reference itself.
        spread: Table of trainings that differ by seed alone; None for none.
        latency: The protocol of the race.
        speed_tolerance: Share by which the time may differ: a ratio offends if its 95 % interval lies wholly beyond.
        level: Chance that a study without a change offends by its scores.
    """

    files: Sequence[Path] = ()
    spread: Path | None = SPREAD
    latency: LatencySettings = PROTOCOL
    speed_tolerance: float = SPEED_TOLERANCE
    level: float = LEVEL


def hold_gate(
    study: str | Path,
    reference: str | Path,
    models_dir: str | Path = "models",
    settings: GateSettings | None = None,
) -> Gate:
    """Compare a study with a reference.

    Args:
        study: ``results/<study>``, or the folder of its cells.
        reference: A folder that ``keep_reference`` made, or another study's.
        models_dir: Where method cards lie, for titles.
        settings: How to compare.

    Raises:
        ReportError: One of the two has no cell, or records do not belong together.
        ProgramError: A model file cannot be run.
    """
    settings = settings or GateSettings()
    before, after = read_side(reference, models_dir), read_side(study, models_dir)
    changes = compare_studies(before, after, settings.spread, settings.level)
    raced = _raced(changes, pairings(before.entries, after.entries), Path(reference), settings)
    names = Path(reference).as_posix(), Path(study).as_posix()
    return Gate(raced, changes_table(raced, names, _speed_note(raced, settings), settings.level))


def _raced(
    changes: Sequence[Change], pairs: Sequence[Pairing], reference: Path, settings: GateSettings
) -> list[Change]:
    """With the ratio of the files in place of that of records."""
    kept = _files_by_hash([reference, *settings.files])
    versions: dict[int, Versions] = {}
    made = []
    for n, (change, pair) in enumerate(zip(changes, pairs, strict=True)):
        untold = tuple(line for line in change.untold if not line.startswith("speed"))
        bare = replace(change, untold=untold, time_by="", **_times(None))
        if not pair.seeds or pair.first.is_control:
            made.append(bare)
            continue
        old, new = pair.seeds[0]
        if _model_sha256(old) is not None and _model_sha256(old) == _model_sha256(new):
            made.append(replace(bare, time_by=SAME_FILE, **_times(VersionRatio(1.0, 1.0, 1.0))))
            continue
        found = _versions(old, new, kept)
        if isinstance(found, Versions):
            versions[n] = found
            made.append(bare)
        else:
            made.append(replace(bare, untold=(*untold, f"speed: {found}")))
    for n, ratio in race_twice(versions, settings).items():
        made[n] = _judged(made[n], ratio, settings.speed_tolerance)
    return made


def race_twice(versions: Mapping[int, Versions], settings: GateSettings) -> dict[int, VersionRatio]:
    """Ratios of all pairs; those that would offend, or cannot be trusted, race again by themselves and for longer.

    Of two races that can be trusted the one nearer to 1 stands, so that a row offends only where both say so.
    """
    first = race_versions(list(versions.values()), settings.latency)
    ratios = dict(zip(versions, first, strict=True))
    again = [
        n
        for n, ratio in ratios.items()
        if ratio.invalid_because or not is_near(ratio, settings.speed_tolerance)
    ]
    longer = settings.latency.model_copy(update={"rounds": LONGER * settings.latency.rounds})
    second = race_versions([versions[n] for n in again], longer)
    for n, ratio in zip(again, second, strict=True):
        is_better = ratios[n].invalid_because or ratio.distance < ratios[n].distance
        if not ratio.invalid_because and is_better:
            ratios[n] = ratio
    return ratios


def is_near(ratio: VersionRatio, tolerance: float) -> bool:
    """Whether the interval of a ratio reaches into what is allowed."""
    return 1 - tolerance <= ratio.high and ratio.low <= 1 + tolerance


def _times(ratio: VersionRatio | None) -> dict[str, float | None]:
    values = (None, None, None) if ratio is None else (ratio.low, ratio.ratio, ratio.high)
    return dict(zip(("time_ratio_low", "time_ratio", "time_ratio_high"), values, strict=True))


def _judged(change: Change, ratio: VersionRatio, tolerance: float) -> Change:
    """With what a race says of its speed."""
    timed = replace(change, time_by=RACED, **_times(ratio))
    if ratio.invalid_because:
        return replace(timed, untold=(*timed.untold, f"speed: {'; '.join(ratio.invalid_because)}"))
    if is_near(ratio, tolerance):
        return timed
    word = "slower" if ratio.ratio > 1 else "faster"
    told = f"{word}: {ratio.ratio:.2f} times the time [{ratio.low:.2f}, {ratio.high:.2f}]"
    return replace(timed, changed=(*timed.changed, told))


def _versions(old: CellRecords, new: CellRecords, kept: Mapping[str, Path]) -> Versions | str:
    """The two files of a cell; in words, why they cannot race."""
    digest = _model_sha256(old)
    if digest is None or digest not in kept:
        return "the earlier model file is not at hand"
    model, record = new.folder / MODEL, record_beside(new.folder / "predictions.json")
    if not model.is_file():
        return "the new model file is not at hand"
    if not record.is_file():
        return "there is no record of the predictions, which names the images"
    pack = Path(read_record(record, "predictions")["inputs"]["pack"]["path"])
    if not pack.is_file():
        return f"the images are gone: {pack}"
    points = [folder / "operating_point.json" for folder in (old.folder, new.folder)]
    before, after = (point if point.is_file() else None for point in points)
    return Versions(kept[digest], model, pack, before, after)


def _model_sha256(cell: CellRecords) -> str | None:
    """Hash of the file that was counted and scored; None where no record names it."""
    if cell.complexity is not None:
        return cell.complexity["inputs"]["model"]["sha256"]
    return cell.accuracy.get("model_sha256")


def _files_by_hash(folders: Iterable[Path]) -> dict[str, Path]:
    """Model files below some folders, by hash."""
    paths = [path for folder in folders for path in sorted(folder.rglob(MODEL))]
    return {sha256_file(path): path for path in paths}


def _speed_note(changes: Sequence[Change], settings: GateSettings) -> list[str]:
    """How speed was compared, and of how many methods it was not."""
    methods = [c for c in changes if not c.method.startswith("control_") and c.score is not None]
    timed = [c for c in methods if c.time_ratio is not None and not _lacks_speed(c)]
    return [
        f"Speed: time after over before, of {len(timed)} of {len(methods)} methods; a ratio offends where its 95 % "
        f"interval lies more than {settings.speed_tolerance:.0%} from 1, in a second race of it as well."
    ]


def _lacks_speed(change: Change) -> bool:
    return any(line.startswith("speed") for line in change.untold)


def renew(
    study: str | Path,
    reference: str | Path,
    why: str,
    models_dir: str | Path = "models",
    with_files: bool = False,
    spread: Path | None = SPREAD,
) -> list[str]:
    """Keep a study as the reference, and write why into its log.

    Cells that the study lacks leave the reference. What changed is told by records; no file is raced.

    Args:
        study: ``results/<study>``, or the folder of its cells.
        reference: The folder of the reference; made where there is none.
        why: The reason, in a sentence or more.
        models_dir: Where method cards lie, for titles.
        with_files: Whether model files are kept as well, so that they can race later.
        spread: As in ``GateSettings``.

    Returns:
        The lines of the log.

    Raises:
        ReportError: There is no reason, or a cell cannot be kept.
    """
    if not why.strip():
        raise ReportError("--why", "text", why, "say what changed and why that is right")
    after, folder = read_side(study, models_dir), Path(reference)
    before = read_side(folder, models_dir) if any(folder.rglob("accuracy.json")) else None
    told = _told(before, after, spread)
    keep_reference([runs_of(study)], folder, [], with_files)
    for entry in before.entries if before else []:
        _leave(entry, after)
    hardware, software = hardware_card(), software_card()
    machine = f"{hardware['cpu']}, torch {software.get('torch')}, onnxruntime {software.get('onnxruntime')}"
    head = f"## {datetime.now(UTC).date().isoformat()}: {' '.join(why.split())}"
    lines = [head, "", f"On {machine}.", "", *(f"- {line}" for line in told), ""]
    log = folder / LOG
    earlier = (
        log.read_text(encoding="utf-8") if log.is_file() else "# Why this reference was renewed\n\n"
    )
    atomic_write_text(log, earlier + "\n".join(lines) + "\n")
    return lines


def _told(before: StudyRecords | None, after: StudyRecords, spread: Path | None) -> list[str]:
    """What a renewal changes, a line a method."""
    if before is None:
        return [f"The first reference: {len(after.entries)} methods and controls."]
    changes = compare_studies(before, after, spread)
    moved = [change for change in changes if change.changed or change.is_new]
    return [f"{_named(c)}: {c.verdict}{_scored(c)}" for c in moved] or ["Nothing changed."]


def _scored(change: Change) -> str:
    ends = [
        NOT_THERE if v is None else f"{100 * v:.1f}" for v in (change.score, change.score_after)
    ]
    return f" ({change.figure} {ends[0]} to {ends[1]})"


NOT_THERE = "none"


def _leave(entry: Entry, after: StudyRecords) -> None:
    """Take kept cells that the study lacks out of the reference."""
    there = {
        (cell.dataset, cell.protocol, cell.method, cell.seed)
        for other in after.entries
        for cell in other.cells
    }
    for cell in entry.cells:
        if (cell.dataset, cell.protocol, cell.method, cell.seed) not in there:
            shutil.rmtree(cell.folder)
