"""torch: the trained network itself, as its method builds it, in float32; on a GPU where there is one.

A folder holds the model: ``weights.safetensors``, those that the artifact was exported from, and ``signature.json``:
the artifact's metadata, the method's folder, the options that build the network, and the hash of all code that does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ...base.code import code_sha256
from ...base.errors import ArtifactError, ConfigError, DefectBenchError, UnsupportedError
from ...base.files import atomic_directory, atomic_write_json, sha256_file
from ...base.methods import build_network, load_card, load_method
from ...base.records import read_record
from ..artifact import load_model, read_metadata, validate_artifact
from ..runtime import Images, engine_refusal

WEIGHTS, SIGNATURE, RECORD = "weights.safetensors", "signature.json", "train.json"
Network = Callable[[Tensor], Tensor | tuple[Tensor, ...]]  # images to the artifact's outputs
Way = Callable[[nn.Module], Network]  # from the deployed network to what is called


def convert(
    model_path: str | Path, folder: str | Path, precision: str, method: Path | None = None
) -> None:
    """Gather what an artifact was exported from: weights, options, code.

    Args:
        model_path: The artifact, with its weights and the record of its training beside it.
        folder: The folder to make.
        precision: ``fp32``.
        method: Folder of the method that was trained, ``models/<method>``.

    Raises:
        UnsupportedError: The method is a program of its own: there is no network of the suite.
        ArtifactError: The artifact breaks its signature, or was exported from other weights.
        ConfigError: The method's folder is not given or is another one's, or the record of the training is missing.
    """
    path = Path(model_path)
    validate_artifact(path)
    model = load_model(path)
    metadata = read_metadata(model)
    if method is None:
        fix = f"torch runs the network itself: --method models/{metadata['method']}"
        raise ConfigError("--method", "folder", None, fix)
    card = load_card(method)
    if card.name != metadata["method"]:
        fix = f"{path} says that it is of {metadata['method']}"
        raise ConfigError("--method", "name", card.name, fix)
    if card.family != "engine":
        fix = "time this method in another engine"
        raise UnsupportedError(path, "network", "not of the suite's engine", fix)
    weights = path.with_name(WEIGHTS)
    _check_weights(weights, metadata["weights_sha256"])
    signature = {
        "metadata": metadata,
        "outputs": [value.name for value in model.graph.output],
        "precision": precision,
        "method": Path(os.path.relpath(method)).as_posix(),
        "options": read_record(path.with_name(RECORD), "train")["recipe"]["options"],
        "code_sha256": code_sha256(method),
    }
    with atomic_directory(Path(folder)) as part:
        (part / WEIGHTS).write_bytes(weights.read_bytes())
        atomic_write_json(part / SIGNATURE, signature)


def _check_weights(weights: Path, expected: str) -> None:
    """The artifact was exported from these weights."""
    if not weights.is_file():
        raise ArtifactError(weights, "file", "nothing", "run the method's rule first")
    digest = sha256_file(weights)
    if digest != expected:
        fix = f"the model file beside them was exported from {expected}: make both again"
        raise ArtifactError(weights, "sha256", digest, fix)


class TorchSession:
    """A network that torch holds open.

    Args:
        folder: Its weights.
        signature: What the artifact says of itself, and what builds the network.
        threads: Threads of torch.
        way: What is called in place of the deployed network, such as its compiled form.

    Attributes:
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, folder: Path, signature: dict[str, Any], threads: int, way: Way) -> None:
        self.metadata: dict[str, str] = signature["metadata"]
        self.outputs: list[str] = signature["outputs"]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # float32 is float32
        method = Path(signature["method"])
        loaded = load_method(method.name, method.parent)
        classes = len(json.loads(self.metadata["names"]))
        network = build_network(loaded, classes, signature["options"])
        network.load_state_dict(load_file(folder / WEIGHTS))
        self.network = way(network.deploy().eval().to(self.device))

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(images).to(self.device))
            parts = outputs if isinstance(outputs, tuple) else (outputs,)
            return [part.cpu().numpy() for part in parts]


def eager(network: nn.Module) -> Network:
    """The network as it is, operator by operator."""
    return network


def open_session(folder: Path, threads: int, way: Way = eager) -> TorchSession:
    """Open a folder of a network.

    Args:
        folder: The folder.
        threads: Threads of torch.
        way: What is called in place of the deployed network.

    Raises:
        ArtifactError: A file is missing or damaged, or the code is no longer that which the folder was made with.
        ConfigError: The method's folder is gone.
        DeviceMemoryError: The device has no room.
    """
    for file in (WEIGHTS, SIGNATURE):
        if not (folder / file).is_file():
            raise ArtifactError(folder / file, "file", "nothing", "convert the model first")
    try:
        signature = json.loads((folder / SIGNATURE).read_text(encoding="utf-8"))
        _check_code(folder, signature)
        return TorchSession(folder, signature, threads, way)
    except DefectBenchError:
        raise
    except Exception as error:  # what torch and a method raise shares no root
        raise engine_refusal(folder, "torch", error) from error


def _check_code(folder: Path, signature: dict[str, Any]) -> None:
    """The network is built by the code that it was converted with."""
    method = Path(signature["method"])
    if not method.is_dir():
        fix = "start in the folder that holds it, or convert the model again"
        raise ConfigError(folder / SIGNATURE, "method", signature["method"], fix)
    seen = code_sha256(method)
    if seen != signature["code_sha256"]:
        fix = f"it was made with {signature['code_sha256']}: convert the model again"
        raise ArtifactError(folder / SIGNATURE, f"sha256 of the code of {method}", seen, fix)
