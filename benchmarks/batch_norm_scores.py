"""What inexact moments of batch norm cost in validation scores: runs with either batch norm, seed by seed.

`benchmarks/gradient_accuracy.py` shows that the processor kernel of channels-last batch norm gives other gradients than
float64 does. Here is what that does to a score: the same cells, seeds, order of images and start, once with the exact
batch norm that training uses and once with the one of torch. One row a run.

    snakemake --cores 2 results/data/demo-steel/clean/split0/{train,val}@96.safetensors
    python benchmarks/batch_norm_scores.py config/demo.yaml --methods yolov4_thin yolo_fastestv2 yolox_nano \
        --seeds 0 1 2 3 4 --out results/reference/numerics/batch-norm-scores.csv
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from pathlib import Path
from unittest import mock

from defectbench.training import preparation
from seed_spread import cells_of, make_lacking, run

WAYS: dict[str, object] = {
    "exact": preparation.make_batch_norms_exact,
    "torch": lambda network: None,
}
KEYS = ("batch_norm", "method", "seed", "recipe_sha256", "processor")


def measure_with(prepare, measure):
    """A measured run whose batch norms are prepared in a way."""
    with mock.patch.object(preparation, "make_batch_norms_exact", prepare):
        return measure()


def main():
    """Train what the table lacks, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, required=True, help="table to append to")
    args = parser.parse_args()
    folder = "results/data/{dataset}/clean/split0/"
    parts = {part: folder + part + "@{size}.safetensors" for part in ("train", "val")}
    cells = cells_of(args.study)

    def runs():
        for seed, name, way in itertools.product(args.seeds, args.methods, WAYS):
            row, measure = run(*cells[name], seed, parts)
            yield {"batch_norm": way} | row, partial(measure_with, WAYS[way], measure)

    make_lacking(args.out, KEYS, runs())


if __name__ == "__main__":
    main()
