"""An artifact as an engine runs it, and onnxruntime, the reference among engines.

Kept free of torch, so that its memory is the engine's own; the other engines are in ``engines/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..base.errors import ArtifactError, DefectBenchError, RefusedError
from ..base.memory import lacks_memory, memory_refusal
from ..base.tasks import ANOMALY, CLASSIFICATION, DETECTION
from ..data.letterbox import letterbox
from .names import OUTPUTS, task_of_outputs
from .nms import NMS

Images = NDArray[np.float32]
Provider = str | tuple[str, dict[str, str]]  # of onnxruntime: what computes
PROCESSOR = "CPUExecutionProvider"


class BoxFinder(Protocol):
    """What finds boxes: a deployed detector, or a network while it is trained.

    Attributes:
        classes: Class names in the order of the score columns.
        size: Side of the square input, pixels.
        suppression: What its boxes need before they are an answer.
    """

    classes: list[str]
    size: int

    @property
    def suppression(self) -> str:
        """``nms`` or ``none``."""
        ...

    def __call__(self, images: Images) -> tuple[Images, Images]:
        """Run images [N,3,S,S] in 0..1; return boxes [N,P,4] and scores [N,P,C]."""
        ...


class Session(Protocol):
    """A model that an engine holds open.

    Attributes:
        outputs: Names of its outputs, in their order.
        metadata: The artifact's metadata, as text.
    """

    outputs: list[str]
    metadata: dict[str, str]

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        ...


class Artifact:
    """A model as an engine runs it.

    Args:
        path: The model file, or the folder of its files.
        session: What the engine holds open.

    Attributes:
        task: What the model solves.
        outputs: Names of its outputs.
        metadata: The artifact's metadata, as text.
        classes: Class names in the order of the score columns.
        size: Side of the square input, pixels.

    Raises:
        ArtifactError: The model lacks the artifact's outputs or metadata.
    """

    task: ClassVar[str]

    def __init__(self, path: str | Path, session: Session) -> None:
        self.path, self.outputs = Path(path), OUTPUTS[self.task]
        self.session, self.metadata = session, session.metadata
        if session.outputs != list(self.outputs) or not {"names", "size"} <= set(self.metadata):
            fix = "export it with deploy.export, or adapt it to the artifact signature"
            seen = [session.outputs, list(self.metadata)]
            raise ArtifactError(path, "outputs and metadata", seen, fix)
        self.classes: list[str] = json.loads(self.metadata["names"])
        self.size = int(self.metadata["size"])

    @property
    def device(self) -> str:
        """What it computes on, ``cpu`` or ``cuda``."""
        return getattr(self.session, "device", "cpu")

    def run(self, images: Images) -> list[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order.

        Raises:
            RefusedError: The engine cannot run the model.
            DeviceMemoryError: The device has no room.
        """
        try:
            outputs = self.session.run(images)
        except DefectBenchError:
            raise
        except Exception as error:  # engines' errors share no public root
            raise engine_refusal(self.path, "run", error) from error
        return [np.asarray(out) for out in outputs]


class DetectorModel(Artifact):
    """A detector."""

    task = DETECTION.name

    @property
    def suppression(self) -> str:
        """What its boxes need before they are an answer: ``nms`` or ``none``."""
        return self.metadata.get("suppression", NMS)

    def __call__(self, images: Images) -> tuple[Images, Images]:
        """Run images [N,3,S,S] in 0..1; return boxes [N,P,4] and scores [N,P,C]."""
        boxes, scores = self.run(images)
        return boxes, scores


class ClassifierModel(Artifact):
    """A classifier."""

    task = CLASSIFICATION.name

    def __call__(self, images: Images) -> Images:
        """Run images [N,3,S,S] in 0..1; return probabilities [N,C]."""
        return self.run(images)[0]


class AnomalyModel(Artifact):
    """What tells how little an image looks like those without a defect."""

    task = ANOMALY.name

    def __call__(self, images: Images) -> Images:
        """Run images [N,3,S,S] in 0..1; return scores [N,1], 0 or more."""
        return self.run(images)[0]


Model = DetectorModel | ClassifierModel | AnomalyModel
KINDS: Mapping[str, type[Model]] = {
    kind.task: kind for kind in (DetectorModel, ClassifierModel, AnomalyModel)
}


def artifact_of(path: str | Path, session: Session) -> Model:
    """A model that an engine holds open, as what its outputs say that it is.

    Raises:
        ArtifactError: It lacks the artifact's outputs or metadata.
    """
    return KINDS[task_of_outputs(session.outputs)](path, session)


class OnnxSession:
    """A model file in onnxruntime.

    Args:
        path: The file.
        threads: Threads within one operator.
        provider: What computes, the processor by default.

    Attributes:
        device: ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: onnxruntime cannot load the file.
    """

    def __init__(self, path: str | Path, threads: int, provider: Provider = PROCESSOR) -> None:
        self.session = make_session(Path(path), threads, provider)
        self.device = "cpu" if provider == PROCESSOR else "cuda"
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        self.outputs: list[str] = [out.name for out in self.session.get_outputs()]

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        return [np.asarray(out) for out in self.session.run(self.outputs, {"images": images})]


class OnnxDetector(DetectorModel):
    """A detector's file in onnxruntime.

    Args:
        path: The file.
        threads: Threads within one operator.

    Example:
        >>> detector = OnnxDetector("model.onnx")  # doctest: +SKIP
        >>> boxes, scores = detector(np.zeros((1, 3, 192, 192), np.float32))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        super().__init__(path, OnnxSession(path, threads))


def open_artifact(path: str | Path, threads: int = 1) -> Model:
    """A model file in onnxruntime, as what its outputs say that it is.

    Raises:
        ArtifactError: onnxruntime cannot load the file, or it lacks the artifact's outputs or metadata.
    """
    return artifact_of(path, OnnxSession(path, threads))


def make_session(path: Path, threads: int, provider: Provider = PROCESSOR) -> ort.InferenceSession:
    """Open an onnxruntime session.

    Args:
        path: The model file.
        threads: Threads within one operator.
        provider: What computes, the processor by default; with its settings where it has some.

    Raises:
        ArtifactError: The file is missing.
        RefusedError: onnxruntime refuses it.
        DeviceMemoryError: The device has no room.
    """
    if not path.is_file():
        raise ArtifactError(path, "file", "nothing", "run the method's rule first")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if provider != PROCESSOR:  # else operators that it lacks would silently run on the processor
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's errors share no public root
        raise engine_refusal(path, "content", error) from error


def engine_refusal(path: str | Path, field: str, error: Exception) -> DefectBenchError:
    """What an engine says of a model file, as one named error."""
    told = str(error).strip()
    if lacks_memory(error):
        return memory_refusal(path, field, told)
    first = (told.splitlines() or [type(error).__name__])[0]
    return RefusedError(path, field, first, "export the model again")


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
