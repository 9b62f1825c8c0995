"""Counts of networks that are known without the paper which is audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...base.methods import load_card, method_names
from ...base.printed_tables import PrintedRow, PrintedTable, UnitName, read_other_networks

UNIT_FACTORS: Mapping[UnitName, int] = {"MAC": 1, "2 x MAC": 2}
SAME_UNIT = 0.1  # counters differ by up to 8 % on small networks; units by a factor of two


@dataclass(frozen=True)
class NetworkCounts:
    """What one network costs.

    Attributes:
        params_m: Parameters, millions.
        macs_g: Multiply-adds of one image in G, by counter and then by side of the input.
    """

    params_m: float
    macs_g: Mapping[str, Mapping[int, float]]

    def at(self, size: int) -> dict[str, float]:
        """Multiply-adds at a side in G by counter, scaled with the pixels from the nearest side that was counted."""
        scaled = {}
        for counter, by_size in self.macs_g.items():
            near = min(by_size, key=lambda side: abs(side - size), default=None)
            if near is not None:
                scaled[counter] = by_size[near] * (size / near) ** 2
        return scaled


@dataclass(frozen=True)
class FittingUnit:
    """The unit that printed operations fit best.

    Attributes:
        unit: Its name.
        counter: The counter of ours that comes nearest.
        counted_g: Our count in that unit, G.
        ratio: The printed figure over it.
    """

    unit: UnitName
    counter: str
    counted_g: float
    ratio: float

    @property
    def fits(self) -> bool:
        """Whether the figure is in that unit at all."""
        return abs(self.ratio - 1) <= SAME_UNIT


def known_counts(
    models_dir: str | Path, tables: Iterable[PrintedTable]
) -> dict[str, NetworkCounts]:
    """Counts of the networks that tables name: golden counts of cards, and counts of networks without a folder.

    Args:
        models_dir: Folder of the methods.
        tables: The tables.
    """
    others = read_other_networks(models_dir)
    counts = {
        name: NetworkCounts(
            float(other.params_m),
            {"conv": {other.size: float(other.operations_g) / UNIT_FACTORS[other.unit]}},
        )
        for name, other in others.items()
    }
    names = {row.network for table in tables for row in table.rows}
    names |= {statement.against for table in tables for statement in table.statements}
    for name in names & set(method_names(models_dir)):
        golden = load_card(Path(models_dir) / name).golden
        by_counter = {"conv": golden.macs_m, "thop": golden.thop_m}
        counts[name] = NetworkCounts(
            golden.params / 1e6,
            {
                counter: {size: millions / 1e3 for size, millions in by_size.items()}
                for counter, by_size in by_counter.items()
            },
        )
    return counts


def fitting_unit(row: PrintedRow, counts: Mapping[str, NetworkCounts]) -> FittingUnit | None:
    """The unit and counter that a row's operations come nearest to; None without an independent count."""
    network = counts.get(row.network)
    if network is None or row.rebuilt_from_it or row.operations_g is None or row.size is None:
        return None
    printed = float(row.operations_g)
    units = [
        FittingUnit(unit, counter, macs * factor, printed / (macs * factor))
        for counter, macs in network.at(row.size).items()
        for unit, factor in UNIT_FACTORS.items()
    ]
    return min(units, key=lambda unit: abs(unit.ratio - 1), default=None)
