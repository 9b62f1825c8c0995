"""How far the gradients of fresh networks are off, against float64: by layout of memory and by batch norm.

One batch of the training part, one fresh network a seed and method. Three ways in float32 stand beside float64 on the
same values: rows first (NCHW), channels last with the library's batch norm, channels last with the exact one, by which
training goes. Errors are of the whole gradient, relative to its norm. Milliseconds are of loss and gradient, the ways
in turn. A matching of boxes may fall out otherwise in either precision: such a batch shows the same error in two ways.

    snakemake --cores 2 results/data/demo-steel/clean/split0/{train,val}@96.safetensors
    python benchmarks/gradient_accuracy.py config/demo.yaml --methods yolov4_thin yolox_nano --out gradients.csv
"""

from __future__ import annotations

import argparse
import copy
import csv
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from defectbench.base.methods import build_network, load_method, override_recipe
from defectbench.base.records import hardware_card
from defectbench.base.tasks import DETECTION
from defectbench.data.pack import load_pack
from defectbench.nn.batch_norm import make_batch_norms_exact
from defectbench.nn.detector import Targets
from defectbench.training.augment import augment
from defectbench.training.batches import PackBatches
from defectbench.training.randomness import derived_seed
from seed_spread import cells_of

WAYS = ("rows first", "channels last", "channels last, exact batch norm")
FIELDS = ("method", "seed", "size_px", "batch", "way", "error", "cosine", "ms", "processor")


def whole_gradient(network: nn.Module, images: Tensor, targets: Targets, seed: int) -> Tensor:
    """Gradient of the loss to all parameters, one vector."""
    torch.manual_seed(derived_seed(seed, 0, "forward"))
    loss = network.loss(images, targets, 0)["loss"]  # type: ignore[operator]
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat(
        [
            torch.zeros(p.numel(), dtype=torch.float64) if g is None else g.double().flatten()
            for p, g in zip(parameters, gradients, strict=True)
        ]
    )


def prepared(network: nn.Module, way: str) -> nn.Module:
    """A copy of a network that learns in one of the ways."""
    network = copy.deepcopy(network)
    if way != WAYS[0]:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if way == WAYS[2]:
        make_batch_norms_exact(network)
    return network


def measure(cell, pack_path: Path, seed: int, repeats: int) -> list[dict]:
    """Rows of one method and seed, a way each."""
    method, budget = load_method(cell.method), cell.budget
    pack = load_pack(pack_path, task=DETECTION.name)
    recipe = override_recipe(method.recipe, budget.recipe or {})
    given = {"batch": budget.batch, "epochs": budget.epochs}
    recipe = recipe.model_copy(update={k: v for k, v in given.items() if v is not None})
    batches = PackBatches(pack, recipe.batch, seed, "cpu", False)
    torch.manual_seed(derived_seed(seed, 0, "weights"))
    network = build_network(method, len(pack.classes), recipe.options)
    network.epochs = recipe.epochs
    network.fit_to(pack.boxes[pack.labels >= 0], derived_seed(seed, 0, "fit"))
    network.train()
    taken = batches.take(batches.order(0), 0)
    images, boxes, labels = augment(taken, recipe.augmentation, seed, 0, batches)
    wide = copy.deepcopy(network).double()
    truth = whole_gradient(wide, images.double(), Targets(boxes.double(), labels), seed)
    networks = {way: prepared(network, way) for way in WAYS}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    gradients: dict[str, Tensor] = {}
    for _ in range(repeats):
        for way, trained in networks.items():
            layout = torch.contiguous_format if way == WAYS[0] else torch.channels_last
            placed = images.contiguous(memory_format=layout)
            start = time.process_time()
            gradient = whole_gradient(trained, placed, Targets(boxes, labels), seed)
            spent[way].append((time.process_time() - start) * 1000)
            gradients.setdefault(way, gradient)
    return [
        {
            "method": method.card.name,
            "seed": seed,
            "size_px": images.shape[-1],
            "batch": len(images),
            "way": way,
            "error": f"{float((gradient - truth).norm() / truth.norm()):.2e}",
            "cosine": f"{float(torch.cosine_similarity(gradient, truth, 0)):.4f}",
            "ms": round(statistics.median(spent[way]), 1),
            "processor": hardware_card()["cpu"],
        }
        for way, gradient in gradients.items()
    ]


def main() -> None:
    """Measure methods of a study, seed by seed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=5, help="of each way, for its time")
    parser.add_argument("--out", type=Path, required=True, help="table to write")
    default = "results/data/{dataset}/clean/split0/train@{size}.safetensors"
    parser.add_argument("--train", default=default, help="pack; {dataset} and {size} are filled in")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cells = cells_of(args.study)
    rows = []
    for name in args.methods:
        cell, _ = cells[name]
        pack = Path(args.train.format(dataset=cell.dataset, size=cell.budget.size))
        for seed in args.seeds:
            rows += measure(cell, pack, seed, args.repeats)
            for row in rows[-len(WAYS) :]:
                print(*row.values(), flush=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
