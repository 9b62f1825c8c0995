"""Engines that run a model: which there are here, and a model opened in one of them.

Each engine but the reference is a module of its own with ``open_session``, and ``convert`` where it runs files of its
own. Its library is an extra (``pip install "defectbench[openvino]"``) and imported when it is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ...base.engines import ENGINES, ON_GPU, REFERENCE
from ...base.errors import ConfigError
from ...base.strict import name_one_of
from ..runtime import Model, artifact_of, open_artifact
from . import packages
from .gpu import Gpu, find_gpu
from .trtexec import find_program

PACKAGES = {
    REFERENCE: (REFERENCE,),
    "onnxruntime_cuda": ("onnxruntime-gpu",),
    "openvino": ("openvino",),
    "ncnn": ("ncnn", "pnnx"),
    "torch": ("torch",),
    "torch_compiled": ("torch",),
    "torch_graph": ("torch",),
    "tensorrt": ("tensorrt",),
}
# Extras by engine; the others are in every installation.
EXTRAS = {
    "onnxruntime_cuda": "cuda",
    "openvino": "openvino",
    "ncnn": "ncnn",
    "tensorrt": "tensorrt",
}
NO_GPU = "no NVIDIA GPU is to be seen here"


@dataclass(frozen=True)
class EngineState:
    """What there is of an engine here.

    Attributes:
        name: Its name.
        versions: Version by package; None of one that is not installed.
        precisions: What it has.
        gpu: The GPU that it would compute on; None where there is none, and of engines of a processor.
        program: The program that does its work where its package is not installed; None without one.
    """

    name: str
    versions: dict[str, str | None]
    precisions: tuple[str, ...]
    gpu: Gpu | None = None
    program: Path | None = None

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed, and that no program stands in for."""
        if self.program is not None:
            return []
        return [package for package, number in self.versions.items() if number is None]

    @property
    def lacks_gpu(self) -> bool:
        """Whether it computes on a GPU, and there is none."""
        return self.name in ON_GPU and self.gpu is None

    @property
    def runs_here(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing and not self.lacks_gpu

    @property
    def fix(self) -> str:
        """How what is missing is installed."""
        if not self.missing:
            return "take a machine with one, or leave this engine out of the study"
        extra = EXTRAS.get(self.name)
        return f'pip install "defectbench[{extra}]"' if extra else "pip install defectbench"

    @property
    def told(self) -> str:
        """What there is, in one line."""
        if self.missing:
            return f"not installed; {self.fix}" + (f"; {NO_GPU}" if self.lacks_gpu else "")
        there = [f"{name} {number}" for name, number in self.versions.items() if number]
        if self.program is not None:
            there.append(str(self.program))
        if self.lacks_gpu:
            return f"{', '.join(there)}; {NO_GPU}"
        where = f" on {self.gpu.name}" if self.gpu else ""
        return f"{', '.join(there)}: {', '.join(self.precisions)}{where}"


def find_engines() -> list[EngineState]:
    """The state of every engine, the reference first."""
    return [engine_state(name) for name in ENGINES]


def engine_state(name: str) -> EngineState:
    """The state of one engine.

    Raises:
        ConfigError: There is no such engine.
    """
    if name not in ENGINES:
        raise ConfigError("engines", "engine", name, name_one_of(name, ENGINES))
    versions = {package: packages.package_version(package) for package in PACKAGES[name]}
    stands_in = name == "tensorrt" and versions[name] is None
    program = find_program() if stands_in else None
    gpu = find_gpu() if name in ON_GPU else None
    return EngineState(name, versions, ENGINES[name], gpu, program)


def require_engine(name: str) -> EngineState:
    """The state of an engine that is wanted.

    Raises:
        ConfigError: There is no such engine, it is not installed, or it computes on a GPU and there is none.
    """
    state = engine_state(name)
    if state.missing:
        raise ConfigError("engine", name, f"without {', '.join(state.missing)}", state.fix)
    if state.lacks_gpu:
        raise ConfigError("engine", name, NO_GPU, state.fix)
    return state


def load_engine(name: str, path: str | Path, threads: int) -> Model:
    """Open a model in the engine of that name.

    Args:
        name: The engine.
        path: The model file, or the folder of an engine's own files.
        threads: Threads of the engine.

    Raises:
        ConfigError: There is no such engine, or it cannot be used here.
        ArtifactError: The engine cannot load the model.
    """
    module = import_engine(name)
    if module is None:
        return open_artifact(path, threads)
    return artifact_of(path, module.open_session(Path(path), threads))


def import_engine(name: str) -> ModuleType | None:
    """The module that opens models in an engine; None of the reference, which is always there.

    Raises:
        ConfigError: There is no such engine, or it is not installed.
    """
    require_engine(name)
    return None if name == REFERENCE else importlib.import_module(f"{__name__}.{name}")
