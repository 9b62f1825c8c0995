"""Seconds a step of a method on this machine, measured in the first moments of a training that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.devices import take_device
from ..base.methods import load_method
from ..base.settings import TrainingSettings
from ..data.pack import load_pack
from ..training.allocator import keep_freed_memory
from ..training.loop import train_step
from ..training.preparation import prepare
from ..training.sources import Sources
from .budget import Timing

WARM_STEPS = 1
STEPS = 6
ENOUGH_S = 4.0  # after which no further step is timed
START_S = 15.0  # of a process that imports torch, and of what a cell's rules take


def time_method(
    method: str, models_dir: Path, pack: Path, batch: int, recipe: Mapping[str, Any]
) -> tuple[Timing, int]:
    """Time the steps of a method.

    What is around a training is not run: it is taken as a start, and as four times what building the network took,
    which is nearest to an export.

    Args:
        method: Its name.
        models_dir: Folder of the methods.
        pack: The training part.
        batch: Images a step.
        recipe: Changes of its recipe, by dotted name.

    Returns:
        Its times, and the steps of an epoch.
    """
    keep_freed_memory()
    take_device("cpu", 1)
    started = time.monotonic()
    settings = TrainingSettings(
        seed=0, epochs=1000, batch=batch, threads=1, device="cpu", recipe=dict(recipe)
    )
    loaded = load_method(method, models_dir)
    with tempfile.TemporaryDirectory() as folder:
        run = prepare(load_pack(pack), loaded, settings, Sources(pack), Path(folder))
        built_s = time.monotonic() - started
        order = run.batches.order(0)
        per_epoch = run.batches.steps_per_epoch
        seconds: list[float] = []
        for number in range(WARM_STEPS + STEPS):
            started = time.monotonic()
            train_step(run, order, number % per_epoch, 0)
            run.progress.step += 1
            seconds.append(time.monotonic() - started)
            if sum(seconds) > ENOUGH_S and number >= WARM_STEPS:
                break
    timed = sorted(seconds[WARM_STEPS:])
    return Timing(method, timed[len(timed) // 2], START_S + 4 * built_s), per_epoch
