"""What needs nothing but Python: the rate of a step, the rows of a history."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def rate(schedule: dict[str, Any], base: float, step: int, per_epoch: int, epochs: int) -> float:
    """Learning rate of a step, as the engine defines a recipe's schedule."""
    total = per_epoch * epochs
    steps = schedule["warmup_steps"] or round(schedule["warmup_epochs"] * per_epoch)
    warmup = min(steps, total // 10)
    if step < warmup:
        low = schedule["warmup_ratio"]
        return base * (low + (1 - low) * step / warmup)
    if schedule["kind"] == "constant":
        return base
    done = step // per_epoch / epochs if schedule["per"] == "epoch" else step / total
    left = 1 - done if schedule["kind"] == "linear" else (1 + math.cos(math.pi * done)) / 2
    low = schedule["min_lr_ratio"]
    return base * (low + (1 - low) * left)


def is_validated(settings: dict[str, Any], epoch: int) -> bool:
    """Whether a validation follows an epoch."""
    return epoch % settings["validate_every"] == 0 or epoch == settings["epochs"]


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a history, one an epoch."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.is_file()
        else []
    )


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Write a history whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
