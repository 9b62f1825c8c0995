"""Reference records: kept cells and tables of a run, read as they lie there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..base.compressions import JOINT, base_method, compressed_title
from ..base.errors import ReportError
from ..base.files import read_json
from ..base.methods import load_card
from ..base.records import ABSENT
from ..measure.seeds import score_over_records
from ..measure.statistics import Interval

CONTROLS = {
    "control_memoriser": "memoriser",
    "control_class_prior": "class prior",
    "control_label_jitter": "label jitter, unranked",
    "control_label_jitter_ranked": "label jitter, ideally ranked",
    "control_label_jitter_half": "half the label jitter, ideally ranked",
    "control_oracle": "oracle",
}


@dataclass(frozen=True)
class KeptCell:
    """One run whose records are kept.

    Attributes:
        folder: ``.../<method>/seed<k>``.
    """

    folder: Path

    @property
    def method(self) -> str:
        """Name of the method, or ``control_<kind>``."""
        return self.folder.parent.name

    def figures(self, name: str) -> dict[str, Any]:
        """Figures of one of its records, such as ``accuracy``; empty where it was not kept."""
        path = self.folder / f"{name}.json"
        return read_json(path)["figures"] if path.is_file() else {}

    @cached_property
    def accuracy(self) -> dict[str, Any]:
        """Figures of its accuracy."""
        return self.figures("accuracy")

    @property
    def latency(self) -> dict[str, Any]:
        """Figures of its timing; empty where it was not timed."""
        timed = sorted((self.folder / "latency").glob("*.json"))
        usual = self.folder / "latency" / "onnxruntime.json"
        path = usual if usual in timed else next(iter(timed), None)
        return read_json(path)["figures"] if path else {}


@dataclass(frozen=True)
class KeptMethod:
    """All kept seeds of one method.

    Attributes:
        title: Its name in tables.
        cells: One a seed.
    """

    title: str
    cells: list[KeptCell]

    @property
    def name(self) -> str:
        """Name of the method, or ``control_<kind>``."""
        return self.cells[0].method

    @property
    def is_control(self) -> bool:
        """Whether it is a program that learns nothing."""
        return self.name.startswith("control_")

    @property
    def task(self) -> str:
        """What it solves."""
        return "classification" if "accuracy" in self.cells[0].accuracy else "detection"

    def score(self, figure: str) -> Interval | None:
        """A score with its interval, over seeds and groups where there are several seeds, else over groups."""
        kept = [cell.accuracy for cell in self.cells if figure in cell.accuracy]
        if not kept:
            return None
        values = [one[figure] for one in kept]
        lows, highs = (
            [one.get(f"{figure}{end}", one[figure]) for one in kept] for end in ("_low", "_high")
        )
        return score_over_records(values, lows, highs, kept[0]["n_groups"])


@dataclass(frozen=True)
class KeptGroup:
    """The kept cells that were scored on one test part.

    Attributes:
        folder: Holds a folder a method.
        methods: By falling score, controls last.
    """

    folder: Path
    methods: list[KeptMethod]

    @property
    def task(self) -> str:
        """What its methods solve."""
        return self.methods[0].task

    def rows(self, name: str) -> list[dict[str, str]]:
        """Lines of a kept table, such as ``pairs``; none where it was not kept."""
        path = self.folder / f"{name}.csv"
        return read_rows(path) if path.is_file() else []


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Lines of a CSV file by heading.

    Raises:
        ReportError: There is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise ReportError(path, "file", "nothing", "name a table that is kept")
    with file.open(newline="") as handle:
        return list(csv.DictReader(handle))


def kept_groups(reference: str | Path, models_dir: str | Path = "models") -> list[KeptGroup]:
    """Kept cells of a reference folder, by the folder that holds their methods.

    Args:
        reference: One folder of ``results/reference``.
        models_dir: Where method cards lie, for titles.
    """
    by_folder: dict[Path, dict[str, list[KeptCell]]] = {}
    for path in sorted(Path(reference).glob("**/seed*/accuracy.json")):
        cell = KeptCell(path.parent)
        if path.parent.name.startswith("seed") and ABSENT not in cell.accuracy:
            methods = by_folder.setdefault(cell.folder.parents[1], {})
            methods.setdefault(cell.method, []).append(cell)
    return [
        KeptGroup(folder, _ranked(methods, models_dir)) for folder, methods in by_folder.items()
    ]


def _ranked(methods: Mapping[str, list[KeptCell]], models_dir: str | Path) -> list[KeptMethod]:
    kept = [KeptMethod(title_of(name, models_dir), cells) for name, cells in methods.items()]
    return sorted(kept, key=_rank)


def _rank(method: KeptMethod) -> tuple[bool, float, str]:
    score = method.score("accuracy" if method.task == "classification" else "map50")
    if method.is_control:
        return True, float(list(CONTROLS).index(method.name)), method.name
    return False, -(score.estimate if score else 0.0), method.name


def title_of(method: str, models_dir: str | Path = "models") -> str:
    """Name of a method in tables: from its card, or its own name where there is no card.

    Example:
        >>> title_of("control_oracle"), title_of("mine", "nowhere")
        ('oracle', 'mine')
    """
    if method in CONTROLS:
        return CONTROLS[method]
    folder = Path(models_dir) / base_method(method)
    title = load_card(folder).title if (folder / "card.yaml").is_file() else base_method(method)
    return compressed_title(title, method) if JOINT in method else title


def hardware_of(cells: Iterable[KeptCell]) -> list[str]:
    """The machines that cells were scored and timed on, in words, each once."""
    machines: dict[str, None] = {}
    for cell in cells:
        card = read_json(cell.folder / "accuracy.json").get("hardware", {})
        if card:
            machines[f"{card['cpu']}, {card['cores']} cores"] = None
    return list(machines)
