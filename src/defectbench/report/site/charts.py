"""Small charts as SVG inside a page: they take its colours, and say what a mark is when it is pointed at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ..numbers import number
from .standing import Standing

LOG_FROM = 8.0  # ratio of the ends from which an axis is logarithmic
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 14, 40
BARS, BAR = 520, 22  # width of a chart of bars, and height of a bar


@dataclass(frozen=True)
class Axis:
    """Values along a side of a chart.

    Attributes:
        low: Value at the first end.
        high: Value at the other.
        first: Its place in the drawing.
        last: Place of the other end.
        is_log: Whether ratios, not differences, are of equal length.
    """

    low: float
    high: float
    first: float
    last: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first), 1)

    def ticks(self, count: int = 6) -> list[float]:
        """Round values at which a line stands."""
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        else:
            step = _round_step((self.high - self.low) / count)
            first = math.ceil(self.low / step - 1e-9)
            values = [step * n for n in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [value for value in values if self.low <= value <= self.high * (1 + 1e-9)]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)


def _tag(name: str, inside: str | Markup = "", **attributes: object) -> Markup:
    """An element; a name of an attribute that Python keeps for itself ends in ``_``, others have ``_`` for ``-``."""
    named = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, named, inside)


def _level(across: Axis, y: float, kind: str) -> Markup:
    """A line from left to right."""
    return _tag("line", class_=kind, x1=across.first, x2=across.last, y1=y, y2=y)


def frame(across: Axis, up: Axis, titles: tuple[str, str], inside: Markup, label: str) -> Markup:
    """A chart with its axes.

    Args:
        across: Values from left to right.
        up: Values from bottom to top.
        titles: Names of both.
        inside: What is drawn.
        label: What it shows, for those who do not see it.
    """
    drawn = Markup("")
    for value in across.ticks():
        x = across.at(value)
        drawn += _tag("line", class_="grid", x1=x, x2=x, y1=up.first, y2=up.last)
        drawn += _tag("text", f"{value:g}", x=x, y=up.first + 15, text_anchor="middle")
    for value in up.ticks():
        y = up.at(value)
        drawn += _level(across, y, "grid")
        drawn += _tag("text", f"{value:g}", x=across.first - 6, y=y + 4, text_anchor="end")
    drawn += _tag(
        "text", titles[0], class_="title", x=across.last, y=up.first + 32, text_anchor="end"
    )
    drawn += _tag("text", titles[1], class_="title", x=across.first + 4, y=up.last + 8)
    box = f"0 0 {across.last + RIGHT:g} {up.first + BOTTOM:g}"
    return _tag("svg", drawn + inside, class_="chart", viewBox=box, role="img", aria_label=label)


def front_chart(standing: Standing, pages: Mapping[str, str]) -> Markup:
    """Score against speed: each point opens its method's page; the front is marked, and those to look at are numbered.

    Args:
        standing: The methods.
        pages: Addresses of their pages.
    """
    timed = [row for row in standing.rows if getattr(row, standing.cost) is not None]
    if not timed:
        return Markup("")
    across, up = _axes(standing, timed)
    numbers = {pick.row.method: str(n) for n, pick in enumerate(standing.picks, start=1)}
    inside = _controls(standing, across, up) + _front(standing, across, up)
    for row in reversed(timed):
        point = _point(standing, row, across, up, numbers.get(row.method, ""))
        inside += _tag("a", point, class_=_kind(standing, row), href=pages[row.method])
    label = f"{standing.heading} against {standing.cost_title} on {', '.join(standing.place)}"
    return _group(frame(across, up, (standing.cost_title, f"{standing.heading}, %"), inside, label))


def _group(chart: Markup) -> Markup:
    """A chart that holds links is no picture, but a group of them."""
    return Markup(str(chart).replace('role="img"', 'role="group"', 1))  # noqa: S704 - escaped


def _axes(standing: Standing, timed: Sequence[Any]) -> tuple[Axis, Axis]:
    costs = [getattr(row, standing.cost) for row in timed]
    is_log = max(costs) > LOG_FROM * min(costs)
    low, high = (min(costs) / 1.5, max(costs) * 1.5) if is_log else (0.0, max(costs) * 1.12)
    ends = [_ends(standing, row) for row in timed]
    bottom, top = min(end[0] for end in ends), max(end[2] for end in ends)
    room = max(0.06 * (top - bottom), 1.0)
    return (
        Axis(low, high, LEFT, WIDTH - RIGHT, is_log),
        Axis(max(0.0, bottom - room), min(104.0, top + 2 * room), HEIGHT - BOTTOM, TOP),
    )


def _ends(standing: Standing, row: Any) -> tuple[float, float, float]:
    """Lower end, score and upper end in percent."""
    low, score, high = (getattr(row, standing.figure + end) for end in ("_low", "", "_high"))
    return 100 * low, 100 * score, 100 * high


def _controls(standing: Standing, across: Axis, up: Axis) -> Markup:
    """Lines of the controls that fall into the window of the scores."""
    drawn = Markup("")
    for row in standing.controls:
        score = 100 * getattr(row, standing.figure)
        if up.low < score < up.high:
            y = up.at(score)
            drawn += _level(across, y, "control")
            drawn += _tag("text", row.title, x=across.last, y=y - 4, text_anchor="end")
    return drawn


def _front(standing: Standing, across: Axis, up: Axis) -> Markup:
    """A line through the points that none beats."""
    rows = [row for row in standing.rows if row.method in standing.front]
    points = sorted((getattr(r, standing.cost), 100 * getattr(r, standing.figure)) for r in rows)
    if len(points) < 2:
        return Markup("")
    path = f"M{across.at(points[0][0])} {up.at(points[0][1])}"
    path += "".join(f"H{across.at(cost)}V{up.at(score)}" for cost, score in points[1:])
    return _tag("path", class_="front", d=path)


def _kind(standing: Standing, row: Any) -> str:
    if not row.latency_valid:
        return "invalid"
    return "on-front" if row.method in standing.front else "off-front"


def _point(standing: Standing, row: Any, across: Axis, up: Axis, written: str) -> Markup:
    """A method with its interval and, where it is one to look at, its number."""
    low, score, high = _ends(standing, row)
    x, y = across.at(getattr(row, standing.cost)), up.at(score)
    words = f"{row.title}: {score:.1f} [{low:.1f}, {high:.1f}], {standing.cost_of(row)}"
    words += "" if row.latency_valid else ", invalid timing"
    drawn = _tag("title", words) + _tag("line", x1=x, x2=x, y1=up.at(low), y2=up.at(high))
    drawn += _tag("circle", cx=x, cy=y, r=10 if written else 5.5)
    if written:
        drawn += _tag("text", written, class_="number", x=x, y=y + 4, text_anchor="middle")
    return drawn


def bar_chart(counts: Mapping[str, Mapping[str, int]], label: str) -> Markup:
    """Bars of counts, one below the other, each in its parts.

    Args:
        counts: Counts by part, by name of the bar.
        label: What it shows.
    """
    wide = max([len(name) for name in counts] + [4]) * 7 + 8
    most = max([sum(parts.values()) for parts in counts.values()] + [1])
    room = BARS - wide - 56
    drawn = Markup("")
    for n, (name, parts) in enumerate(counts.items()):
        y, x = BAR * n, float(wide)
        drawn += _tag("text", name, x=wide - 8, y=y + 14, text_anchor="end")
        for k, (part, count) in enumerate(parts.items()):
            width = round(room * count / most, 1)
            title = _tag("title", f"{name}, {part}: {count:,}")
            drawn += _tag(
                "rect", title, class_=f"part{k}", x=round(x, 1), y=y + 2, width=width, height=15
            )
            x += width
        drawn += _tag("text", f"{sum(parts.values()):,}", x=round(x + 6, 1), y=y + 14)
    box = f"0 0 {BARS} {BAR * len(counts) + 4}"
    return _tag("svg", drawn, class_="chart bars", viewBox=box, role="img", aria_label=label)


def line_chart(
    lines: Mapping[str, Sequence[tuple[float, float]]], title: str, is_log: bool = False
) -> Markup:
    """Lines over epochs.

    Args:
        lines: Points by name of the line, such as a seed; one at least has a point.
        title: What is drawn.
        is_log: Whether the values are drawn in ratios; all are above zero then.
    """
    points = [point for line in lines.values() for point in line]
    low, high = min(v for _, v in points), max(v for _, v in points)
    is_log = is_log and low > 0 and high > LOG_FROM * low
    bottom = low / 1.1 if is_log else min(0.0, low)
    top = high * 1.15 if high > bottom else bottom + 1
    across = Axis(0, max(epoch for epoch, _ in points) * 1.02, LEFT, 400 - RIGHT)
    up = Axis(bottom, top, 220 - BOTTOM, TOP, is_log)
    inside = Markup("")
    for n, (name, line) in enumerate(lines.items()):
        places = [(across.at(epoch), up.at(value)) for epoch, value in line]
        words = _tag("title", f"{name}: {number(line[-1][1])} at epoch {line[-1][0]:g}")
        if len(places) == 1:
            x, y = places[0]
            inside += _tag("circle", words, class_=f"line{n % 4}", cx=x, cy=y, r=4)
        else:
            path = " ".join(f"{x},{y}" for x, y in places)
            inside += _tag("polyline", words, class_=f"line{n % 4}", points=path)
    return frame(across, up, ("epoch", title), inside, f"{title} by epoch")
