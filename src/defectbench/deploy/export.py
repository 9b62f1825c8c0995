"""Export: one checked, self-describing model file per run."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from ..base.errors import ArtifactError
from ..base.files import atomic_path
from ..base.tasks import DETECTION
from .artifact import (
    ArtifactInfo,
    make_metadata,
    set_metadata,
    strip_origin,
    validate_artifact,
)
from .free_batch import NAME, BoundBatchError, batch_to_trace, free_batch
from .names import OUTPUTS
from .runtime import Images, open_artifact

OPSET = 18
TOLERANCE = 1e-4
GRAINS = (1, 8, 5, 16, 11, 3)  # pixels of the squares of random images, in the order of the tries
ROUNDING, MOVES = 1e-5, 4  # by which images are moved, and how often


def export_onnx(
    module: nn.Module,
    size: int,
    path: str | Path,
    classes: list[str],
    metadata: Mapping[str, str | int],
    task: str = DETECTION.name,
) -> ArtifactInfo:
    """Write a deployed module as an artifact.

    The file is checked before it takes its name: by the ONNX checker, against the artifact
    signature, and by equality with the module at batch 1 and 3. Equal weights give equal bytes.

    Args:
        module: What ``deploy()`` of a detector or a classifier returns: images [N,3,S,S] in 0..1 to boxes
            [N,P,4] in input pixels and scores [N,P,C], or to probabilities [N,C].
        size: Side of the square input S, pixels.
        path: The file to make, usually ``model.onnx``.
        classes: Class names in the order of the score columns.
        metadata: Provenance: method, dataset, protocol, seed, weights_sha256; all is kept.
        task: What the module solves.

    Returns:
        What the file says of itself.

    Raises:
        ArtifactError: The module cannot be exported, or its export breaks the signature or
            differs from the module by more than 1e-4.
    """
    module = module.cpu().float().eval()
    with atomic_path(path) as part:
        model = _graph_of(module, size, part, Path(path), task)
        strip_origin(model)
        set_metadata(model, make_metadata(classes, size, metadata))
        onnx.checker.check_model(model, full_check=True)
        part.write_bytes(model.SerializeToString(deterministic=True))
        info = validate_artifact(path, model)
        check_equal(module, part, size, Path(path))
    return info


def _graph_of(module: nn.Module, size: int, part: Path, path: Path, task: str) -> onnx.ModelProto:
    """The graph of a module for any number of images; traced for one number where that can be written anew."""
    images = batch_to_trace(tensor.shape for tensor in module.state_dict().values())
    if images is not None:
        model = _traced(module, size, part, path, task, images, None)
        with contextlib.suppress(BoundBatchError):
            free_batch(model)
            return model
    batch = torch.export.Dim(NAME, min=1, max=4096)
    return _traced(module, size, part, path, task, 2, ({0: batch},))


def _traced(
    module: nn.Module,
    size: int,
    part: Path,
    path: Path,
    task: str,
    batch: int,
    dynamic_shapes: tuple[dict[int, object], ...] | None,
) -> onnx.ModelProto:
    images = torch.zeros(batch, 3, size, size)  # only their shape is looked at
    with _quiet():
        try:
            program = torch.onnx.export(
                module,
                (images,),
                dynamo=True,
                input_names=["images"],
                output_names=list(OUTPUTS[task]),
                dynamic_shapes=dynamic_shapes,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            first = str(error).strip().splitlines()[0]
            fix = "keep the deployed module free of branches on the data and on the batch"
            raise ArtifactError(path, "export", first, fix) from error
    if program is None:
        raise ArtifactError(path, "export", None, "use the exporter of torch 2.13 or later")
    program.save(str(part))
    return onnx.load(str(part))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter about operators of other libraries off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def check_equal(module: nn.Module, part: Path, size: int, path: Path) -> float:
    """Compare a model file with the module that it was made from, at batch 1 and 3.

    A module that chooses among cells by score may choose otherwise where two score alike to rounding, as they do on
    noise. Where images that rounding moves make the module itself answer otherwise, they tell nothing, and coarser
    patterns take their place.

    This is no formality: onnxruntime 1.31 fuses a transpose with the product of matrix and
    *vector* behind it into a wrong one. Written with a [K, 1] matrix the same product is right.

    Args:
        module: The deployed module.
        part: The file to run.
        size: Side of the square input, pixels.
        path: The file to name in errors.

    Returns:
        The largest difference seen: scores as they are, boxes relative to the input's size.

    Raises:
        ArtifactError: The difference exceeds 1e-4, or a shape differs.
    """
    engine = open_artifact(part)
    random = np.random.default_rng(0)
    worst = 0.0
    for batch in (1, 3):
        apart: dict[str, float] = {}
        for grain in GRAINS:
            images = patterns(random, batch, size, grain)
            expected, seen = answers(module, images), engine.run(images)
            apart = {
                name: _difference(name, want, got, size, path)
                for name, want, got in zip(engine.outputs, expected, seen, strict=True)
            }
            if max(apart.values()) <= TOLERANCE or is_steady(module, images, expected, size):
                break
        for name, difference in apart.items():
            if not difference <= TOLERANCE:
                fix = f"torch and onnxruntime may differ by {TOLERANCE} at batch {batch}"
                raise ArtifactError(path, f"{name} difference", difference, fix)
        worst = max(worst, *apart.values())
    return worst


def _difference(name: str, want: Images, got: Images, size: int, path: Path) -> float:
    """The largest difference of an output: scores as they are, boxes relative to the input's size.

    Raises:
        ArtifactError: Their shapes differ.
    """
    if want.shape != got.shape:
        fix = f"torch gives {list(want.shape)} at batch {len(want)}"
        raise ArtifactError(path, f"{name} shape", list(got.shape), fix)
    return float(np.abs(want - got).max(initial=0.0)) / (size if name == "boxes" else 1.0)


def patterns(random: np.random.Generator, batch: int, size: int, grain: int) -> Images:
    """Random images [B, 3, S, S] in 0..1, of squares so many pixels wide."""
    cells = -(-size // grain)
    coarse = random.random((batch, 3, cells, cells), dtype=np.float32)
    return np.ascontiguousarray(
        coarse.repeat(grain, axis=2).repeat(grain, axis=3)[..., :size, :size]
    )


def answers(module: nn.Module, images: Images) -> list[Images]:
    """What a module says of images, in the order of its outputs."""
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images))
    return [out.numpy() for out in (outputs if isinstance(outputs, tuple) else (outputs,))]


def is_steady(module: nn.Module, images: Images, expected: list[Images], size: int) -> bool:
    """Whether a module answers the same to images that rounding moves.

    Args:
        module: The deployed module.
        images: [B, 3, S, S] in 0..1.
        expected: What it says of them: boxes and scores, or probabilities.
        size: Side of the input, pixels.
    """
    random = np.random.default_rng(1)
    units = (size, 1) if len(expected) > 1 else (1,)
    for _ in range(MOVES):
        moved = images * (1 + ROUNDING * random.standard_normal(images.shape))
        seen = answers(module, moved.astype(np.float32))
        for want, got, unit in zip(expected, seen, units, strict=True):
            if not np.abs(want - got).max(initial=0.0) <= TOLERANCE * unit:
                return False
    return True
