"""Fixed pieces of work, timed in turn with what is measured, so that a ratio to them travels between machines.

One is of torch's arithmetic, one of Python's own objects: a machine may be fast at one and slow at the other. Time is
that of the processor: a load takes turns away, and these do not count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

QUANTILE = 0.25  # what else happens makes calls slower, never faster


def arithmetic() -> None:
    """Convolutions of a batch of small images, forwards and backwards."""
    weight = torch.full((16, 16, 3, 3), 0.01, requires_grad=True)
    images = torch.ones(4, 16, 32, 32)
    for _ in range(4):
        images = F.silu(F.conv2d(images, weight, padding=1))
    images.sum().backward()


def objects() -> None:
    """Rows of a table, made, sorted, written and read again."""
    rows = [
        {"name": f"row {n}", "value": (n * 7919) % 1000, "tags": [n, n + 1]} for n in range(1500)
    ]
    rows.sort(key=lambda row: (row["value"], row["name"]))
    assert len(json.loads(json.dumps(rows))) == len(rows)


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call, all threads together."""
    start = time.process_time()
    call()
    return time.process_time() - start


def ratio_to(
    work: Callable[[], object], call: Callable[[], object], calls: int, pieces: int = 1
) -> float:
    """Time of a call over that of a fixed piece of work.

    Args:
        work: The piece of work.
        call: What is measured.
        calls: How often; a first one warms up.
        pieces: Pieces of work between two calls.
    """
    torch.set_num_threads(1)

    def worked() -> None:
        for _ in range(pieces):
            work()

    turns = np.array([(seconds(call), seconds(worked) / pieces) for _ in range(calls + 1)])[1:]
    first, second = np.quantile(turns, QUANTILE, axis=0)
    return float(first / second)
