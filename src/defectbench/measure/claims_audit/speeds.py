"""Printed speeds: what is said of how they were taken, and whether images a second fit milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...base.printed_tables import PrintedSpeed, PrintedTable
from .counts import NetworkCounts
from .outcome import AuditOutcome, Cited, Outcome, places_of
from .spans import Span, combine, digits, span_of

ONE_SPEED = 1.1  # a larger ratio of two speeds of one network is no noise


def check_speeds(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Name what speeds do not say; hold images a second against milliseconds, and speeds of one network together.

    Args:
        tables: Tables of one paper.
        counts: Of networks; not needed here.
    """
    cited = [Cited(table, row) for table in tables for row in table.rows]
    each = [out for one in cited for speed in one.row.speeds for out in _of_speed(one, speed)]
    return [*each, *_between_speeds(cited)]


def _of_speed(cited: Cited, speed: PrintedSpeed) -> Iterator[AuditOutcome]:
    if speed.fps is not None and speed.ms is not None:
        calls = combine(span_of(speed.fps), span_of(speed.ms), lambda fps, ms: fps * ms / 1000)
        batch = speed.batch or 1
        fits = calls.meets(Span(batch, batch))
        images = digits(float(speed.fps * speed.ms) / 1000)
        told = f"a batch of {batch}" if speed.batch else "one image a call, as no batch is said"
        arithmetic = f"{speed.fps} x {speed.ms} / 1000 = {images} images a call, for {told}"
        yield _outcome(cited, speed, "consistent" if fits else "inconsistent", arithmetic)
    if speed.lacks:
        lacks = " or ".join(filter(None, (", ".join(speed.lacks[:-1]), speed.lacks[-1])))
        yield _outcome(cited, speed, "not comparable", f"no {lacks} is said")


def _between_speeds(cited: Sequence[Cited]) -> Iterator[AuditOutcome]:
    """Speeds of one method that differ: inconsistent where all that is said of them is the same, and all is said."""
    by_method: dict[str, list[tuple[Cited, PrintedSpeed]]] = {}
    for one in cited:
        for speed in one.row.speeds:
            if speed.fps is not None:
                by_method.setdefault(one.row.method, []).append((one, speed))
    for method, speeds in by_method.items():
        told = {(s.batch, s.precision, s.boundary, s.device, c.row.size) for c, s in speeds}
        if len(speeds) < 2 or len(told) > 1:
            continue
        values = sorted(float(speed.fps) for _, speed in speeds if speed.fps is not None)
        if values[-1] / values[0] <= ONE_SPEED:
            continue
        ratio = f"{values[-1]:g} / {values[0]:g} = {digits(values[-1] / values[0])} for one network"
        is_whole = not speeds[0][1].lacks and speeds[0][0].row.size is not None
        reason = "in the same setting" if is_whole else "size or setting differ, and are not said"
        rows = [one for one, _ in speeds]
        printed = ", ".join(f"{s.fps} on {c.row.data_set}" for c, s in speeds)
        yield AuditOutcome(
            rows[0].table.paper,
            places_of(rows),
            "speed",
            method,
            "images/s",
            printed,
            "inconsistent" if is_whole else "not comparable",
            f"{ratio}: {reason}",
            rows[0].table.read,
        )


def _outcome(cited: Cited, speed: PrintedSpeed, verdict: Outcome, arithmetic: str) -> AuditOutcome:
    printed = [f"{speed.fps} images/s"] if speed.fps is not None else []
    printed += [f"{speed.ms} ms"] if speed.ms is not None else []
    setting = ", ".join(filter(None, (speed.device, speed.precision, speed.boundary)))
    return AuditOutcome(
        cited.table.paper,
        cited.table.place,
        "speed",
        cited.row.method,
        "images/s",
        ", ".join(printed) + (f" ({setting})" if setting else ""),
        verdict,
        arithmetic,
        cited.table.read,
    )
