"""The figure of the front page: what a program that learns nothing scores under each way to split."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.numbers import percent
from .facts import Facts

WIDTH, ROW, LEFT, RIGHT = 720, 34, 250, 60
PROTOCOLS = {
    "clean": "groups kept whole (clean)",
    "sequential": "by file index (sequential)",
    "random": "image by image (random)",
    "paper": "enlarged, then split (paper)",
}
_STYLE = "font-family='Helvetica, Arial, sans-serif' font-size='14'"


def leakage_figure(facts: Facts, folder: str) -> str:
    """An SVG of bars, mAP50 of the memoriser in percent with its 95 % interval, from a folder of reference."""
    bars = []
    for protocol, label in PROTOCOLS.items():
        _, row = facts.row_of(f"{folder}/{protocol}/control_memoriser")
        bars.append((label, *(row.values[f"map50{end}"] for end in ("", "_low", "_high"))))
    return bar_chart("mAP50, %, of a program that copies training boxes and learns nothing", bars)


def bar_chart(title: str, bars: Sequence[tuple[str, float, float, float]]) -> str:
    """An SVG of horizontal bars on a scale of 0 to 100 %, each with its interval and its figure.

    Args:
        title: Stands above the bars.
        bars: Label, share and the ends of its interval.
    """
    height = ROW * (len(bars) + 1) + 16
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {_STYLE} role='img'>",
        f"<title>{title}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='12' y='22' font-weight='bold' fill='#1a1a1a'>{title}</text>",
    ]
    for number, bar in enumerate(bars, 1):
        parts += _bar(number * ROW + 4, *bar)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(top: int, label: str, value: float, low: float, high: float) -> list[str]:
    middle = top + ROW // 2
    ends = [_x(low), _x(high)]
    bar = f"<rect x='{LEFT}' y='{top + 6}' width='{_x(value) - LEFT:.1f}' height='{ROW - 12}' fill='#2f6690'/>"
    width = (
        f"<path d='M{ends[0]:.1f} {middle}H{ends[1]:.1f}M{ends[0]:.1f} {middle - 5}v10M{ends[1]:.1f} {middle - 5}v10' "
        "stroke='#1a1a1a' fill='none'/>"
    )
    return [
        f"<text x='{LEFT - 10}' y='{middle + 5}' text-anchor='end' fill='#1a1a1a'>{label}</text>",
        f"<path d='M{LEFT} {top}v{ROW}' stroke='#1a1a1a'/>",
        *([bar, width] if value else []),
        f"<text x='{max(_x(value), ends[1]) + 8:.1f}' y='{middle + 5}' fill='#1a1a1a'>{percent(value)}</text>",
    ]


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share
