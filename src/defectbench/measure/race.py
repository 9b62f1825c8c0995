"""Latency of all model files of a study, in one race.

Two files timed one after the other tell two states of a machine. Here all of them are loaded into one process and
take turns, block by block, with the reference model between, so that what slows one slows all; several fresh processes
repeat it, and the order of turns is drawn anew in each round. The figure that travels is the ratio to the reference
model, with its interval; milliseconds stand beside it. A compressed file meets its base in the same rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.compressions import base_method
from ..base.errors import ArtifactError, ConfigError, ProgramError
from ..base.files import sha256_file, unchanged
from ..base.records import read_record, record_beside, write_record
from ..base.studies import LatencySettings
from ..deploy.checked import open_checked
from ..deploy.nms import DEPLOYMENT_THRESHOLD
from .race_figures import invalid_because, summarise
from .reference import write_reference
from .worker_failures import worker_failure

WORKER = "defectbench.measure.race_worker"
IMAGES = 64
MOST_MIB = 512  # of model files that one process holds at once
REGIME = "stream: blocks of calls back to back, all models of a heat in turn"


@dataclass(frozen=True)
class RaceEntry:
    """A model file in the race.

    Attributes:
        model: An artifact: the file that accuracy was scored on.
        pack: The pack of the test part, for its images.
        out: The record to make.
        operating_point: Record with the threshold chosen on validation; 0.25 without it.
        base: The model file that it was made of, if it was compressed; it is in the race as well.
    """

    model: Path
    pack: Path
    out: Path
    operating_point: Path | None = None
    base: Path | None = None

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
        return {"model": self.model, "pack": self.pack, **given}


def entries_of(cells: Iterable[str | Path], engine: str = "onnxruntime") -> list[RaceEntry]:
    """The entries of cells, from what lies in their folders.

    Args:
        cells: Folders of cells, ``.../<method>/seed<k>``, each with ``model.onnx`` and ``predictions.record.json``. The
            base of ``<method>+<name>`` is the cell of ``<method>`` beside it.
        engine: What runs the files; the record is ``latency/<engine>.json``.

    Raises:
        ConfigError: A cell has no model file or no record of its predictions.
    """
    entries = []
    for cell in map(Path, cells):
        model, point = cell / "model.onnx", cell / "operating_point.json"
        if not model.is_file():
            raise ConfigError(model, "file", "nothing", "run the method's rule first")
        record = read_record(record_beside(cell / "predictions.json"), "predictions")
        method = cell.absolute().parent.name
        around = cell.parent if cell.parent.name else cell.absolute().parent
        base = around.with_name(base_method(method)) / cell.name / "model.onnx"
        entries.append(
            RaceEntry(
                model=model,
                pack=Path(record["inputs"]["pack"]["path"]),
                out=cell / "latency" / f"{engine}.json",
                operating_point=point if point.is_file() else None,
                base=base if base_method(method) != method else None,
            )
        )
    return entries


def race(
    entries: Sequence[RaceEntry], settings: LatencySettings, engine: str = "onnxruntime"
) -> None:
    """Time model files in turn and write the latency record of each.

    The figures of a record: ``latency_ms_p50``, ``_p90``, ``_p99`` (end to end), each with ``_low`` and ``_high``, the
    percentiles by phase, those of calls after a pause as ``burst_latency_ms_..``, ``fps`` = 1000 / p50,
    ``ratio_to_reference`` with its interval; of a compressed file also ``ratio_to_base`` with its interval and
    ``base_latency_ms_p50``; ``valid``.

    Args:
        entries: The files. Many of them are split into heats by their size; each heat meets the same reference model.
        settings: Processes, rounds, calls a block, warm-up, calls after a pause and threads.
        engine: What runs the files.

    Raises:
        ConfigError: There is no entry, two write one record, a base is not in the race, or a file or folder cannot
            be used.
        ProgramError: A model failed; names each that did.
        MeasurementError: A model file was changed while it was timed.
    """
    check_entries(entries)
    check_models(entries, settings.threads)
    heats = split_heats(entries)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_reference(folder / "reference.onnx")
        for number, heat in enumerate(heats):
            start = time.perf_counter()
            with unchanged(*(entry.model for entry in heat)):
                answers = [
                    run_worker(make_request(heat, settings, engine, process, folder), folder)
                    for process in range(settings.processes)
                ]
            share = (time.perf_counter() - start) / len(heat)
            asked = {
                **settings.model_dump(),
                "engine": engine,
                "images": IMAGES,
                "reference_sha256": sha256_file(folder / "reference.onnx"),
                "heat": {"number": number + 1, "of": len(heats), "models": len(heat)},
            }
            for position in range(len(heat)):
                write_entry(heat, position, answers, asked, share)


def check_entries(entries: Sequence[RaceEntry]) -> None:
    """Check what would else fail after minutes of timing.

    Raises:
        ConfigError: There is no entry, two write one record, a base is not in the race, or a file or folder cannot
            be used.
    """
    if not entries:
        raise ConfigError("race", "cells", [], "name at least one cell")
    models = {entry.model.absolute() for entry in entries}
    outs: set[Path] = set()
    for entry in entries:
        for file in entry.inputs.values():
            if not file.is_file():
                raise ConfigError(file, "file", "nothing", "run the rule that makes it first")
        if entry.base is not None and entry.base.absolute() not in models:
            fix = f"name {entry.base.parent} in the same race"
            raise ConfigError(entry.model, "base", "not in the race", fix)
        if entry.out.absolute() in outs:
            raise ConfigError(entry.out, "record", "two entries", "name each cell once")
        outs.add(entry.out.absolute())
        folder = next(parent for parent in entry.out.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            raise ConfigError(folder, "folder", "not writable", "the record is written there")


def check_models(entries: Sequence[RaceEntry], threads: int) -> None:
    """Check every file as the other verbs do, before the first of them is timed.

    Raises:
        ProgramError: Files break the artifact signature or cannot be run; names each.
    """
    failed = {}
    for model in dict.fromkeys(entry.model for entry in entries):
        try:
            open_checked(model, threads)
        except ArtifactError as error:
            failed[str(model)] = f"{type(error).__name__}: {error}"
    if failed:
        raise _failure(failed)


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
    families: dict[Path, list[RaceEntry]] = {}
    for entry in entries:
        families.setdefault((entry.base or entry.model).absolute(), []).append(entry)
    heats: list[list[RaceEntry]] = []
    sizes: list[float] = []
    for family in families.values():
        size = sum(entry.model.stat().st_size for entry in family) / 2**20
        fitting = [n for n, taken in enumerate(sizes) if taken + size <= most_mib]
        if fitting:
            heats[fitting[0]] += family
            sizes[fitting[0]] += size
        else:
            heats.append(list(family))
            sizes.append(size)
    return heats


def make_request(
    heat: Sequence[RaceEntry], settings: LatencySettings, engine: str, process: int, folder: Path
) -> dict[str, Any]:
    """What one process is asked to do."""
    burst = settings.burst_calls
    share = burst // settings.processes + (process < burst % settings.processes)
    entries = [{"model": str(e.model), "pack": str(e.pack), "threshold": e.threshold} for e in heat]
    return {
        **settings.model_dump(),
        "burst_calls": share,
        "engine": engine,
        "images": IMAGES,
        "process": process,
        "reference": str(folder / "reference.onnx"),
        "entries": entries,
    }


def run_worker(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Let a fresh process do what a request asks.

    Raises:
        ProgramError: A model failed, or the process did; names the models.
    """
    request_file, answer_file = folder / "request.json", folder / "answer.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    answer_file.unlink(missing_ok=True)
    threads = str(request["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, "-m", WORKER, str(request_file), str(answer_file)]
    run = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=environment,
    )
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
) -> dict[str, Any]:
    """Write the record of one entry of a heat."""
    entry = heat[position]
    base = None
    if entry.base is not None:
        models = [other.model.absolute() for other in heat]
        base = models.index(entry.base.absolute())
    figures = summarise(answers, position, base, asked["threads"])
    figures["threads"] = asked["threads"]
    reasons = invalid_because(figures, answers)
    figures |= {"valid": not reasons, "invalid_because": reasons}
    extra = {
        "settings": {**asked, "threshold": entry.threshold},
        "evidence": [answer["evidence"] for answer in answers],
        "regime": REGIME,
    }
    return write_record(entry.out, "latency", figures, entry.inputs, seconds, extra)
