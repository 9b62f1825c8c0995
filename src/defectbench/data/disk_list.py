"""Arrays of any shape in one temporary file: a set's pictures need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray


class DiskList(Sequence[NDArray[Any]]):
    """Arrays of one type that lie in a file and are mapped, read only, when asked for.

    Args:
        path: Where to write them.
        arrays: The arrays, taken one by one.
        dtype: Type of their elements.
    """

    def __init__(self, path: Path, arrays: Iterable[NDArray[Any]], dtype: DTypeLike) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._first = [0]
        with path.open("wb") as file:
            for array in arrays:
                np.ascontiguousarray(array, dtype).tofile(file)
                self.shapes.append(array.shape)
                self._first.append(self._first[-1] + array.size)
        empty = self._first[-1] == 0
        self._all = np.zeros(0, dtype) if empty else np.memmap(path, dtype, mode="r")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.shapes)

    @overload
    def __getitem__(self, row: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, row: slice) -> list[NDArray[Any]]: ...

    def __getitem__(self, row: int | slice) -> NDArray[Any] | list[NDArray[Any]]:
        """The array, or the arrays of a range."""
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        flat = np.asarray(self._all[self._first[row] : self._first[row + 1]])
        return flat.reshape(self.shapes[row])
