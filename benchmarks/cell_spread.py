"""How wide the validation scores of cells spread over seeds that are made of other cells, or by a program of its own.

`seed_spread.py` trains what one training of the engine makes. A slimmed network, a cut classifier and what a program
trains are made by several jobs or outside the engine. So the workflow makes these cells, in a study that differs from
the given one by its name and its seeds alone, and their records become rows of a table: one a cell, with the processor
that its last training ran on. Cells whose row of this processor the table holds already are not made. The gate's floors
of these cells are made from them (`.ci/make_floors.py`).

    python benchmarks/cell_spread.py config/demo.yaml --seeds 0 1 2 --out results/reference/demo-spread/cells.csv

With `--runs results/demo/runs` nothing is made: the rows are of those cells that lie there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from defectbench.base.compressions import base_method
from defectbench.base.planning import StudyPlan, plan_study
from defectbench.base.records import read_record
from defectbench.base.studies import Cell, Study, load_study
from defectbench.base.tasks import TASKS
from seed_spread import make_lacking, processor, runs_held

KEYS = ("method", "seed", "recipe_sha256", "processor")


def with_seeds(study: Study, seeds: list[int]) -> Study:
    """The same study with other seeds, under a name of its own."""
    blocks = [block.model_copy(update={"seeds": seeds}) for block in study.blocks]
    return study.model_copy(update={"study": f"{study.study}-seeds", "blocks": blocks})


def is_made_otherwise(plan: StudyPlan, cell: Cell) -> bool:
    """Whether a cell is more than one training of the engine: compressed, or made by a program."""
    engine = plan.catalogue.cards[base_method(cell.method)].family == "engine"
    return cell.protocol == "clean" and (cell.compression is not None or not engine)


def row_of(plan: StudyPlan, cell: Cell) -> dict[str, object]:
    """The row of a cell, all that it is made by as a hash, without what its record says."""
    cut, budget = cell.compression, cell.budget
    content = [
        plan.changed_recipe(cell).model_dump(mode="json"),
        [budget.size, budget.epochs, budget.batch],
        cut and cut.model_dump(mode="json", exclude_unset=True),
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    task = plan.datasets[cell.dataset].task
    return {"method": cell.method, "task": task, "seed": cell.seed, "recipe_sha256": digest}


def known_by(row: dict[str, object], processor: str) -> tuple[str, ...]:
    """What a run of a cell on a processor is known by in the table."""
    return tuple(str((row | {"processor": processor})[key]) for key in KEYS)


def measured(row: dict[str, object], train: Path) -> dict[str, object]:
    """The row with what the record of the last training says."""
    record = read_record(train, "train")
    figures, task = record["figures"], TASKS[str(row["task"])]
    said = {name: figures[name] for name in ("size_px", "epochs", "batch")}
    said |= {"val_score": round(figures[task.validation_key], 4)}
    return row | said | {"processor": processor(record["hardware"])}


def make(study: Study, trains: list[Path]) -> None:
    """Let the workflow make records of trainings, on one core; nothing where there are none.

    Raises:
        subprocess.CalledProcessError: It fails.
    """
    if not trains:
        return
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "study.yaml"
        content = study.model_dump(mode="json", exclude_unset=True)
        told.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", str(told)]
        subprocess.run([*command, "--", *map(str, trains)], check=True)


def main() -> None:
    """Make the cells, unless their folder is given, and append the rows that the table lacks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="default: all cells of this kind")
    parser.add_argument("--runs", type=Path, help="folder of cells that are there")
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    args = parser.parse_args()
    study = with_seeds(load_study(args.study), args.seeds)
    plan = plan_study(study, args.study)
    cells = [cell for cell in plan.trained if is_made_otherwise(plan, cell)]
    if args.methods:
        known = dict.fromkeys(cell.method for cell in cells)
        if lost := [name for name in args.methods if name not in known]:
            told = f"{args.study} makes no cell of this kind of {', '.join(lost)}"
            raise SystemExit(f"--methods: {told}; it makes {', '.join(known) or 'none'}")
        cells = [cell for cell in cells if cell.method in args.methods]
    runs = args.runs or Path("results") / study.study / "runs"
    found = [(row_of(plan, cell), runs / cell.folder / "train.json") for cell in cells]
    if args.runs is None:
        held, here = runs_held(args.out, KEYS), processor()
        found = [(row, train) for row, train in found if known_by(row, here) not in held]
        make(study, [train for _, train in found])
    elif not any(train.is_file() for _, train in found):
        raise SystemExit(f"{runs}: none of {len(found)} cells lies there; name its seeds, --seeds")
    rows = [measured(row, train) for row, train in found if train.is_file()]
    make_lacking(args.out, KEYS, ((row, dict) for row in rows))


if __name__ == "__main__":
    main()
