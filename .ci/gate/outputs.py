"""Whether a model file computes what the trained weights compute: the same images through both, number by number.

Scores tell of an export only as much as they move; a network that has hardly learnt hides a great deal. Outputs hide
nothing: a lost layer, mixed up classes, moved boxes and scaled scores all stand there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from defectbench.base.compressions import base_method
from defectbench.base.methods import load_method
from defectbench.deploy.runtime import DetectorModel, open_artifact
from defectbench.training.start import read_start, trained_network

IMAGES = 2
# Folding and another runtime round differently; the sound cells of all thirteen methods of the default study agreed to
# 1e-5 of a probability and 5e-4 of a pixel on one processor.
PROBABILITIES = 1e-3
PIXELS = 0.05
RELATIVE = 1e-3  # of what is far from 0, such as boxes of priors that mean nothing


def check_outputs(folder: Path, method: str, models: Path = Path("models")) -> None:
    """The file's outputs are those of the trained weights beside it.

    Args:
        folder: A cell that the engine trained: ``model.onnx``, ``weights.safetensors``, ``train.json``.
        method: Its method, compressed or not.
        models: Folder of the methods.

    Raises:
        AssertionError: They differ.
    """
    engine = open_artifact(folder / "model.onnx")
    trained = load_method(base_method(method), models)
    network = trained_network(
        read_start(folder / "weights.safetensors"), trained, len(engine.classes)
    )
    images = _images(engine.size)
    with torch.inference_mode():
        expected = network.deploy()(torch.from_numpy(images))
    seen = engine(images)
    bounds = {"boxes": PIXELS, "scores": PROBABILITIES}
    if not isinstance(engine, DetectorModel):
        expected, seen, bounds = (expected,), (seen,), {"probabilities": PROBABILITIES}
    for (name, bound), wanted, got in zip(bounds.items(), expected, seen, strict=True):
        values = wanted.float().numpy()
        apart = np.abs(values - got) - RELATIVE * np.abs(values)
        assert apart.max() <= bound, (
            f"{method}: the export is not what was trained: {name} of model.onnx lie up to {apart.max():.3g} from "
            f"those of its weights, {bound} allowed"
        )


def _images(size: int) -> np.ndarray:
    """Smooth images [N, 3, S, S] in 0..1, the same always: a coarse pattern, enlarged, with a little grain."""
    draw = np.random.default_rng(0)
    coarse = draw.random((IMAGES, 3, 8, 8), dtype=np.float32)
    steps = (np.arange(size) * 8) // size
    grain = draw.random((IMAGES, 3, size, size), dtype=np.float32)
    return 0.8 * coarse[:, :, steps][:, :, :, steps] + 0.2 * grain
