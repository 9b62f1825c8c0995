"""ncnn, which runs a published network as its authors meant it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import WeightsError
from .graph import WHOLE

Array = NDArray[np.float32]
FOCUS = "YoloV5Focus"  # a layer that stock ncnn lacks


class NcnnNetwork:
    """A network of ncnn on one thread of the processor, in float32 throughout.

    Args:
        param: Its graph.
        weights: Its weights.

    Raises:
        WeightsError: ncnn is not installed or cannot load the files.
    """

    def __init__(self, param: str | Path, weights: str | Path) -> None:
        ncnn = _ncnn()
        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = 1
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        options.use_winograd_convolution = False  # quicker, and twice as far off
        self._layers: list[Any] = []  # ncnn keeps no reference to layers of Python
        self.net.register_custom_layer(FOCUS, self._focus, self._layers.remove)
        for load, file in ((self.net.load_param, param), (self.net.load_model, weights)):
            status = load(str(file))
            if status != 0:
                raise WeightsError(file, "ncnn's status", status, WHOLE)

    def __call__(self, image: Array, input_name: str, names: Sequence[str]) -> list[Array]:
        """Run one image.

        Args:
            image: float32 [C, H, W], as the network wants it.
            input_name: Blob that it goes to.
            names: Blobs to return.

        Returns:
            Each blob, float32 [C, H, W].

        Raises:
            WeightsError: There is no such blob.
        """
        ncnn = _ncnn()
        given = np.ascontiguousarray(image)
        mat = ncnn.Mat(given)  # a view: `given` must outlive it
        extractor = self.net.create_extractor()
        extractor.set_light_mode(False)  # keeps maps within the graph
        if extractor.input(input_name, mat) != 0:
            raise WeightsError("ncnn", "input", input_name, "name a blob of the graph")
        blobs = []
        for name in names:
            status, blob = extractor.extract(name)
            if status != 0:
                raise WeightsError("ncnn", "blob", name, "name a blob of the graph")
            blobs.append(np.array(blob))
        return blobs

    def _focus(self) -> Any:
        self._layers.append(_focus_layer())
        return self._layers[-1]


def focus(image: Array) -> Array:
    """Each 2x2 pixels as channels: top left, bottom left, top right, bottom right.

    Args:
        image: [C, H, W] of even sides.

    Returns:
        [4C, H / 2, W / 2].
    """
    corners = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return np.ascontiguousarray(np.concatenate(corners))


def _focus_layer() -> Any:
    ncnn = _ncnn()

    class Focus(ncnn.Layer):
        def __init__(self) -> None:
            ncnn.Layer.__init__(self)
            self.one_blob_only = True

        def forward(self, bottom: Any, top: Any, options: Any) -> int:
            corners = focus(np.array(bottom))
            top.clone_from(ncnn.Mat(corners), options.blob_allocator)
            return -100 if top.empty() else 0

    return Focus()


def _ncnn() -> Any:
    try:
        import ncnn
    except ImportError as error:
        fix = "install it with: pip install 'defectbench[weights]'"
        raise WeightsError("ncnn", "package", str(error), fix) from error
    return ncnn


def ncnn_version() -> str:
    """Version of the package."""
    return version("ncnn")
