"""What would wait for a GPU: operations that ask a device for a value, seen on a processor as they are dispatched."""

import traceback
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[1]
# of the value itself, of a number of rows that the values decide, or of whether a computation went well
ASKING = {
    "_local_scalar_dense": "a value",
    "nonzero": "how many entries are true",
    "masked_select": "how many entries are true",
    "unique_consecutive": "how many values differ",
    "unique_dim": "how many values differ",
    "_unique2": "how many values differ",
    "equal": "a value",
    "bincount": "the largest value",
    "repeat_interleave": "the sum of the counts",
    "_linalg_check_errors": "whether a matrix has an inverse",
    "is_nonzero": "a value",
}
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
# made of Python's numbers and copied to the device, which pageable memory makes a wait of
MADE = ("lift_fresh",)


class Waits(TorchDispatchMode):
    """Notes each operation that would wait for a device, and the line of the project that asked for it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name.partition("::")[2]
        if self._waits(name, args):
            self.seen.append((name, _asker()))
        return func(*args, **(kwargs or {}))

    def _waits(self, name, args):
        if name in INDEXING:
            return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
        if name == "repeat_interleave":
            return isinstance(args[0], torch.Tensor) and len(args) == 1
        return name in ASKING or name in MADE


class Moves(TorchDispatchMode):
    """Notes each copy between two devices by the line of the project that made it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket._qualified_op_name.partition("::")[2]
        ends = {"_to_copy": (args[0], out), "copy_": args[:2]}.get(name)
        if ends and ends[0].device != ends[1].device:
            self.seen.append(_asker())
        return out


def _asker():
    """File and line of the project's code that is being run."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "tests"):
            return f"{path.relative_to(ROOT)}:{frame.lineno} {frame.line}"
    return "elsewhere"
