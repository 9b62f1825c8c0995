"""From the trained weights of a cell to its model file."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file

from ..base.errors import ArtifactError
from ..base.files import sha256_file
from ..base.methods import Method, build_network
from ..base.records import read_record
from ..data.pack import TILES, load_pack
from ..nn.trainable import Trainable
from .artifact import ArtifactInfo
from .counts import torch_counts
from .export import export_onnx
from .nms import NMS


def suppression_of(network: Trainable) -> dict[str, str]:
    """What the metadata says of a network's boxes: nothing where they are suppressed, as most are."""
    suppression = getattr(network, "suppression", NMS)
    return {} if suppression == NMS else {"suppression": suppression}


def export_run(run_dir: str | Path, method: Method, kind: str = "train") -> ArtifactInfo:
    """Export the trained weights of a cell: ``weights.safetensors`` to ``model.onnx``.

    Provenance comes from the record of what made the weights; fvcore's count and the number of parameters of the torch
    module go into the metadata, so that the count of the file can be checked against them.

    Args:
        run_dir: The cell's folder.
        method: The method that was trained there.
        kind: What made the weights and wrote the record beside them: ``train`` or ``prune``.

    Returns:
        What the file says of itself.

    Raises:
        ArtifactError: The weights are not those of the record, or their export fails.
    """
    folder = Path(run_dir)
    record, weights = read_record(folder / f"{kind}.json", kind), folder / "weights.safetensors"
    digest = sha256_file(weights)
    if digest != record["weights_sha256"]:
        raise ArtifactError(
            weights, "sha256", digest, f"make both again; {kind}.json is of other weights"
        )
    pack = load_pack(record["inputs"]["pack"]["path"], False, method.card.task)
    if method.module is None:
        raise ArtifactError(
            folder, "method", method.card.name, "its own program makes its model.onnx"
        )
    size = int(record["figures"]["size_px"])
    detector = build_network(method, len(pack.classes), record["recipe"]["options"])
    detector.load_state_dict(load_file(weights))
    deployed = detector.deploy()
    provenance = {
        "method": method.card.name,
        "dataset": pack.metadata["dataset"],
        "protocol": pack.metadata["protocol"],
        "seed": record["seed"],
        "weights_sha256": digest,
        **torch_counts(deployed, size),
        **suppression_of(detector),
        **({TILES: json.dumps(pack.whole.tiling)} if pack.whole is not None else {}),
    }
    return export_onnx(
        deployed, size, folder / "model.onnx", pack.classes, provenance, method.card.task
    )
