"""A fresh process that loads a model file, runs one image and prints its peak memory.

Run by ``measure.complexity``: ``python -m defectbench.measure.memory_worker MODEL THREADS``.
Prints ``[before loading, after the run]`` in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np

from ..deploy.runtime import open_artifact


def peak_mib() -> float:
    """Peak resident memory of this process, MiB.

    Linux hands ``ru_maxrss`` down from the process that started this one; its status file does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(
            line
            for line in status.read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM")
        )
        return int(peak.split()[1]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def main(path: str, threads: int) -> None:
    """Load, run and print."""
    before = peak_mib()
    artifact = open_artifact(path, threads)
    artifact.run(np.zeros((1, 3, artifact.size, artifact.size), np.float32))
    sys.stdout.write(json.dumps([before, peak_mib()]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
