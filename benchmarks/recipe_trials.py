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
import itertools
from pathlib import Path

import yaml

from seed_spread import cells_of, make_lacking, run

KEYS = ("method", "seed", "way", "recipe_sha256", "processor")


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
    parser.add_argument("--dataset", help="name of the set, where the study has several")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    parser.add_argument("--data", default="results/data", help="folder of the sets' folders")
    args = parser.parse_args()
    content = yaml.safe_load(args.ways.read_text(encoding="utf-8"))
    cells = cells_of(args.study, args.dataset, args.methods)
    folder = args.data + "/{dataset}/clean/split0/"
    parts = {part: folder + part + "@{size}.safetensors" for part in ("train", "val")}
    length = content.get("length", {})

    def trials():
        grid = itertools.product(args.seeds, args.methods or sorted(cells), content["ways"].items())
        for seed, name, (way, changes) in grid:
            cell, task = cells[name]
            row, measure = run(cell_of(cell, length, changes), task, seed, parts)
            yield {"way": way} | row, measure

    make_lacking(args.out, KEYS, trials())


if __name__ == "__main__":
    main()
