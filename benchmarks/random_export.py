"""Exports of methods with random weights, for what asks only how long they take."""

from pathlib import Path

import torch

from defectbench.base.methods import load_method
from defectbench.deploy.export import export_onnx

ROOT = Path(__file__).parents[1]


def export_random(name, nc, size, path):
    """Write the artifact of a method with weights and norms that no folding can drop."""
    method = load_method(name, ROOT / "models")
    assert method.module is not None
    torch.manual_seed(0)
    detector = method.module.build(nc, **method.recipe.options)
    for values in detector.state_dict().values():
        if values.dtype.is_floating_point and values.ndim == 1:
            values.add_(torch.rand_like(values) / 10)
    classes = [f"class{n}" for n in range(nc)]
    provenance = {"method": name, "dataset": "none", "protocol": "clean", "seed": 0}
    provenance["weights_sha256"] = "random"
    export_onnx(detector.eval().deploy(), size, path, classes, provenance)
