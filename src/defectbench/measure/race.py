"""Latency of all model files of a study, in one race.

Two files timed one after the other tell two states of a machine. Here all of them are loaded into one process and
take turns, block by block, with the reference model between, so that what slows one slows all; several fresh processes
repeat it, and the order of turns is drawn anew in each round. The figure that travels is the ratio to the reference
model, with its interval; milliseconds stand beside it. A compressed file meets its base in the same rounds.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.compressions import base_method
from ..base.engines import REFERENCE, Form, latency_record
from ..base.errors import ArtifactError, ConfigError, DeviceMemoryError, ProgramError
from ..base.files import sha256_file, unchanged
from ..base.records import ABSENT, read_record, record_beside, write_record
from ..base.studies import LatencySettings
from ..base.variants import is_variant
from ..data.pack import tiling_of_pack
from ..deploy.checked import open_checked
from ..deploy.engines.files import files_of, inputs_of, mib_of
from ..deploy.nms import DEPLOYMENT_THRESHOLD
from .absences import absence_of, find_absence
from .race_figures import LEAST_BLOCKS, invalid_because, summarise
from .reference import write_reference
from .starts import measure_starts
from .workers import run_worker, worker_failure

WORKER = "defectbench.measure.race_worker"
IMAGES = 64
MOST_MIB = 512  # of model files that one process holds at once
BY_PROCESS = (
    "its engine starts a process for each call here, whose time would be the process's: the "
    "Python package of the engine is not installed"
)
REGIME = "stream: blocks of calls back to back, all models of a heat in turn"


@dataclass(frozen=True)
class RaceEntry:
    """A model file in the race.

    Attributes:
        model: An artifact, or the folder of an engine's own files: what accuracy was scored on.
        pack: The pack of the test part, for its images.
        out: The record to make.
        operating_point: Record with the threshold chosen on validation; 0.25 without it.
        base: The model file that it was made of, if it was compressed or is run by another engine or with other
            arithmetic; it is in the race as well, in the reference engine.
        engine: What runs it.
    """

    model: Path
    pack: Path
    out: Path
    operating_point: Path | None = None
    base: Path | None = None
    engine: str = REFERENCE

    @property
    def key(self) -> tuple[Path, str]:
        """What tells it from the others of a race."""
        return self.model.absolute(), self.engine

    @property
    def base_key(self) -> tuple[Path, str] | None:
        """The key of its base."""
        return None if self.base is None else (self.base.absolute(), REFERENCE)

    @property
    def threshold(self) -> float | None:
        """The score above which a box counts in use; None of a classifier that was scored on validation."""
        if self.operating_point is None:
            return DEPLOYMENT_THRESHOLD
        return read_record(self.operating_point, "operating_point")["figures"]["threshold"]

    @property
    def inputs(self) -> dict[str, Path]:
        """Files that the figures depend on, by name."""
        optional = {"operating_point": self.operating_point, "base": self.base}
        given = {name: path for name, path in optional.items() if path is not None}
        return {**inputs_of(self.model), "pack": self.pack, **given}


def race_cells(
    cells: Sequence[str | Path], forms: Sequence[Form], settings: LatencySettings
) -> None:
    """Race the forms of cells, once for each number of threads.

    Args:
        cells: Folders of cells, as in ``entries_of``.
        forms: Engines and precisions. Where an engine cannot run a model, the record says why.
        settings: The latency protocol.

    Raises:
        ConfigError: As of ``entries_of`` and ``race``.
        ProgramError: A model failed; names each that did.
        MeasurementError: A model file was changed while it was timed.
    """
    for number, protocol in enumerate(settings.by_threads):
        further = settings.thread_counts[number] if number else None
        note_absences(cells, forms, further)
        race(entries_of(cells, forms, further), protocol)


def entries_of(
    cells: Iterable[str | Path],
    forms: Sequence[Form] = (Form(REFERENCE),),
    further_threads: int | None = None,
) -> list[RaceEntry]:
    """The entries of cells, from what lies in their folders.

    Args:
        cells: Folders of cells, ``.../<method>/seed<k>``, each with ``model.onnx`` and ``predictions.record.json``. The
            base of ``<method>+<name>`` is the cell of ``<method>`` beside it; the base of another form of a cell is its
            artifact.
        forms: Engines and precisions; the record is ``latency/<form>.json``. A form that an engine cannot run has no
            entry.
        further_threads: A number of threads beyond the first, whose records have a folder of their own.

    Raises:
        ConfigError: A cell has no model file or no record of its predictions.
    """
    return [
        _entry(cell, form, further_threads)
        for cell in map(Path, cells)
        for form in forms
        if absence_of(cell, form) is None
    ]


def _entry(cell: Path, form: Form, further_threads: int | None) -> RaceEntry:
    """The entry of one form of a cell."""
    model, point = cell / form.model, cell / "operating_point.json"
    if not model.exists():
        raise ConfigError(model, "file", "nothing", "run the method's rule first")
    record = read_record(record_beside(cell / "predictions.json"), "predictions")
    base = None if form.is_artifact else cell / Form(REFERENCE).model
    method = cell.absolute().parent.name
    if form.is_artifact and base_method(method) != method and not is_variant(method):
        around = cell.parent if cell.parent.name else cell.absolute().parent
        base = around.with_name(base_method(method)) / cell.name / form.model
    return RaceEntry(
        model=model,
        pack=Path(record["inputs"]["pack"]["path"]),
        out=cell / latency_record(form.name, further_threads),
        operating_point=point if point.is_file() else None,
        base=base,
        engine=form.engine,
    )


def note_absences(
    cells: Iterable[str | Path], forms: Sequence[Form], further_threads: int | None = None
) -> None:
    """Write the latency record of every form that an engine cannot run: it says why, and has no figure."""
    for cell in map(Path, cells):
        for form in forms:
            absence = find_absence(cell, form)
            if absence is not None:
                reason, inputs = absence
                out = cell / latency_record(form.name, further_threads)
                write_record(out, "latency", {ABSENT: reason}, inputs)


def race(entries: Sequence[RaceEntry], settings: LatencySettings) -> None:
    """Time model files in turn and write the latency record of each.

    The figures of a record: ``latency_ms_p50``, ``_p90``, ``_p99`` (end to end), each with ``_low`` and ``_high``, the
    percentiles by phase (no ``post`` of a detector that needs no suppression), those of calls after a pause as
    ``burst_latency_ms_..``, ``fps`` = 1000 / p50,
    ``ratio_to_reference`` with its interval; of a compressed file also ``ratio_to_base`` with its interval and
    ``base_latency_ms_p50``; ``valid``. Where images are cut into tiles a call is of one tile, and
    ``image_latency_ms_p50`` is of a whole image: ``tiles_per_image`` calls and the merging of their boxes,
    ``merge_ms_p50``. Of calls of B images ``images_per_s_batchB`` and ``ratio_to_reference_batchB``; of fresh processes
    those of ``starts.summarise_starts``; ``joules_per_image``, ``joules_per_image_above_idle`` and ``idle_w`` where the
    machine tells energy. ``energy`` of the record says why not. What an engine runs in a process for each call is not
    timed: its record says so in the place of figures.

    Args:
        entries: The files. Many of them are split into heats by their size; each heat meets the same reference model.
        settings: The protocol of one number of threads.

    Raises:
        ConfigError: There is no entry, two write one record, a base is not in the race, or a file or folder cannot
            be used.
        ProgramError: A model failed; names each that did.
        MeasurementError: A model file was changed while it was timed.
    """
    (threads,) = settings.thread_counts
    check_entries(entries)
    raced = note_processes(entries, check_models(entries, threads))
    heats = split_heats(raced)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for batch in settings.batches:
            write_reference(reference_of(folder, batch), batch)
        for number, heat in enumerate(heats):
            start = time.perf_counter()
            with unchanged(*(file for entry in heat for file in files_of(entry.model))):
                answers = [
                    run_process(make_request(heat, settings, process, folder), folder)
                    for process in range(settings.processes)
                ]
                models = [(entry.model, entry.engine) for entry in heat]
                starts = measure_starts(models, settings.starts, threads)
            share = (time.perf_counter() - start) / len(heat)
            asked = {
                **settings.model_dump(),
                "images": IMAGES,
                "reference_sha256": sha256_file(reference_of(folder)),
                "heat": {"number": number + 1, "of": len(heats), "models": len(heat)},
            }
            for position in range(len(heat)):
                write_entry(heat, position, answers, asked, share, starts[position])


def reference_of(folder: Path, batch: int = 1) -> Path:
    """The file of the reference model for so many images a call."""
    return folder / ("reference.onnx" if batch == 1 else f"reference{batch}.onnx")


def check_entries(entries: Sequence[RaceEntry]) -> None:
    """Check what would else fail after minutes of timing.

    Raises:
        ConfigError: There is no entry, two write one record, a base is not in the race, or a file or folder cannot
            be used.
    """
    if not entries:
        raise ConfigError("race", "cells", [], "name at least one cell")
    keys = {entry.key for entry in entries}
    outs: set[Path] = set()
    for entry in entries:
        for file in entry.inputs.values():
            if not file.is_file():
                raise ConfigError(file, "file", "nothing", "run the rule that makes it first")
        if entry.base is not None and entry.base_key not in keys:
            here = entry.base.parent == entry.model.parent or entry.engine != REFERENCE
            fix = f"name {entry.base.parent} in the same race"
            fix += f", and --form {REFERENCE} beside the other forms" if here else ""
            raise ConfigError(entry.model, "base", "not in the race", fix)
        if entry.out.absolute() in outs:
            raise ConfigError(entry.out, "record", "two entries", "name each cell once")
        outs.add(entry.out.absolute())
        folder = next(parent for parent in entry.out.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            raise ConfigError(folder, "folder", "not writable", "the record is written there")


def check_models(entries: Sequence[RaceEntry], threads: int) -> set[tuple[Path, str]]:
    """Check every file as the other verbs do, before the first of them is timed.

    Returns:
        Keys of those whose engine starts a process for each call.

    Raises:
        ProgramError: Files break the artifact signature or cannot be run; names each.
    """
    failed, by_process = {}, set()
    for entry in {entry.key: entry for entry in entries}.values():
        try:
            model = open_checked(entry.model, threads, entry.engine)
        except (ArtifactError, DeviceMemoryError) as error:
            failed[str(entry.model)] = f"{type(error).__name__}: {error}"
        else:
            if getattr(model.session, "starts_processes", False):
                by_process.add(entry.key)
    if failed:
        raise _failure(failed)
    return by_process


def note_processes(
    entries: Sequence[RaceEntry], by_process: Container[tuple[Path, str]]
) -> list[RaceEntry]:
    """Write the latency record of what starts a process for each call: it says why there is no figure.

    Args:
        entries: The files.
        by_process: Keys of those whose engine does so; a base, which the reference engine runs, is none of them.

    Returns:
        The others, which can race.
    """
    for entry in entries:
        if entry.key in by_process:
            write_record(entry.out, "latency", {ABSENT: BY_PROCESS}, entry.inputs)
    return [entry for entry in entries if entry.key not in by_process]


def _failure(failed: Mapping[str, str]) -> ProgramError:
    """What went wrong by model file, as one error."""
    first, *others = failed
    causes = list(failed.values())
    also = f" ({', '.join(others)} failed, too)" if others else ""
    fix = f"run defectbench predict on the same file to see why{also}"
    return ProgramError(first, "race", causes[0] if not others else causes, fix)


def split_heats(entries: Sequence[RaceEntry], most_mib: float = MOST_MIB) -> list[list[RaceEntry]]:
    """Divide the entries so that the files of a heat fit into memory; a file and those made of it stay together.

    Args:
        entries: The files.
        most_mib: Bound of the sum of a heat's files, MiB; a family that exceeds it alone is a heat of its own.
    """
    bases = {entry.key: entry.base_key for entry in entries}
    families: dict[tuple[Path, str], list[RaceEntry]] = {}
    for entry in entries:
        root = entry.key
        while (base := bases.get(root)) is not None:
            root = base
        families.setdefault(root, []).append(entry)
    heats: list[list[RaceEntry]] = []
    sizes: list[float] = []
    for family in families.values():
        size = sum(mib_of(entry.model) for entry in family)
        fitting = [n for n, taken in enumerate(sizes) if taken + size <= most_mib]
        if fitting:
            heats[fitting[0]] += family
            sizes[fitting[0]] += size
        else:
            heats.append(list(family))
            sizes.append(size)
    return heats


def make_request(
    heat: Sequence[RaceEntry], settings: LatencySettings, process: int, folder: Path
) -> dict[str, Any]:
    """What one process is asked to do."""
    burst = settings.burst_calls
    share = burst // settings.processes + (process < burst % settings.processes)
    entries = [
        {"model": str(e.model), "engine": e.engine, "pack": str(e.pack), "threshold": e.threshold}
        for e in heat
    ]
    return {
        **settings.model_dump(),
        "burst_calls": share,
        "images": IMAGES,
        "process": process,
        "reference": str(reference_of(folder)),
        "batch_references": {b: str(reference_of(folder, b)) for b in settings.batches if b > 1},
        "batch_rounds": min(settings.rounds, math.ceil(LEAST_BLOCKS / settings.processes)),
        "entries": entries,
    }


def run_process(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Let a fresh process do what a request asks.

    Raises:
        ProgramError: A model failed, or the process did; names the models.
    """
    request_file, answer_file = folder / "request.json", folder / "answer.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    answer_file.unlink(missing_ok=True)
    run = run_worker(WORKER, [str(request_file), str(answer_file)], request["threads"])
    if run.returncode:
        at = (run.stdout.strip().splitlines() or ["the first model"])[-1]
        hint = "it is the last model that was loaded; defectbench predict runs it by itself"
        raise worker_failure(run, at, "race", hint)
    measured = json.loads(answer_file.read_text(encoding="utf-8"))
    if "failed" in measured:
        raise _failure(measured["failed"])
    return measured


def write_entry(
    heat: Sequence[RaceEntry],
    position: int,
    answers: Sequence[dict[str, Any]],
    asked: dict[str, Any],
    seconds: float,
    starts: Mapping[str, float],
) -> dict[str, Any]:
    """Write the record of one entry of a heat."""
    entry = heat[position]
    base = None
    if entry.base_key is not None:
        base = [other.key for other in heat].index(entry.base_key)
    figures = summarise(answers, position, base, asked["threads"])
    figures |= {"threads": asked["threads"], **starts}
    reasons = invalid_because(figures, answers)
    figures |= {"valid": not reasons, "invalid_because": reasons}
    tiles = tiling_of_pack(entry.pack)
    extra = {
        "settings": {
            **asked,
            "engine": entry.engine,
            "device": answers[0]["devices"][position],
            "threshold": entry.threshold,
        },
        "evidence": [answer["evidence"] for answer in answers],
        "regime": REGIME,
        **({"energy": _energy_told(answers)} if asked["energy_s"] else {}),
        **({"tiles": tiles} if tiles is not None else {}),
    }
    return write_record(entry.out, "latency", figures, entry.inputs, seconds, extra)


def _energy_told(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By process, watts of a pause by meter, and why a source has no meter."""
    kept = ("idle_w", "absent_because")
    return [{k: answer["energy"][k] for k in kept if k in answer["energy"]} for answer in answers]
