"""What a long study lacks yet, for the page of its records."""

from __future__ import annotations

from ..base.planning import plan_study
from ..base.studies import load_study
from ..report.records.cells import method_title
from .reference import References


def missing_text(references: References, folder: str) -> str:
    """What there is to say of cells of ``config/<folder>.yaml`` without a kept score; controls are left aside.

    Args:
        references: The folders of kept records; method cards lie beside ``config`` and ``datasets``.
        folder: Name of the study and of its folder.

    Raises:
        ConfigError: There is no such study, or it is wrong.
    """
    home, models = references.models_dir.parent, references.models_dir
    config = home / "config" / f"{folder}.yaml"
    plan = plan_study(load_study(config), config, models, home / "datasets")
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
