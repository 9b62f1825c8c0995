"""Engines: what runs an artifact. Kept free of torch, so that its memory is the engine's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..base.errors import ArtifactError, ConfigError
from ..base.tasks import CLASSIFICATION, DETECTION
from ..data.letterbox import letterbox
from .names import OUTPUTS, task_of_outputs

Images = NDArray[np.float32]


class Engine(Protocol):
    """What every engine offers to prediction and timing.

    Attributes:
        name: The engine's name, also the file name of its latency record.
        classes: Class names in the order of the score columns.
        size: Side of the square input, pixels.
        metadata: The artifact's metadata, as text.
    """

    name: str
    classes: list[str]
    size: int
    metadata: dict[str, str]

    def __call__(self, images: Images) -> tuple[Images, Images]:
        """Run images [N,3,S,S] in 0..1; return boxes [N,P,4] and scores [N,P,C]."""
        ...


class OnnxArtifact:
    """An artifact run by onnxruntime on the processor.

    Args:
        path: The model file.
        threads: Threads within one operator.
        session: The file's session, where it is open already.

    Attributes:
        task: What the file solves.
        outputs: Names of its outputs.

    Raises:
        ArtifactError: onnxruntime cannot load the file, or it lacks the artifact's outputs or metadata.
    """

    name = "onnxruntime"
    task: ClassVar[str]

    def __init__(
        self, path: str | Path, threads: int = 1, session: ort.InferenceSession | None = None
    ) -> None:
        self.path, self.outputs = Path(path), OUTPUTS[self.task]
        self.session = session or make_session(self.path, threads)
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        names = [out.name for out in self.session.get_outputs()]
        if names != list(self.outputs) or not {"names", "size"} <= set(self.metadata):
            fix = "export it with deploy.export, or adapt it to the artifact signature"
            raise ArtifactError(path, "outputs and metadata", [names, list(self.metadata)], fix)
        self.classes: list[str] = json.loads(self.metadata["names"])
        self.size = int(self.metadata["size"])

    def run(self, images: Images) -> list[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order.

        Raises:
            ArtifactError: The engine cannot run the file.
        """
        try:
            outputs = self.session.run(self.outputs, {"images": images})
        except Exception as error:  # onnxruntime's errors share no public root
            raise engine_refusal(self.path, "run", error) from error
        return [np.asarray(out) for out in outputs]


class OnnxDetector(OnnxArtifact):
    """A detector's file.

    Example:
        >>> detector = OnnxDetector("model.onnx")  # doctest: +SKIP
        >>> boxes, scores = detector(np.zeros((1, 3, 192, 192), np.float32))  # doctest: +SKIP
    """

    task = DETECTION.name

    def __call__(self, images: Images) -> tuple[Images, Images]:
        """Run images [N,3,S,S] in 0..1; return boxes [N,P,4] and scores [N,P,C]."""
        boxes, scores = self.run(images)
        return boxes, scores


class OnnxClassifier(OnnxArtifact):
    """A classifier's file.

    Example:
        >>> classifier = OnnxClassifier("model.onnx")  # doctest: +SKIP
        >>> probabilities = classifier(np.zeros((1, 3, 128, 128), np.float32))  # doctest: +SKIP
    """

    task = CLASSIFICATION.name

    def __call__(self, images: Images) -> Images:
        """Run images [N,3,S,S] in 0..1; return probabilities [N,C]."""
        return self.run(images)[0]


def open_artifact(path: str | Path, threads: int = 1) -> OnnxDetector | OnnxClassifier:
    """An artifact as what its outputs say that it is.

    Raises:
        ArtifactError: onnxruntime cannot load the file, or it lacks the artifact's outputs or metadata.
    """
    session = make_session(Path(path), threads)
    task = task_of_outputs([out.name for out in session.get_outputs()])
    kind = OnnxClassifier if task == OnnxClassifier.task else OnnxDetector
    return kind(path, threads, session)


ENGINES = {OnnxArtifact.name: open_artifact}


def load_engine(name: str, path: str | Path, threads: int) -> OnnxDetector | OnnxClassifier:
    """Load an artifact into the engine of that name.

    Raises:
        ConfigError: There is no such engine.
        ArtifactError: The engine cannot load the file.
    """
    if name not in ENGINES:
        raise ConfigError(path, "engine", name, f"name one of {', '.join(ENGINES)}")
    return ENGINES[name](path, threads)


def make_session(path: Path, threads: int) -> ort.InferenceSession:
    """Open an onnxruntime session on the processor.

    Raises:
        ArtifactError: The file is missing or onnxruntime refuses it.
    """
    if not path.is_file():
        raise ArtifactError(path, "file", "nothing", "run the method's rule first")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public root
        raise engine_refusal(path, "content", error) from error


def engine_refusal(path: str | Path, field: str, error: Exception) -> ArtifactError:
    """What an engine says of a model file, as one named error."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ArtifactError(path, field, first, "export the model again")


def prepare(image: NDArray[np.uint8], size: int) -> Images:
    """Make one decoded image ready for the network, as packs are made.

    Args:
        image: [H, W, 3] RGB.
        size: Side of the square input, pixels.

    Returns:
        [1, 3, size, size], 0..1, the image scaled to fit and padded with grey.
    """
    square = letterbox(image, size)[0]
    chw = np.empty((1, 3, size, size), np.float32)
    np.multiply(square.transpose(2, 0, 1), np.float32(1 / 255), out=chw[0], casting="unsafe")
    return chw
