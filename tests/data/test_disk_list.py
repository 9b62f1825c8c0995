import numpy as np
import pytest

from defectbench.data.disk_list import DiskList


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = [np.arange(6.0).reshape(2, 3), np.ones((1, 1)), np.zeros((0, 4))]
    kept = DiskList(tmp_path / "list", iter(arrays), np.float32)
    assert len(kept) == 3
    assert all(np.array_equal(a, b) for a, b in zip(kept, arrays, strict=True))
    assert np.array_equal(kept[-2], arrays[1])
    assert [part.shape for part in kept[1:]] == [(1, 1), (0, 4)]
    with pytest.raises(IndexError):
        kept[3]


def test_an_empty_list(tmp_path):
    assert list(DiskList(tmp_path / "list", [], np.uint8)) == []
