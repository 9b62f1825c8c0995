"""The noise of training that reports of one seed name, from the spread of the default study over seeds.

Makes `src/defectbench/report/training_noise.csv` from `results/reference/demo-spread/spread.csv`, which
`benchmarks/seed_spread.py` measured; a test holds the two together. Runs whose first weights were moved are left out,
and so are those of a second processor, which has the same seeds.

    python benchmarks/training_noise.py
"""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path
from statistics import stdev

from defectbench.report.training_noise import MEASURED, Noise

SPREAD = Path(__file__).parents[1] / "results" / "reference" / "demo-spread" / "spread.csv"
# By task: the set of the default study, the figure of the report, and the column that has it.
FIGURES = {
    "detection": ("demo-steel", "map50", "val_map50"),
    "classification": ("demo-steel-cls", "accuracy", "val_score"),
}


def noise_of_spread(lines):
    """Of each method with several seeds, the standard deviation over them."""
    first = {}
    for line in lines:
        first.setdefault(line["method"], line["processor"])
    kept = [
        line
        for line in lines
        if line["moved"] == "0" and line["processor"] == first[line["method"]]
    ]
    kept.sort(key=lambda line: (line["task"], line["method"]))
    noises = []
    for (task, method), group in groupby(kept, key=lambda line: (line["task"], line["method"])):
        dataset, figure, column = FIGURES[task]
        values = [float(line[column]) for line in group]
        if len(values) > 1:
            noises.append(Noise(dataset, method, figure, len(values), round(stdev(values), 5)))
    return noises


def read_spread():
    """Lines of the measured spread."""
    with SPREAD.open(newline="") as handle:
        return list(csv.DictReader(handle))


def main():
    """Write the table."""
    with MEASURED.open("w", newline="") as handle:
        names = [field.name for field in fields(Noise)]
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(noise) for noise in noise_of_spread(read_spread()))


if __name__ == "__main__":
    main()
