"""How figures look: fonts, a colour-blind-safe palette, and files that are the same on each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import BboxBase

from ..records.cells import Entry
from .fonts import FONT, make_readable

# Okabe and Ito (2008), without the yellow that vanishes on white; then the dark tones of Tol's `muted` (2021).
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#117733", "#332288", "#999933", "#AA4499"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#6b6b6b"
FAINT = "#d9d9d9"
PNG_DPI = 200
PADDING = 0.05  # around a figure, inches
LOG_FROM = 8.0  # ratio of the ends from which an axis is logarithmic
LEGEND_CHARACTERS = 26
# Metadata by format: without what differs from run to run
UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}

_SETTINGS: dict[Any, Any] = {
    "font.family": FONT,
    "text.parse_math": False,  # a class may be called "$5 nick $"
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "svg.hashsalt": "defectbench",
}


@dataclass(frozen=True)
class Look:
    """Colour and marker of a method, the same in all figures of a report."""

    colour: str
    marker: str


def looks(entries: Sequence[Entry]) -> dict[str, Look]:
    """Give each method a colour and a marker, by the order of names; controls have none.

    Counts of colours and markers have no common divisor, so that 84 methods look each like no other.
    """
    names = sorted({e.first.method for e in entries if not e.first.is_control})
    return {
        name: Look(PALETTE[n % len(PALETTE)], MARKERS[n % len(MARKERS)])
        for n, name in enumerate(names)
    }


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw with the settings of this module."""
    with mpl.rc_context(_SETTINGS):
        yield


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = tuple(UNDATED)) -> None:
    """Write a figure in some formats, without dates, so that equal data give equal bytes; names are readable.

    Where its parts lie and what is cut away is found for the first format and holds for all: finding it takes longer
    than drawing.
    """
    make_readable(figure)
    frame: str | BboxBase = "tight"
    for kind in formats:
        figure.savefig(
            folder / f"{name}.{kind}",
            dpi=PNG_DPI,
            bbox_inches=frame,
            pad_inches=PADDING,
            metadata=UNDATED[kind],
        )
        if frame == "tight" and len(formats) > 1:
            figure.set_layout_engine(None)
            frame = figure.get_tightbbox().padded(PADDING)


def method_handle(label: str, look: Look) -> Line2D:
    """A method in a legend; a long name without what stands in brackets."""
    short = label if len(label) <= LEGEND_CHARACTERS else label.partition(" (")[0]
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=short)
