"""TensorRT by its program ``trtexec``, where its Python package is not installed, as on many a board.

The program builds a plan, runs it on images from a file and times it by itself. A process is started for each call, so
that a plan can be scored in this way but not raced: its times are those that the program measures.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ...base.errors import ArtifactError, ProgramError
from ...base.files import atomic_path
from ...base.memory import is_out_of_memory, memory_refusal
from ..runtime import Images
from ..trtexec_log import TrtexecLog, parse_log, read_times, version_told

PROGRAM = "trtexec"
INSTALLED = (
    Path("/usr/src/tensorrt/bin") / PROGRAM
)  # where JetPack and Debian packages put it, off the PATH
RUNS = 5  # of which the median is taken
WARM_UP_MS, DURATION_S = 2000, 15


def find_program() -> Path | None:
    """Where the program lies; None where it is not installed."""
    on_path = shutil.which(PROGRAM)
    if on_path:
        return Path(on_path)
    return INSTALLED if INSTALLED.is_file() else None


def program_version(program: Path) -> str:
    """Version of TensorRT that the program belongs to, which it prints before its help.

    Raises:
        ProgramError: It does not tell.
    """
    run = subprocess.run(
        [str(program), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    version = version_told(run.stdout)
    if version is None:
        last = (run.stdout.strip().splitlines() or ["no word"])[0]
        raise ProgramError(program, "version", last, "name another trtexec first on the PATH")
    return version


def run_program(program: Path, options: Iterable[str], where: Path) -> TrtexecLog:
    """Run the program and read what it prints.

    Args:
        program: Where it lies.
        options: What it is told.
        where: The file that is worked on, named in errors.

    Raises:
        ProgramError: It failed; names the first error that it printed.
        DeviceMemoryError: The device has no room.
        MeasurementError: It printed no whole log.
    """
    run = subprocess.run(
        [str(program), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in the order in which it was printed
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if run.returncode and is_out_of_memory(run.stdout):
        raise memory_refusal(where, PROGRAM, run.stdout)
    if run.returncode and "&&&& FAILED" not in run.stdout:
        last = (run.stdout.strip().splitlines() or ["no word"])[-1]
        fix = f"run {program} on the file by itself to see all that it says"
        raise ProgramError(where, PROGRAM, f"exit {run.returncode}: {last}", fix)
    return parse_log(run.stdout, where)


def build_plan(
    program: Path, graph: Path, plan: Path, side: int, batches: tuple[int, int, int], mib: int
) -> TrtexecLog:
    """Build the plan of a strongly typed network.

    Args:
        program: Where it lies.
        graph: The ONNX file as TensorRT reads it.
        plan: The file to make.
        side: Side of the square input, pixels.
        batches: Fewest, usual and most images of a call.
        mib: Workspace, MiB.

    Raises:
        ProgramError: It failed.
        DeviceMemoryError: The device has no room. No partial file stays behind.
    """
    shapes = zip(("min", "opt", "max"), batches, strict=True)
    with atomic_path(plan) as part:
        log = run_program(
            program,
            (
                f"--onnx={graph}",
                f"--saveEngine={part}",
                "--stronglyTyped",
                "--noTF32",
                f"--memPoolSize=workspace:{mib}",
                *(f"--{name}Shapes=images:{batch}x3x{side}x{side}" for name, batch in shapes),
                "--skipInference",
            ),
            graph,
        )
        if not part.is_file():
            fix = f"run {program} on the file by itself to see all that it says"
            raise ProgramError(graph, PROGRAM, "no plan, though it passed", fix)
    return log


class TrtexecSession:
    """A plan that the program runs, a process a call.

    Args:
        program: Where it lies.
        plan: The plan.
        metadata: The artifact's.
        outputs: Names of its outputs, in their order.
        most: Most images of a call.
    """

    device = "cuda"
    starts_processes = True

    def __init__(
        self,
        program: Path,
        plan: Path,
        metadata: dict[str, str],
        outputs: list[str],
        most: int,
    ) -> None:
        self.program, self.plan, self.most = program, plan, most
        self.metadata, self.outputs = metadata, outputs

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        parts = [self._run(images[n : n + self.most]) for n in range(0, len(images), self.most)]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def time(self, side: int, batch: int = 1, runs: int = RUNS) -> dict[str, Any]:
        """What the program itself times, without a process a call; see ``time_plan``."""
        return time_plan(self.program, self.plan, side, batch, runs)

    def _run(self, images: Images) -> list[Images]:
        with tempfile.TemporaryDirectory() as name:
            given, made = Path(name) / "images.bin", Path(name) / "outputs.json"
            np.ascontiguousarray(images, np.float32).tofile(given)
            shape = "x".join(map(str, images.shape))
            asked = (
                f"--loadEngine={self.plan}",
                f"--loadInputs=images:{given}",
                f"--shapes=images:{shape}",
                "--warmUp=0",
                "--duration=0",
                "--iterations=1",
                f"--exportOutput={made}",
            )
            run_program(self.program, asked, self.plan)
            return read_outputs(made, self.outputs, self.plan)


def read_outputs(path: Path, names: Sequence[str], where: Path) -> list[Images]:
    """The outputs of a run, as ``--exportOutput`` writes them, in the order of their names.

    Raises:
        ArtifactError: One is missing, or its values do not fill its dimensions.
    """
    try:
        tensors = {each["name"]: each for each in json.loads(path.read_bytes())}
        outputs = []
        for name in names:
            sides = [int(side) for side in str(tensors[name]["dimensions"]).split("x")]
            values = np.array(tensors[name]["values"], np.float32)
            outputs.append(values.reshape(sides))
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = f"the export of {PROGRAM} is damaged or of another version: use the Python package"
        raise ArtifactError(where, "outputs", f"{type(error).__name__}: {error}", fix) from error
    return outputs


def time_plan(
    program: Path, plan: Path, side: int, batch: int = 1, runs: int = RUNS
) -> dict[str, Any]:
    """Time a plan by the program: the median of the medians of several runs.

    Args:
        program: Where it lies.
        plan: The plan.
        side: Side of the square input, pixels.
        batch: Images of a call.
        runs: Runs, a process each.

    Returns:
        ``compute_ms_p50``, kernels alone; ``latency_ms_p50``, with the copies; ``n_queries``; ``doubts``.

    Raises:
        ProgramError: A run failed.
        DeviceMemoryError: The device has no room.
        MeasurementError: A run printed or exported no whole figures.
    """
    medians: dict[str, list[float]] = {"computeMs": [], "latencyMs": []}
    queries, doubts = 0, {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            made = Path(name) / "times.json"
            asked = (
                f"--loadEngine={plan}",
                f"--shapes=images:{batch}x3x{side}x{side}",
                f"--warmUp={WARM_UP_MS}",
                f"--duration={DURATION_S}",
                "--useSpinWait",
                f"--exportTimes={made}",
            )
            log = run_program(program, asked, plan)
            times = read_times(made)
        doubts |= dict.fromkeys(log.doubts)
        queries += len(times)
        for key, kept in medians.items():
            kept.append(median(query[key] for query in times))
    return {
        "compute_ms_p50": median(medians["computeMs"]),
        "latency_ms_p50": median(medians["latencyMs"]),
        "n_queries": queries,
        "doubts": list(doubts),
    }
