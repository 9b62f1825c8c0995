"""A process that keeps freed memory does not map it again."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from defectbench.training.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    print("no glibc"); sys.exit()
for _ in range(8):
    torch.ones(1 << 24)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    ).stdout.strip()
    if out == "no glibc":
        pytest.skip("the C library is not glibc")
    return int(out)


def test_kept_memory_is_not_mapped_again():
    assert faults("keep") < 0.3 * faults("give back")
