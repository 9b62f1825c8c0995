"""What a long study lacks yet, for the page of its records."""

from __future__ import annotations

from pathlib import Path

from ..base.cards import load_shelf
from ..base.errors import ReportError
from ..base.planning import plan_study
from ..base.studies import Study, load_study
from ..report.records.cells import method_title
from .reference import References


def missing_text(references: References, folder: str) -> str:
    """What there is to say of cells of ``config/<folder>.yaml`` without a kept score; controls are left aside.

    Args:
        references: The folders of kept records; method cards lie beside ``config`` and ``datasets``.
        folder: Name of the study and of its folder.

    Raises:
        ReportError: There is no such study, or it keeps its records in another folder.
        ConfigError: It is wrong.
    """
    home, models = references.models_dir.parent, references.models_dir
    config = home / "config" / f"{folder}.yaml"
    if not config.is_file():
        fix = f"the page of {folder} asks what its study lacks: call both alike, or take `missing` out of the page"
        raise ReportError(config, "file", "nothing", fix)
    study = load_study(config)
    if study.study != folder:
        fix = f"its records are kept in a folder of that name: write `study: {folder}`, or rename the page"
        raise ReportError(config, "study", study.study, fix)
    plan = plan_study(_in_reach(study, home / "datasets"), config, models, home / "datasets")
    lacking = [
        cell
        for cell in plan.trained
        if not (references.root / folder / cell.folder / "accuracy.json").is_file()
    ]
    if not lacking:
        return f"All {len(plan.trained)} cells of the study are in."
    groups: dict[tuple[int, str, str], list[str]] = {}
    for cell in lacking:
        titles = groups.setdefault((cell.seed, cell.dataset, cell.protocol), [])
        titles.append(method_title(cell.method, models))
    alone = len(plan.datasets) == 1
    lines = [f"{len(lacking)} of {len(plan.trained)} cells are not made yet:", ""]
    for (seed, dataset, protocol), titles in sorted(groups.items()):
        where = protocol if alone else f"{dataset}, {protocol}"
        lines.append(f"- {where}, seed {seed}: {'; '.join(sorted(titles))}")
    return "\n".join(lines)


def _in_reach(study: Study, datasets: Path) -> Study:
    """The study as where all of its datasets are at hand: its cells are the same on every machine."""
    names = {name for block in study.blocks for name in block.datasets}
    by_person = {
        card.name: "." for card in load_shelf(datasets) if card.source.needs_a_person
    }.items()
    mirrors = {name: place for name, place in by_person if name in names}
    return study.model_copy(update={"mirrors": mirrors | study.mirrors})
