"""Trials of recipes on the validation part: the same ways, length and cost for every method of a study.

A way is a set of changes to a method's recipe. Each method is trained once a way and seed, with the size, epochs and
batch that the file of ways states for all, and one row a run is appended to a table; runs that it holds already are
left out. Nothing here reads a test part. docs/recipes.md says what follows from the rows.

    snakemake --cores 2 --configfile config/neu-det.yaml -- results/data/neu-det/clean/split0/{train,val}@96.safetensors
    python benchmarks/recipe_trials.py config/neu-det.yaml --ways benchmarks/recipe_ways.yaml \
        --out results/reference/recipes/trials.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import yaml

from seed_spread import FIELDS, cells_of, run

COLUMNS: tuple[str, ...] = ("way", *FIELDS)


def rows_of(path):
    """Rows of a table that may not be there yet."""
    if not path.is_file():
        return []
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def append(path, row):
    """Add one row to the table."""
    new = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def cell_of(cell, length, changes):
    """The cell at the length of the trials: what its study's budget says for it, then the way's changes.

    A way that gives a group of fields whole, such as `optimizer`, takes the place of the study's single fields of it.
    """
    before = cell.budget.recipe or {}
    kept = {
        name: value
        for name, value in before.items()
        if not any(name.startswith(f"{whole}.") for whole in changes)
    }
    recipe = {**kept, **changes}
    return cell.model_copy(
        update={"budget": cell.budget.model_copy(update={**length, "recipe": recipe})}
    )


def main():
    """Train what the table lacks, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path)
    text = "YAML: `length` (size, epochs, batch; absent: the study's) and `ways`, changes to a recipe by name"
    parser.add_argument("--ways", type=Path, required=True, help=text)
    parser.add_argument("--methods", nargs="+", help="default: all of the engine's")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    parser.add_argument("--data", default="results/data", help="folder of the sets' folders")
    args = parser.parse_args()
    content = yaml.safe_load(args.ways.read_text(encoding="utf-8"))
    cells = cells_of(args.study)
    folder = args.data + "/{dataset}/clean/split0/"
    parts = {part: folder + part + "@{size}.safetensors" for part in ("train", "val")}
    keys = ("method", "seed", "way", "recipe_sha256", "processor")
    done = {tuple(row[key] for key in keys) for row in rows_of(args.out)}
    for seed in args.seeds:
        for name in args.methods or sorted(cells):
            cell, task = cells[name]
            for way, changes in content["ways"].items():
                shortened = cell_of(cell, content.get("length", {}), changes)
                row, measure = run(shortened, task, seed, parts)
                if tuple(str(({"way": way} | row)[key]) for key in keys) in done:
                    continue
                row = {"way": way} | measure()
                append(args.out, row)
                print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
