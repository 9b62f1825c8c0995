"""The command line of a training by the `yolo` program, on the packs of a tiny dataset."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "workflow" / "programs" / "train_ultralytics.py"


def command_line(dataset, out, network, changes=(), packed=64, **options):
    """``packed`` is the size of the packs, pixels; ``options`` are the command's beside its defaults here."""
    told = {"size": packed, "epochs": 1, "batch": 8, "threads": 1, "seed": 0, **options}
    told |= {p: dataset / "clean" / "split0" / f"{p}@{packed}.safetensors" for p in ("train", "val")}
    command = [sys.executable, str(PROGRAM), "--dataset-dir", str(dataset), "--protocol", "clean"]
    command += [f"--method=models/{network}_ultralytics", f"--network={network}.yaml"]
    command += [f"--{key}={value}" for key, value in told.items()]
    return [*command, *(f"--set={change}" for change in changes), "--out", str(out)]
