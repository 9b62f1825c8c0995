"""Engines that run a model: which there are here, and a model opened in one of them.

Each engine but the reference is a module of its own with ``open_session``, and ``convert`` where it runs files of its
own. Its library is an extra (``pip install "defectbench[openvino]"``) and imported when it is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from ...base.engines import ENGINES, REFERENCE
from ...base.errors import ConfigError
from ...base.strict import name_one_of
from ..runtime import ClassifierModel, DetectorModel, artifact_of, open_artifact

PACKAGES = {REFERENCE: (REFERENCE,), "openvino": ("openvino",), "ncnn": ("ncnn", "pnnx")}


@dataclass(frozen=True)
class EngineState:
    """What there is of an engine here.

    Attributes:
        name: Its name.
        versions: Version by package; None of one that is not installed.
        precisions: What it can do on a processor.
    """

    name: str
    versions: dict[str, str | None]
    precisions: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package, number in self.versions.items() if number is None]

    @property
    def fix(self) -> str:
        """How what is missing is installed."""
        return f'pip install "defectbench[{self.name}]"'


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
    versions = {package: _version(package) for package in PACKAGES[name]}
    return EngineState(name, versions, ENGINES[name])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def require_engine(name: str) -> EngineState:
    """The state of an engine that is wanted.

    Raises:
        ConfigError: There is no such engine, or it is not installed.
    """
    state = engine_state(name)
    if state.missing:
        raise ConfigError("engine", name, f"without {', '.join(state.missing)}", state.fix)
    return state


def load_engine(name: str, path: str | Path, threads: int) -> DetectorModel | ClassifierModel:
    """Open a model in the engine of that name.

    Args:
        name: The engine.
        path: The model file, or the folder of an engine's own files.
        threads: Threads of the engine.

    Raises:
        ConfigError: There is no such engine, or it is not installed.
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
