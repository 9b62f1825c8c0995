"""The speed of new model files against the earlier ones, in one race, so that the ratio holds on any machine.

An earlier file is raced here and now, on the images of the new one: what is compared is the two files, and no machine
of the past. What the suite does before and behind the engine is the same for both, so a change of that is not seen.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.records import read_record
from ..base.studies import LatencySettings
from .race import RaceEntry, race

# enough blocks for an interval of a few percent; calls after a pause say nothing about a ratio
PROTOCOL = LatencySettings(processes=5, rounds=12, block_calls=4, warmup=5, burst_calls=0)


@dataclass(frozen=True)
class Versions:
    """A model file as it was and as it is.

    Attributes:
        before: The earlier ``model.onnx``.
        after: The new one.
        pack: The pack of the test part, for its images.
        before_point: Record with the threshold of the earlier file; 0.25 without it.
        after_point: The same of the new one.
    """

    before: Path
    after: Path
    pack: Path
    before_point: Path | None = None
    after_point: Path | None = None


@dataclass(frozen=True)
class VersionRatio:
    """Time of the new file over that of the earlier one.

    Attributes:
        ratio: The ratio; above 1 the new file is slower.
        low: Lower end of its 95 % interval.
        high: Upper end.
        invalid_because: Why it cannot be trusted; empty if it can.
    """

    ratio: float
    low: float
    high: float
    invalid_because: tuple[str, ...] = ()

    @property
    def distance(self) -> float:
        """How far the interval lies from 1, in logarithms; 0 where it holds 1."""
        return max(0.0, math.log(self.low), -math.log(self.high))


def race_versions(
    pairs: Sequence[Versions], settings: LatencySettings = PROTOCOL
) -> list[VersionRatio]:
    """Race pairs of files, all of them in turn.

    Args:
        pairs: The files.
        settings: The latency protocol; its first number of threads counts, and what takes time beside the ratio is
            left out.

    Returns:
        A ratio a pair, in their order.

    Raises:
        ConfigError: A file is missing, or stands in two pairs.
        ProgramError: A model failed; names each that did.
    """
    if not pairs:
        return []
    left_out = {"batches": [1], "starts": 0, "energy_s": 0.0, "burst_calls": 0}
    protocol = settings.by_threads[0].model_copy(update=left_out)
    with tempfile.TemporaryDirectory() as name:
        entries = [entry for n, pair in enumerate(pairs) for entry in _entries(pair, n, Path(name))]
        race(entries, protocol)
        return [_ratio(entry.out) for entry in entries if entry.base is not None]


def _entries(pair: Versions, number: int, folder: Path) -> tuple[RaceEntry, RaceEntry]:
    before = RaceEntry(pair.before, pair.pack, folder / f"{number}-before.json", pair.before_point)
    after = folder / f"{number}-after.json"
    return before, RaceEntry(pair.after, pair.pack, after, pair.after_point, base=pair.before)


def _ratio(record: Path) -> VersionRatio:
    figures = read_record(record, "latency")["figures"]
    low, ratio, high = (figures[f"ratio_to_base{end}"] for end in ("_low", "", "_high"))
    reasons = tuple(r for r in figures["invalid_because"] if "ratio to reference" not in r)
    return VersionRatio(ratio, low, high, reasons)
