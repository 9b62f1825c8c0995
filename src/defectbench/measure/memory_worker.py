"""A fresh process that loads a model file, runs one image and prints its peak memory.

Run by ``measure.complexity``: ``python -m defectbench.measure.memory_worker MODEL THREADS``.
Prints ``[before loading, after the run]`` in MiB.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np

from ..deploy.runtime import OnnxDetector


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main(path: str, threads: int) -> None:
    """Load, run and print."""
    before = _peak_mib()
    detector = OnnxDetector(path, threads)
    detector(np.zeros((1, 3, detector.size, detector.size), np.float32))
    sys.stdout.write(json.dumps([before, _peak_mib()]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
