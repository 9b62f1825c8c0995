"""What the foreign program's process needs around it; Python runs this file before the program.

Four things, for a process that has this folder on its PYTHONPATH:

- it reaches no other machine: an attempt is refused, and named in the file $REFUSED_CONNECTIONS;
- it ends with the process that started it, so that two runs never work in one folder;
- it computes with the $OMP_NUM_THREADS threads that it was given; by itself it takes one fewer than
  the machine has processors;
- torchvision built for CUDA imports beside a torch built for the processor. Such a torchvision lacks
  its library, hence its one operator that detection calls, non-maximum suppression. That one is
  declared here, in plain torch. Where torchvision's own library loads, nothing is done.
"""

import ctypes
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from pathlib import Path

SET_PARENT_DEATH_SIGNAL = 1
LOCAL = ("127.0.0.1", "::1", "localhost", "", None)


def refuse_network(event, arguments):
    """Audit hook: raise on every connection and name look-up beyond this machine."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in LOCAL:
        log = os.environ.get("REFUSED_CONNECTIONS")
        if log:
            with open(log, "a", encoding="utf-8") as lines:  # noqa: PTH123 - pathlib may not be whole this early
                lines.write(f"{event} {host}\n")
        raise PermissionError(f"{event} {host}: this process stays offline")


def follow_parent():
    """Ask the kernel to end this process when its parent ends; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def state_processors():
    """State one processor more than the threads that are asked for, which is what the program takes."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit():
        os.cpu_count = lambda: int(threads) + 1


def suppress(boxes, scores, threshold):
    """Non-maximum suppression as torchvision defines it.

    Args:
        boxes: [P, 4], x0 y0 x1 y1.
        scores: [P].
        threshold: Boxes that overlap a better one by more are dropped.

    Returns:
        int64 indices of the kept boxes, by descending score.
    """
    import torch

    order = torch.argsort(scores, descending=True, stable=True)
    left, top, right, bottom = boxes.detach()[order].T.numpy()
    area = (right - left) * (bottom - top)
    import numpy as np

    rest, kept = np.arange(len(order)), []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        high = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        shared = wide.clip(0) * high.clip(0)
        union = area[best] + area[rest] - shared
        rest = rest[shared <= threshold * union]
    return order[torch.as_tensor(np.asarray(kept, np.int64))]


def declare_missing_operator(folder):
    """Declare the operator if torchvision's own library does not load; say whether it was done."""
    import torch

    for library in sorted(folder.glob("_C*.so")):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return False
    if torch.version.cuda or torch.version.hip:
        return False  # a real mismatch of a GPU build: torchvision itself reports it
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    declared = torch.library.Library("torchvision", "FRAGMENT")
    declared.define(f"nms{signature}")
    declared.define(f"qnms{signature}")
    declared.impl("nms", suppress, "CPU")
    declare_missing_operator.kept = declared  # its end would end the declaration
    return True


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds torchvision as usual, and prepares for it what it lacks."""

    def find_spec(self, name, path=None, target=None):
        """Give torchvision's own spec, with a loader that makes its operator first."""
        if name != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or spec.origin is None:
            return None
        load, folder = spec.loader.exec_module, Path(spec.origin).parent

        def exec_module(module):
            declared = declare_missing_operator(folder)
            load(module)
            if declared:
                sys.modules["torchvision.ops.boxes"]._assert_has_ops = lambda: None

        spec.loader.exec_module = exec_module
        return spec


sys.addaudithook(refuse_network)
follow_parent()
state_processors()
sys.meta_path.insert(0, TorchvisionFinder())
