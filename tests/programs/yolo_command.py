"""The command line of a training by the `yolo` program, on the packs of a tiny dataset."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "workflow" / "programs" / "train_ultralytics.py"


def command_line(dataset, out, network="yolov8n", changes=(), packed=64, **options):
    """``packed`` is the size of the packs, pixels; ``options`` are settings beside the defaults here, ``changes`` those of the recipe."""
    told = json.dumps({"epochs": 1, "batch": 8, "threads": 1, "seed": 0, **options})
    parts = dataset / "clean" / "split0"
    packs = [f"--{p}={parts / f'{p}@{packed}.safetensors'}" for p in ("train", "val")]
    command = [sys.executable, str(PROGRAM), *packs, "--settings", told, "--out", str(out)]
    command += [f"--method=models/{network}_ultralytics", f"--network={network}.yaml"]
    return [*command, *(f"--set=recipe.{change}" for change in changes)]
