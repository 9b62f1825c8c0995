"""What ``trtexec`` prints and exports, read field by field: TensorRT 8 to 11.

A line is matched from its start, behind the time and the severity: ``Total GPU Compute Time:`` holds the words of
``GPU Compute Time:``, and ``H2D Latency:`` those of ``Latency:``. What a log casts doubt on is kept beside its figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import MeasurementError, ProgramError
from ..base.files import named_refusal

# Options that TensorRT 10 no longer knows, and what is written instead.
GONE = {
    "--workspace": "--memPoolSize=workspace:<MiB>",
    "--explicitBatch": "nothing: it is always so",
    "--buildOnly": "--skipInference",
    "--minTiming": "--avgTiming=<times>",
}
TIMES = ("startComputeMs", "endComputeMs", "computeMs", "latencyMs")  # of each query of an export

_IDENTITY = re.compile(
    r"&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec \[TensorRT v(\d+)\](?: \[[^\]]*\])? # (.*)"
)
_PREFIX = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[([IWEV])\] ?(?:\[TRT\] ?)?")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STATISTIC = re.compile(rf"(min|max|mean|median|percentile\(({_NUMBER})%\)) = ({_NUMBER}) ms")
_FIGURE = re.compile(rf"({_NUMBER}) (qps|s)")
_SHAPE = re.compile(r"Input binding for (.+) with dimensions (\d+(?:x\d+)*) is created\.")
_QUERIES = re.compile(rf"Timing trace has (\d+) queries over ({_NUMBER}) s")
_UNSTABLE = re.compile(
    rf"\* GPU compute time is unstable, with coefficient of variance = ({_NUMBER})%"
)
_HOST_BOUND = "* Throughput may be bound by Enqueue Time"
_UNKNOWN = re.compile(r"Unknown option: (--\w+)")


@dataclass(frozen=True)
class QueryTimes:
    """Milliseconds of one quantity over all queries.

    Attributes:
        min: Least.
        max: Most.
        mean: Mean.
        median: Median.
        percentiles: By percent, as many as were asked for.
    """

    min: float
    max: float
    mean: float
    median: float
    percentiles: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrtexecLog:
    """A run of ``trtexec`` that passed.

    Attributes:
        version: Of TensorRT, such as ``10.3.0``.
        command: What was run.
        options: Value by key of the sections of options and of the device; empty where nothing stands behind the colon.
        shapes: Shape by name of each input, as it was run.
        throughput_qps: Queries a second of wall time, of a batch each; queries overlap, so it is not 1 / latency.
        latency: Copy in, compute and copy out of one query; None of a run that only builds.
        enqueue: Time of the host to submit a query.
        h2d: Copy to the device.
        compute: Kernels of a query on the GPU.
        d2h: Copy back.
        end_to_end: What versions up to 8.2 print between latency and enqueue time.
        walltime_s: From the first query to the last.
        total_compute_s: Compute time of all queries.
        queries: Queries that were timed.
        variance_percent: Coefficient of variation of the compute time, where the program calls it unstable.
        is_host_bound: Whether the program says that submitting bounds the throughput.
    """

    version: str
    command: str
    options: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    throughput_qps: float | None = None
    latency: QueryTimes | None = None
    enqueue: QueryTimes | None = None
    h2d: QueryTimes | None = None
    compute: QueryTimes | None = None
    d2h: QueryTimes | None = None
    end_to_end: QueryTimes | None = None
    walltime_s: float | None = None
    total_compute_s: float | None = None
    queries: int | None = None
    variance_percent: float | None = None
    is_host_bound: bool = False

    @property
    def batch(self) -> int | None:
        """Images of a query; None where the log does not tell."""
        return next((shape[0] for shape in self.shapes.values()), None)

    @property
    def images_per_s(self) -> float | None:
        """Images a second: the program counts batches."""
        if self.throughput_qps is None or self.batch is None:
            return None
        return self.throughput_qps * self.batch

    @property
    def is_uncalibrated(self) -> bool:
        """Whether eight bits were asked for and no calibration was named.

        Unless the file itself says where it rounds, such an engine has a speed and no score.
        """
        return "INT8" in self.options.get("Precision", "").split("+") and not self.options.get(
            "Calibration", "named"
        )

    @property
    def protocol(self) -> dict[str, str]:
        """How queries were made, as far as the log tells: figures of another protocol are no comparison."""
        names = ("Inference Streams", "Data transfers", "Spin-wait", "CUDA Graph")
        told = {name: self.options[name] for name in names if name in self.options}
        # older logs call streams so
        streams = self.options.get("Streams")
        return told | ({"Inference Streams": streams} if streams else {})

    @property
    def doubts(self) -> list[str]:
        """What must be said beside the figures."""
        told = []
        if self.variance_percent is not None:
            told.append(
                f"compute time is unstable: coefficient of variation {self.variance_percent:g} %"
            )
        if self.is_host_bound:
            told.append("submitting a query takes the host longer than the GPU computes it")
        if self.options.get("Data transfers", "Enabled") == "Disabled":
            told.append("copies are not timed: latency is compute time alone")
        if self.is_uncalibrated:
            told.append(
                "eight bits without calibration: a time and no score, unless the file rounds"
            )
        return told


def version_of_code(code: int) -> str:
    """The version behind the number of the first line.

    Example:
        >>> version_of_code(8502), version_of_code(8601), version_of_code(100300)
        ('8.5.2', '8.6.1', '10.3.0')
    """
    unit = 100 if code >= 100_000 else 10
    major, rest = divmod(code, 100 * unit)
    minor, patch = divmod(rest, 100)
    return f"{major}.{minor}.{patch}"


def version_told(text: str) -> str | None:
    """The version in a first line of the program; None where there is no such line."""
    match = re.search(r"\[TensorRT v(\d+)\]", text)
    return version_of_code(int(match[1])) if match else None


def read_log(path: str | Path) -> TrtexecLog:
    """Read a stored log.

    Raises:
        FileAccessError: The operating system refuses it.
        MeasurementError: It is no whole log.
        ProgramError: The run failed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise named_refusal(error, path) from error
    return parse_log(text, path)


def parse_log(text: str, source: str | Path) -> TrtexecLog:
    """Read what the program printed.

    Args:
        text: All of it.
        source: Named in errors.

    Raises:
        MeasurementError: It is no whole log, or a line of figures is damaged.
        ProgramError: The run failed; names the first error that it printed and, of an option that is gone, the new one.
    """
    lines = [line.rstrip() for line in text.removeprefix("\ufeff").splitlines()]
    version, command = _identity(lines, source)
    told = list(_messages(lines))
    return TrtexecLog(version, command, _options(told), _shapes(told), **_summary(told, source))


def _identity(lines: list[str], source: str | Path) -> tuple[str, str]:
    """Version and command of a run that passed."""
    ends = {match[1]: match for line in lines if (match := _IDENTITY.match(line.strip()))}
    if "FAILED" in ends:
        raise _failure(lines, source)
    for word, fix in (
        ("RUNNING", "give the whole of what trtexec printed, from its first line on"),
        ("PASSED", "the log ends before the run did: run it again and keep all of it"),
    ):
        if word not in ends:
            raise MeasurementError(source, f"line &&&& {word}", "nothing", fix)
    begun = ends["RUNNING"]
    return version_of_code(int(begun[2])), begun[3].strip()


def _failure(lines: list[str], source: str | Path) -> ProgramError:
    errors = [line for severity, line in _messages(lines) if severity == "E" and line]
    first = errors[0] if errors else "it does not say why"
    unknown = _UNKNOWN.search(first)
    if unknown:
        instead = GONE.get(unknown[1])
        fix = f"write {instead}" if instead else "see trtexec --help of this version"
    else:
        fix = "mend that and run it again; --verbose tells more"
    return ProgramError(source, "trtexec", first, fix)


def _messages(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Severity and text of each line that begins as the program's own do."""
    for line in lines:
        match = _PREFIX.match(line.strip())
        if match:
            yield match[1], line.strip()[match.end() :].strip()


def _options(told: list[tuple[str, str]]) -> dict[str, str]:
    """Value by key, up to the summary; of a key that stands twice the first one."""
    options: dict[str, str] = {}
    for _, line in told:
        if line.startswith("=== Performance summary"):
            break
        key, colon, value = line.partition(":")
        if colon and not key.startswith(("=", "*")):
            options.setdefault(key.strip(), value.strip())
    return options


def _shapes(told: list[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    matches = (_SHAPE.match(line) for _, line in told)
    return {m[1]: tuple(int(side) for side in m[2].split("x")) for m in matches if m}


_TIMINGS = {
    "Latency": "latency",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "compute",
    "D2H Latency": "d2h",
    "End-to-End Host Latency": "end_to_end",
}
_FIGURES = {
    "Throughput": "throughput_qps",
    "Total Host Walltime": "walltime_s",
    "Total GPU Compute Time": "total_compute_s",
}


def _summary(told: list[tuple[str, str]], source: str | Path) -> dict[str, Any]:
    """The figures of the summary, and what the lines around it say of them."""
    figures: dict[str, Any] = {}
    for severity, line in told:
        key, colon, value = line.partition(": ")
        if severity == "I" and colon and key in _TIMINGS:
            figures[_TIMINGS[key]] = _timing(key, value, source)
        elif severity == "I" and colon and key in _FIGURES:
            figures[_FIGURES[key]] = _figure(key, value, source)
        elif match := _QUERIES.match(line):
            figures["queries"] = int(match[1])
        elif match := _UNSTABLE.match(line):
            figures["variance_percent"] = float(match[1])
        elif line.startswith(_HOST_BOUND):
            figures["is_host_bound"] = True
    return figures


def _timing(name: str, value: str, source: str | Path) -> QueryTimes:
    parts = [part.strip() for part in value.split(", ")]
    matches = [_STATISTIC.fullmatch(part) for part in parts]
    statistics = {m[1]: float(m[3]) for m in matches if m and not m[2]}
    percentiles = {float(m[2]): float(m[3]) for m in matches if m and m[2]}
    names = ("min", "max", "mean", "median")
    if not all(matches) or set(statistics) != set(names):
        fix = "the line is damaged: run it again"
        raise MeasurementError(source, name, value, fix)
    return QueryTimes(**statistics, percentiles=percentiles)


def _figure(name: str, value: str, source: str | Path) -> float:
    match = _FIGURE.fullmatch(value.strip())
    if not match:
        raise MeasurementError(source, name, value, "the line is damaged: run it again")
    return float(match[1])


def check_comparable(first: TrtexecLog, other: TrtexecLog, source: str | Path) -> None:
    """Check that two runs made their queries alike.

    Args:
        first: A run.
        other: Another one.
        source: The log of the other one, named in errors.

    Raises:
        MeasurementError: Streams, copies, waiting or CUDA graphs differ, and with them what the figures mean.
    """
    for name, value in first.protocol.items():
        seen = other.protocol.get(name)
        if seen != value:
            fix = f"the other run has {value}: time both with the same options"
            raise MeasurementError(source, name, seen, fix)


def read_times(path: str | Path) -> list[dict[str, float]]:
    """The times of each query, as ``--exportTimes`` writes them.

    Returns:
        One object a query, milliseconds by name; at least those of ``TIMES``.

    Raises:
        FileAccessError: The operating system refuses it.
        MeasurementError: It is no such export; names the query and the field.
    """
    try:
        return parse_times(Path(path).read_bytes(), path)
    except OSError as error:
        raise named_refusal(error, path) from error


def parse_times(text: str | bytes, path: str | Path) -> list[dict[str, float]]:
    """The times of each query, from the text of an export.

    Args:
        text: All of it.
        path: Named in errors.

    Raises:
        MeasurementError: It is no such export; names the query and the field.
    """
    fix = "export it again: trtexec --loadEngine=... --exportTimes=FILE"
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MeasurementError(path, "content", str(error), fix) from error
    if not isinstance(content, list) or not content:
        raise MeasurementError(path, "queries", type(content).__name__, fix)
    for number, query in enumerate(content):
        for name in TIMES:
            value = query.get(name) if isinstance(query, dict) else None
            if not _is_time(value):
                raise MeasurementError(path, f"query {number} {name}", value, fix)
    return content


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0
