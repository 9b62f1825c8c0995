"""How wide the validation scores of a study spread over seeds, on the processor that this runs on.

Trains given methods of a study with given seeds, each in the study's own budget and on its own parts, and appends one
row a run to a table that names the processor and its make: another machine adds its rows to the same file. A run that
the table holds already, with the same recipe on the same processor, is left out. The gate's floors are made from these
rows (`.ci/make_floors.py`), so that they ask of a run what a run comes to.

    snakemake --cores 2 results/data/demo-steel/clean/split0/{train,val}@96.safetensors
    python benchmarks/seed_spread.py config/demo.yaml --methods yolo_fastestv2 yolov4_thin --seeds 0 1 2 3 4 \
        --out results/reference/demo-spread/spread.csv

Another make of processor rounds otherwise, and the same seed gives another network there. `--moved 1 2 3` shows how far
that goes without such a machine: the first weights are moved by one part in a million, in as many ways.

Costs are processor seconds of the process that trains, validation included; export and imports are not.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import re
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch

from defectbench.base.compressions import base_method
from defectbench.base.methods import load_method, override_recipe
from defectbench.base.places import weights_folder
from defectbench.base.planning import plan_study
from defectbench.base.records import hardware_card
from defectbench.base.settings import TrainingSettings
from defectbench.base.studies import Cell, load_study
from defectbench.base.tasks import TASKS
from defectbench.data.pack import load_pack
from defectbench.deploy.predict import predict_pack
from defectbench.measure.evaluator import score
from defectbench.measure.operating_point import pack_truth
from defectbench.measure.validation import TorchEngine, make_validator
from defectbench.training import preparation
from defectbench.training.loop import train
from defectbench.training.sources import Sources

MOVED = 1e-6
VECTORS = ("amx_tile", "avx512f", "avx2", "sve2", "sve", "asimd")  # the widest first
FIELDS: tuple[str, ...] = (
    "method",
    "task",
    "seed",
    "moved",
    "size_px",
    "epochs",
    "batch",
    "recipe_sha256",
    "val_score",
    "val_map50",
    "cpu_s",
    "train_s",
    "processor",
)


def processor(card=None):
    """The processor's name and what tells makes apart that go by one name, such as ``AMD EPYC (25/17, avx512f)``.

    In brackets stand family and model, where the system tells them, and the widest vectors that it has.

    Args:
        card: The hardware of a record; this machine's without.
    """
    card = card or hardware_card()
    kind = card["cpu_kind"] or ""
    numbers = re.search(r"cpu family (\d+), model (\d+)", kind)
    widest = next((name for name in VECTORS if name in kind.split(", ")), None)
    told = filter(None, ["/".join(numbers.groups()) if numbers else None, widest])
    return f"{card['cpu']} ({', '.join(told)})".removesuffix(" ()")


def cells_of(study, dataset=None, methods=None):
    """Cells of the study that the engine trains as they are on clean parts, and the task of their set, by method.

    Args:
        study: The study's file.
        dataset: Name of the set; needed where the study has one of the methods on several.
        methods: Those that are asked for; all without.
    """
    plan = plan_study(load_study(study), study)
    cells: dict[str, tuple[Cell, str]] = {}
    for cell in plan.trained:
        if (
            cell.compression is None
            and cell.protocol == "clean"
            and dataset in (None, cell.dataset)
            and (methods is None or cell.method in methods)
            and plan.catalogue.cards[base_method(cell.method)].family == "engine"
        ):
            first, _ = cells.setdefault(cell.method, (cell, plan.datasets[cell.dataset].task))
            if first.dataset != cell.dataset:
                sets = f"{first.dataset} and {cell.dataset}"
                raise SystemExit(f"{study}: {cell.method} is on {sets}: name one, --dataset NAME")
    return cells


def map50_validator(pack_file, seen):
    """A validator that notes mAP50 beside the score that it returns."""
    pack = load_pack(pack_file)
    truth = pack_truth(pack)

    def validate(network):
        engine = TorchEngine(network.deploy(), pack.classes, pack.size, network.suppression)
        results = [row for rows in predict_pack(engine, pack, pack_file) for row in rows]
        scores = score(truth, results)
        seen.append((scores.map50_95, scores.map50))
        return scores.map50_95

    return validate


def moved_weights(number):
    """`build_network`, but for each weight moved by some part in a million; as it is at number 0."""

    def build(*arguments):
        network = preparation_network(*arguments)
        draw = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for weight in network.parameters() if number else ():
                weight.mul_(1 + MOVED * torch.randn(weight.shape, generator=draw))
        return network

    preparation_network = preparation.build_network
    return build


def row_of(cell, task, seed, moved=0):
    """The row of a cell and seed, its recipe by hash, without what is to be measured."""
    budget = cell.budget
    recipe = override_recipe(load_method(base_method(cell.method)).recipe, budget.recipe or {})
    content = [recipe.model_dump(mode="json"), budget.size, budget.epochs, budget.batch]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    row = dict.fromkeys(FIELDS, "")
    row |= {"method": cell.method, "task": task, "seed": seed, "moved": moved}
    row |= {"size_px": budget.size}
    row |= {"epochs": budget.epochs, "batch": budget.batch, "recipe_sha256": digest}
    return row | {"processor": processor()}


def start_of(cell):
    """The published weights that a cell starts from, which `fetch-weights` or the workflow made; None from scratch."""
    if cell.start is None:
        return None
    return Path(weights_folder(base_method(cell.method), cell.start)) / "weights.safetensors"


def run(cell, task, seed, parts, moved=0):
    """Train one cell with a seed; the row of the table."""
    budget, method = cell.budget, load_method(base_method(cell.method))
    row = row_of(cell, task, seed, moved)

    def measure():
        files = {part: parts[part].format(dataset=cell.dataset, size=budget.size) for part in parts}
        seen = []
        validator = (
            map50_validator(files["val"], seen)
            if TASKS[task].finds_boxes
            else make_validator(files["val"], task=task)
        )
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            settings = TrainingSettings(
                seed=seed,
                epochs=budget.epochs,
                batch=budget.batch,
                threads=1,
                device="cpu",
                recipe=budget.recipe or {},
            )
            sources = Sources(Path(files["train"]), start=start_of(cell))
            with mock.patch.object(preparation, "build_network", moved_weights(moved)):
                train(method, settings, sources, folder, validator, checkpoint_s=float("inf"))
            record = json.loads((Path(folder) / "train.json").read_text())
            figures, keeps_last = record["figures"], record["recipe"]["keep"] == "last"
        row["cpu_s"] = round(time.process_time() - started, 1)
        row["train_s"] = round(figures["train_s"], 1)
        row["val_score"] = round(figures[TASKS[task].validation_key], 4)
        row["val_map50"] = round((seen[-1] if keeps_last else max(seen))[1], 4) if seen else ""
        return row

    return row, measure


def runs_held(path, keys):
    """What the runs of a table are known by: their fields of these headings, as text; none where it is not there."""
    if not path.is_file():
        return set()
    if lost := [key for key in keys if key not in headings(path)]:
        raise SystemExit(f"{path} has no column {', '.join(lost)}: name another table, --out")
    with path.open(newline="") as handle:
        return {tuple(row[key] for key in keys) for row in csv.DictReader(handle)}


def headings(path):
    """The columns of a table."""
    with path.open(newline="") as handle:
        return next(csv.reader(handle), [])


def make_lacking(path, keys, runs):
    """Make the runs that a table lacks, and append each as a row of it.

    Args:
        path: The table, which may not be there yet.
        keys: Headings by which a run is known.
        runs: Of each run its row, without what is to be measured, and a call that measures it.

    Raises:
        SystemExit: The table is there with other headings.
    """
    done = runs_held(path, keys)
    path.parent.mkdir(parents=True, exist_ok=True)
    for row, measure in runs:
        if tuple(str(row[key]) for key in keys) in done:
            continue
        made = row | measure()
        new = not path.is_file()
        if not new and (there := headings(path)) != [*made]:
            told = f"{path} has the columns {', '.join(there)}, a row has {', '.join(made)}"
            raise SystemExit(f"{told}: name another table, --out; the row is {[*made.values()]}")
        with path.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, list(made), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(made)
        print(*made.values(), flush=True)


def main():
    """Train what the table lacks, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--methods", nargs="+", help="default: all of the engine's")
    parser.add_argument("--dataset", help="name of the set, where the study has several")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    text = "ways to move the first weights, 0 for as they are"
    parser.add_argument("--moved", nargs="+", type=int, default=[0], help=text)
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    text = "file of a part's pack; {dataset} and {size} are filled in"
    for part in ("train", "val"):
        default = f"results/data/{{dataset}}/clean/split0/{part}@{{size}}.safetensors"
        parser.add_argument(f"--{part}", default=default, help=text)
    args = parser.parse_args()
    cells = cells_of(args.study, args.dataset, args.methods)
    parts = {"train": args.train, "val": args.val}
    grid = itertools.product(args.seeds, args.moved, args.methods or sorted(cells))
    runs = (run(*cells[name], seed, parts, moved) for seed, moved, name in grid)
    make_lacking(args.out, ("method", "seed", "moved", "recipe_sha256", "processor"), runs)


if __name__ == "__main__":
    main()
