"""ncnn on the processor: files of its own, made of the artifact by pnnx; one image at a time.

A folder holds the model: ``model.param``, ``model.bin`` and ``signature.json``, what the artifact's metadata say.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...base.errors import ArtifactError, ProgramError, UnsupportedError
from ...base.files import atomic_directory, atomic_write_json
from ..artifact import load_model, read_metadata, validate_artifact
from ..runtime import Images, engine_refusal
from .ncnn_graph import fit_for_ncnn

ncnn: Any = importlib.import_module("ncnn")  # a compiled module that tells no types

PARAM, BIN, SIGNATURE = "model.param", "model.bin", "signature.json"
CHOICES = ("TopK", "GatherElements")  # operators that take entries by numbers found in the graph
_OPTIONS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")


def convert(model_path: str | Path, folder: str | Path, precision: str) -> None:
    """Make ncnn's files of an artifact.

    Args:
        model_path: The artifact.
        folder: The folder to make.
        precision: ``fp32``, or ``fp16``: weights and maps are stored in 16 bits.

    Raises:
        UnsupportedError: ncnn lacks an operator of the graph; names it.
        ArtifactError: The file breaks the artifact signature, or the converted one answers otherwise.
        ProgramError: pnnx failed.
    """
    info = validate_artifact(model_path)
    model = load_model(model_path)
    signature = {
        "metadata": read_metadata(model),
        "outputs": [value.name for value in model.graph.output],
        "precision": precision,
        "points": info.points,
    }
    _refuse_choices(Path(model_path), model)
    with tempfile.TemporaryDirectory() as name:
        param, weights = _run_pnnx(Path(model_path), model, Path(name), info.size, precision)
        _check_operators(Path(model_path), param)
        with atomic_directory(Path(folder)) as part:
            (part / PARAM).write_bytes(param.read_bytes())
            (part / BIN).write_bytes(weights.read_bytes())
            atomic_write_json(part / SIGNATURE, signature)


def convert_network(model_path: str | Path, folder: str | Path, size: int) -> None:
    """Make ncnn's graph and weights of a network that is no artifact, such as the reference model.

    Args:
        model_path: An ONNX file with one input ``images`` [1,3,S,S].
        folder: The folder to make.
        size: Side of the input, pixels.

    Raises:
        ProgramError: pnnx failed.
    """
    with tempfile.TemporaryDirectory() as name:
        network = onnx.load(str(model_path))
        param, weights = _run_pnnx(Path(model_path), network, Path(name), size, "fp32")
        with atomic_directory(Path(folder)) as part:
            (part / PARAM).write_bytes(param.read_bytes())
            (part / BIN).write_bytes(weights.read_bytes())


def _run_pnnx(
    path: Path, model: onnx.ModelProto, folder: Path, size: int, precision: str
) -> tuple[Path, Path]:
    """What pnnx makes of a graph: its layers and their weights."""
    onnx.save_model(fit_for_ncnn(model), str(folder / "model.onnx"))
    package = find_spec("pnnx")
    assert package is not None
    assert package.submodule_search_locations
    program = Path(package.submodule_search_locations[0]) / "pnnx"
    told = [f"inputshape=[1,3,{size},{size}]f32", f"fp16={int(precision == 'fp16')}"]
    run = subprocess.run(
        [str(program), "model.onnx", *told],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    made = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if run.returncode or not all(file.is_file() for file in made):
        last = (run.stderr.strip() or run.stdout.strip() or "no word").splitlines()[-1]
        fix = "run pnnx on the file by itself to see all that it says"
        raise ProgramError(path, "pnnx", f"exit {run.returncode}: {last}", fix)
    return made


def _refuse_choices(path: Path, model: onnx.ModelProto) -> None:
    """Ncnn takes no entries by numbers that the graph itself finds, and pnnx ends in a crash on some graphs that do."""
    found = [node.op_type for node in model.graph.node if node.op_type in CHOICES]
    if found:
        fix = "ncnn has no such operator; time this method in another engine"
        raise UnsupportedError(path, "ncnn operator", ", ".join(dict.fromkeys(found)), fix)


def _check_operators(path: Path, param: Path) -> None:
    """All layers are ncnn's own: pnnx writes what it could not translate under torch's name."""
    layers = [line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:]]
    unknown = [name for name in dict.fromkeys(layers) if not _is_layer(name)]
    if unknown:
        fix = "ncnn has no such operator; time this method in another engine"
        raise UnsupportedError(path, "ncnn operator", ", ".join(unknown), fix)


def _is_layer(name: str) -> bool:
    return "." not in name and ncnn.layer_to_index(name) != -1


class NcnnSession:
    """A model that ncnn holds open.

    Args:
        folder: Its files.
        signature: What the artifact says of itself.
        threads: Threads of the engine.
    """

    def __init__(self, folder: Path, signature: dict[str, Any], threads: int) -> None:
        self.metadata: dict[str, str] = signature["metadata"]
        self.outputs: list[str] = signature["outputs"]
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for option in _OPTIONS:
            setattr(self.net.opt, option, signature["precision"] == "fp16")
        for load, file in ((self.net.load_param, PARAM), (self.net.load_model, BIN)):
            if load(str(folder / file)):
                fix = "convert the model again"
                raise ArtifactError(folder / file, "ncnn", "not a file that it reads", fix)

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1, one after the other; return the outputs in their order."""
        answers = [self.run_image(image) for image in images]
        return [np.stack(parts) for parts in zip(*answers, strict=True)]

    def run_image(self, image: Images) -> list[Images]:
        """Run an image [3,S,S] in 0..1; return the outputs in their order."""
        extractor = self.net.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        answers = []
        for n in range(len(self.outputs)):
            code, values = extractor.extract(f"out{n}")
            if code:
                raise RuntimeError(f"ncnn gives no output {self.outputs[n]}: code {code}")
            answers.append(np.array(values))
        return answers


def open_session(folder: Path, threads: int) -> NcnnSession:
    """Open a folder of ncnn's files.

    Raises:
        ArtifactError: A file is missing, or ncnn refuses it.
    """
    for file in (PARAM, BIN, SIGNATURE):
        if not (folder / file).is_file():
            raise ArtifactError(folder / file, "file", "nothing", "convert the model first")
    try:
        signature = json.loads((folder / SIGNATURE).read_text(encoding="utf-8"))
        return NcnnSession(folder, signature, threads)
    except ArtifactError:
        raise
    except Exception as error:  # ncnn's errors share no public root
        raise engine_refusal(folder, "ncnn", error) from error
