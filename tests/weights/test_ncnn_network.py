"""ncnn on a tiny graph that is known in every number."""

import numpy as np
import pytest

from defectbench.base.errors import WeightsError
from defectbench.weights.ncnn_network import NcnnNetwork, focus
from tests.weights.ncnn_files import param, weights

IDENTITY = "Convolution first 1 1 packed out 0=12 1=1 5=1 6=144"


@pytest.fixture
def files(tmp_path):
    layers = ["Input data 0 1 data", "YoloV5Focus focus 1 1 data packed", IDENTITY]
    (tmp_path / "net.param").write_text(param(layers))
    (tmp_path / "net.bin").write_bytes(weights(np.eye(12), np.full(12, 0.5)))
    return tmp_path / "net.param", tmp_path / "net.bin"


def test_focus_orders_pixels_by_column_first():
    image = np.arange(4, dtype=np.float32).reshape(1, 2, 2)  # 0 1 / 2 3
    assert focus(image).ravel().tolist() == [0, 2, 1, 3]


def test_a_graph_with_focus_runs(files):
    network = NcnnNetwork(*files)
    for seed in range(3):  # layers of Python must outlive the call that made them
        image = np.random.default_rng(seed).random((3, 8, 6), np.float32)
        packed, out = network(image, "data", ["packed", "out"])
        assert packed.shape == (12, 4, 3)
        assert np.array_equal(packed, focus(image))
        assert np.allclose(out, packed + 0.5, atol=1e-6)


def test_blobs_that_are_not_there_are_named(files):
    network = NcnnNetwork(*files)
    image = np.zeros((3, 4, 4), np.float32)
    with pytest.raises(WeightsError, match="input: got 'images'"):
        network(image, "images", ["out"])
    with pytest.raises(WeightsError, match="blob: got 'scores'"):
        network(image, "data", ["scores"])
