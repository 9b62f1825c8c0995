"""TensorRT on an NVIDIA GPU: a plan of its own, built for one GPU and one version of it; 10.x and 11.x.

A folder holds the model: ``model.plan`` and ``signature.json``, what the artifact's metadata say and what the plan was
built of, for and by. Building takes minutes, so that plans are kept in a cache under all that decides about them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...base.errors import (
    ArtifactError,
    ConfigError,
    DefectBenchError,
    ProgramError,
    UnsupportedError,
)
from ...base.files import atomic_directory, atomic_path, atomic_write_json, sha256_file
from ...base.memory import is_out_of_memory, memory_refusal
from ..artifact import load_model, read_metadata, validate_artifact
from ..runtime import Images, engine_refusal
from . import packages, trtexec
from .gpu import Gpu, find_gpu
from .tensorrt_graph import fit_for_tensorrt

PLAN, SIGNATURE = "model.plan", "signature.json"
WORKSPACE_MIB = 1024
BATCHES = (1, 1, 16)  # fewest, usual and most images of a call: the optimisation profile
CACHE = "DEFECTBENCH_CACHE"  # names a folder in the place of the user's own
_AGAIN = (
    "a plan runs on the GPU and by the version that it was built for: "
    "build it again here, defectbench convert-model"
)


@dataclass(frozen=True)
class Identity:
    """What decides about a plan.

    Attributes:
        source_sha256: Of the model file.
        graph_sha256: Of the graph as TensorRT reads it, which code of this package makes of the file.
        gpu: Name of the GPU.
        compute_capability: Its generation.
        tensorrt: Version of TensorRT.
        precision: Arithmetic of the file.
        workspace_mib: What the builder may use, MiB.
        batches: Fewest, usual and most images of a call.
    """

    source_sha256: str
    graph_sha256: str
    gpu: str
    compute_capability: str
    tensorrt: str
    precision: str
    workspace_mib: int = WORKSPACE_MIB
    batches: tuple[int, int, int] = BATCHES

    @property
    def key(self) -> str:
        """Name of the plan in the cache."""
        told = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def cache_folder() -> Path:
    """Where plans are kept."""
    named = os.environ.get(CACHE)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named or Path(home) / "defectbench") / "tensorrt"


def convert(model_path: str | Path, folder: str | Path, precision: str) -> None:
    """Build a plan, or take it from the cache.

    Args:
        model_path: The artifact; of ``int8`` the quantised one.
        folder: The folder to make.
        precision: ``fp32``, ``fp16`` or ``int8``.

    Raises:
        UnsupportedError: TensorRT lacks an operator of the graph; names it.
        ArtifactError: The file breaks the artifact signature, or does not belong to the precision.
        ProgramError: The builder failed.
        DeviceMemoryError: The GPU has no room. Nothing half written stays behind.
        ConfigError: There is no GPU, or TensorRT does not start.
    """
    path = Path(model_path)
    info, model = validate_artifact(path), load_model(path)
    graph = fit_for_tensorrt(model, precision, path)
    gpu = _gpu_here()
    read = hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()
    identity = Identity(
        sha256_file(path), read, gpu.name, gpu.compute_capability, version_here(), precision
    )
    kept = cache_folder() / f"{identity.key}.plan"
    if not kept.is_file():
        _build(graph, path, info.size, identity, kept)
    signature = {
        "metadata": read_metadata(model),
        "outputs": [value.name for value in model.graph.output],
        **asdict(identity),
    }
    with atomic_directory(Path(folder)) as part:
        shutil.copyfile(kept, part / PLAN)
        atomic_write_json(part / SIGNATURE, signature)


def _gpu_here() -> Gpu:
    gpu = find_gpu()
    if gpu is None:
        fix = "TensorRT needs one: take a machine with one, or leave this engine out"
        raise ConfigError("engine", "NVIDIA GPU", None, fix)
    return gpu


def has_package() -> bool:
    """Whether TensorRT's Python package is installed; its program stands in for it elsewhere."""
    return packages.package_version("tensorrt") is not None


def _package() -> Any:
    """TensorRT's Python package.

    Raises:
        ConfigError: Its libraries cannot be loaded.
    """
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        fix = 'install the whole of it: pip install "defectbench[tensorrt]", or JetPack\'s own package'
        raise ConfigError("engine", "tensorrt", str(error), fix) from error


def version_here() -> str:
    """Version of TensorRT here: of its package, or as its program tells.

    Raises:
        ConfigError: Neither is installed.
    """
    return _package().__version__ if has_package() else _program_version()


def _program() -> Path:
    program = trtexec.find_program()
    if program is None:
        fix = 'pip install "defectbench[tensorrt]", or put trtexec on the PATH'
        raise ConfigError("engine", "tensorrt", "neither its package nor trtexec", fix)
    return program


def _program_version() -> str:
    return trtexec.program_version(_program())


def _build(graph: onnx.ModelProto, path: Path, size: int, identity: Identity, plan: Path) -> None:
    """Build a plan into the cache: whole, or not there."""
    if has_package():
        with atomic_path(plan) as part:
            part.write_bytes(build_plan(graph, path, size, identity))
        return
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "model.onnx"
        onnx.save_model(graph, str(file))
        trtexec.build_plan(_program(), file, plan, size, identity.batches, identity.workspace_mib)


def _make_log(trt: Any) -> Any:
    """A logger that keeps what TensorRT warns of and refuses, which its calls do not say themselves."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.told: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.told.append(msg)

    return Log()


def build_plan(graph: onnx.ModelProto, path: Path, size: int, identity: Identity) -> bytes:
    """Build a plan by TensorRT's Python package.

    Args:
        graph: The model as TensorRT reads it.
        path: The model file, named in errors.
        size: Side of the square input, pixels.
        identity: Workspace and profile.

    Returns:
        The plan.

    Raises:
        UnsupportedError: TensorRT lacks an operator.
        ProgramError: The builder failed.
        DeviceMemoryError: The GPU has no room.
        ConfigError: TensorRT does not start.
    """
    trt = _package()
    log = _make_log(trt)
    builder = _start(trt.Builder, log)
    # accepted by 11.x, where networks are so anyhow
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph.SerializeToString()):
        raise _parser_refusal(parser, path)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, identity.workspace_mib * 2**20)
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 is float32, not the 10 bits of its default
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *((batch, 3, size, size) for batch in identity.batches))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failure(log, path, "build")
    return bytes(plan)


def _start(kind: Any, log: Any) -> Any:
    """A builder or a runtime of TensorRT; without a driver that fits, its constructor raises.

    Raises:
        ConfigError: TensorRT does not start.
    """
    try:
        return kind(log)
    except (RuntimeError, TypeError) as error:
        told = log.told[0] if log.told else str(error)
        fix = "driver, CUDA and TensorRT must fit together: nvidia-smi tells the first two"
        raise ConfigError("engine", "tensorrt", told, fix) from error


def _parser_refusal(parser: Any, path: Path) -> DefectBenchError:
    """What the parser says of a graph: an operator that it lacks, or anything else."""
    if not parser.num_errors:
        return ProgramError(path, "TensorRT parser", "no word", "export the model again")
    error = parser.get_error(0)
    operator, told = error.node_operator(), error.desc()
    if operator:
        fix = "TensorRT has no such operator; time this method in another engine"
        return UnsupportedError(path, "TensorRT operator", f"{operator} ({told})", fix)
    return ProgramError(path, "TensorRT parser", told, "export the model again")


def _failure(log: Any, path: Path, field: str) -> DefectBenchError:
    """What TensorRT said before a call gave nothing."""
    told = "\n".join(log.told)
    if is_out_of_memory(told):
        return memory_refusal(path, field, told)
    fix = "run trtexec --verbose on the file to see all that TensorRT says"
    return ProgramError(path, f"TensorRT {field}", log.told[0] if log.told else "no word", fix)


class TensorRtSession:
    """A plan that TensorRT holds open.

    Args:
        plan: The plan.
        signature: What the artifact says of itself, and what the plan was built for.

    Attributes:
        device: ``cuda``.

    Raises:
        ProgramError: TensorRT cannot load the plan.
        DeviceMemoryError: The GPU has no room.
        ConfigError: TensorRT does not start.
    """

    device = "cuda"

    def __init__(self, plan: Path, signature: dict[str, Any]) -> None:
        import torch  # its tensors hold what TensorRT reads and writes

        trt = _package()
        self.log, self.plan, self.torch = _make_log(trt), plan, torch
        self.metadata: dict[str, str] = signature["metadata"]
        self.outputs: list[str] = signature["outputs"]
        self.most: int = signature["batches"][-1]
        self.runtime = _start(trt.Runtime, self.log)
        self.engine = self.runtime.deserialize_cuda_engine(plan.read_bytes())
        if self.engine is None:
            raise self._refusal("load")
        names = [self.engine.get_tensor_name(n) for n in range(self.engine.num_io_tensors)]
        if sorted(names) != sorted(["images", *self.outputs]):
            raise ArtifactError(plan, "inputs and outputs", names, _AGAIN)
        self.context = self.engine.create_execution_context()
        if self.context is None:
            raise self._refusal("load")
        self.stream = torch.cuda.Stream()

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        parts = [self._run(images[n : n + self.most]) for n in range(0, len(images), self.most)]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _run(self, images: Images) -> list[Images]:
        with self.torch.cuda.stream(self.stream):
            held = {"images": self.torch.from_numpy(np.ascontiguousarray(images)).to(self.device)}
            if not self.context.set_input_shape("images", tuple(images.shape)):
                raise self._refusal("run")
            for name in self.outputs:
                shape = tuple(self.context.get_tensor_shape(name))
                held[name] = self.torch.empty(shape, device=self.device)
            for name, tensor in held.items():
                self.context.set_tensor_address(name, tensor.data_ptr())
            if not self.context.execute_async_v3(self.stream.cuda_stream):
                raise self._refusal("run")
            outputs = [held[name].cpu().numpy() for name in self.outputs]
        self.stream.synchronize()
        return outputs

    def _refusal(self, field: str) -> DefectBenchError:
        refusal = _failure(self.log, self.plan, field)
        self.log.told.clear()
        return refusal


def open_session(folder: Path, threads: int) -> TensorRtSession | trtexec.TrtexecSession:
    """Open a folder of a plan, by the Python package or, without it, by the program.

    Args:
        folder: The folder.
        threads: Of the processor; TensorRT computes on none.

    Raises:
        ArtifactError: A file is missing or damaged, or the plan was built for another GPU or version.
        ProgramError: TensorRT cannot load the plan.
        DeviceMemoryError: The GPU has no room.
        ConfigError: There is no GPU, or TensorRT does not start.
    """
    for file in (PLAN, SIGNATURE):
        if not (folder / file).is_file():
            raise ArtifactError(folder / file, "file", "nothing", "convert the model first")
    try:
        signature = json.loads((folder / SIGNATURE).read_text(encoding="utf-8"))
        _check_identity(folder / SIGNATURE, signature)
        if has_package():
            return TensorRtSession(folder / PLAN, signature)
        return trtexec.TrtexecSession(
            _program(),
            folder / PLAN,
            signature["metadata"],
            signature["outputs"],
            signature["batches"][-1],
        )
    except DefectBenchError:
        raise
    except Exception as error:  # TensorRT's errors share no public root
        raise engine_refusal(folder, "tensorrt", error) from error


def _check_identity(path: Path, signature: dict[str, Any]) -> None:
    """The plan was built for what is here."""
    gpu = _gpu_here()
    here = {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "tensorrt": version_here(),
    }
    for name, value in here.items():
        if signature[name] != value:
            raise ArtifactError(path, name, signature[name], f"here it is {value}; {_AGAIN}")
