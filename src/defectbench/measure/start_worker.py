"""A fresh process that loads an engine and a model file and runs one image: how long each takes, and the memory.

Run by ``measure.starts``: ``python -m defectbench.measure.start_worker ENGINE MODEL THREADS``. It imports nothing
before the engine but numpy, so that the time and the memory of the engine are its own. Prints JSON: ``import_ms``,
``open_ms``, ``first_image_ms``; peaks of memory in MiB: ``bare`` before the engine, ``engine`` with it, ``ready``
before the model is opened, ``answered`` after the image.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def peak_mib() -> float:
    """Peak resident memory of this process, MiB.

    Linux hands ``ru_maxrss`` down from the process that started this one; its status file does not.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []  # another kernel
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def library_of(engine: str) -> str:
    """The library that an engine is imported by: its name, or what stands before a way of running it.

    Example:
        >>> library_of("openvino"), library_of("torch_compiled")
        ('openvino', 'torch')
    """
    return engine.partition("_")[0]


def start(engine: str, path: str, threads: int) -> dict[str, float]:
    """Import the engine, open the model, run an image; what each took."""
    marks = [peak_mib()]
    times = [time.perf_counter()]
    importlib.import_module(library_of(engine))
    times.append(time.perf_counter())
    marks.append(peak_mib())
    # what this package is made of, and what it imports to open a model, is no cost of the engine
    engines = importlib.import_module("..deploy.engines", __package__)
    engines.import_engine(engine)
    marks.append(peak_mib())
    before = time.perf_counter()
    model = engines.load_engine(engine, path, threads)
    image = np.full((1, 3, model.size, model.size), 0.5, np.float32)
    opened = time.perf_counter()
    model.run(image)
    answered = time.perf_counter()
    marks.append(peak_mib())
    return {
        "import_ms": 1e3 * (times[1] - times[0]),
        "open_ms": 1e3 * (opened - before),
        "first_image_ms": 1e3 * (answered - opened),
        **dict(zip(("bare", "engine", "ready", "answered"), marks, strict=True)),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
