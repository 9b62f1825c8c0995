"""How a run learns and what it writes of itself: hooks of mmengine's runner."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from history import is_validated, rate, read_rows, write_rows
from mmengine.hooks import Hook

SCORES = {"val_map50": "coco/bbox_mAP_50", "val_map50_95": "coco/bbox_mAP"}


class Epochs(Hook):
    """Sets the rate of every step and makes a row of every epoch. Runs before checkpoints are saved.

    Draws depend on seed and epoch alone: an epoch after a restart is the one that it would have been.

    Args:
        settings: Those of the run.
        history: The file of rows.
    """

    priority = "LOW"

    def __init__(self, settings: dict[str, Any], history: Path) -> None:
        self.settings, self.history = settings, history

    def before_train(self, runner: Any) -> None:
        """Take up the clock where the run was left."""
        row = runner.message_hub.runtime_info.get("row") if runner.epoch else None
        self.start = time.perf_counter() - (json.loads(row)["seconds"] if row else 0.0)
        self.row = json.loads(row) if row else {}

    def before_train_epoch(self, runner: Any) -> None:
        """Seed by run and epoch."""
        seed = np.random.SeedSequence((self.settings["seed"], runner.epoch)).generate_state(1)
        random.seed(int(seed[0]))
        np.random.seed(int(seed[0]))  # noqa: NPY002 - mmdetection draws from it
        torch.manual_seed(int(seed[0]))
        self.losses: list[float] = []
        self.images = 0
        self.begun = time.perf_counter()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the rate."""
        per_epoch, epochs = len(runner.train_dataloader), self.settings["epochs"]
        base = self.settings["optimizer"]["lr"]
        self.rate = rate(self.settings["schedule"], base, runner.iter, per_epoch, epochs)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = self.rate

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the loss.

        Raises:
            FloatingPointError: It is not finite.
        """
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of step {runner.iter} is {loss}")
        self.losses.append(loss)
        self.images += len(data_batch["inputs"])

    def after_train_epoch(self, runner: Any) -> None:
        """Make the row; the checkpoint holds it too, for a run that ends before it is validated."""
        now = time.perf_counter()
        row = {
            "epoch": runner.epoch + 1,
            "loss": sum(self.losses) / len(self.losses),
            "lr": self.rate,
            "images_per_s": self.images / (now - self.begun),
            "seconds": now - self.start,
        }
        runner.message_hub.update_info("row", json.dumps(row))
        if not is_validated(self.settings, row["epoch"]):
            write_rows(self.history, [*read_rows(self.history), row])


class Scores(Hook):
    """Adds the scores of a validation to its epoch's row. Runs after checkpoints are saved.

    Args:
        settings: Those of the run.
        history: The file of rows.
    """

    priority = "LOWEST"

    def __init__(self, settings: dict[str, Any], history: Path) -> None:
        self.settings, self.history = settings, history

    def before_train(self, runner: Any) -> None:
        """Drop rows behind the checkpoint; validate it, for it was saved before its validation."""
        done = is_validated(self.settings, runner.epoch) and runner.epoch
        rows = [row for row in read_rows(self.history) if row["epoch"] < runner.epoch + (not done)]
        write_rows(self.history, rows)
        if done:
            runner.val_loop.run()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the row. A network that detects nothing at all has no metrics: its scores are 0."""
        row = json.loads(runner.message_hub.get_info("row"))
        scores = {name: max((metrics or {}).get(key, 0.0), 0.0) for name, key in SCORES.items()}
        write_rows(self.history, [*read_rows(self.history), {**row, **scores}])
