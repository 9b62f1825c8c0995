"""The one way in which a verb opens a model file that it was given: checked in all that can be checked, and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..base.engines import CONVERTED, REFERENCE
from ..base.errors import ArtifactError
from .artifact import ArtifactInfo, validate_artifact
from .engines import load_engine
from .runtime import Model

BATCHES = (2, 1)


def open_checked(path: str | Path, threads: int = 1, engine: str = REFERENCE) -> Model:
    """Open a model by the artifact signature.

    Args:
        path: The model file, or the folder of an engine's own files.
        threads: Threads of the engine.
        engine: What runs it.

    Raises:
        ArtifactError: It breaks the signature as it is written or as it runs: names, types, axes, operators of one
            engine alone, weights outside the file, a batch that is not dynamic.
        ConfigError: There is no such engine, or it is not installed.
    """
    if engine in CONVERTED:
        model = load_engine(engine, path, threads)
        info = ArtifactInfo(model.classes, model.size, model.metadata, task=model.task)
    else:
        info = validate_artifact(path)
        model = load_engine(engine, path, threads)
    for batch in BATCHES:
        check_run(model, info, batch)
    return model


def check_run(engine: Model, info: ArtifactInfo, batch: int) -> None:
    """Run a batch of grey images and check the shapes that come out.

    Raises:
        ArtifactError: The file cannot be run, or answers in other shapes than it declares.
    """
    images = np.full((batch, 3, info.size, info.size), 0.5, np.float32)
    outputs = dict(zip(engine.outputs, engine.run(images), strict=True))
    columns = len(info.classes)
    last = {"boxes": 4, "scores": columns, "probabilities": columns, "anomaly": 1}
    points = info.points or (outputs["boxes"].shape[1:2] or (0,))[0] if "boxes" in outputs else None
    for name, values in outputs.items():
        middle = () if points is None else (points,)
        wanted = (batch, *middle, last[name])
        if values.shape != wanted:
            fix = f"the signature asks for {list(wanted)}; export with a dynamic batch"
            raise ArtifactError(engine.path, f"{name} of {batch} images", list(values.shape), fix)
        if values.dtype != np.float32:
            fix = "the signature asks for float32"
            raise ArtifactError(engine.path, f"{name} type", str(values.dtype), fix)
