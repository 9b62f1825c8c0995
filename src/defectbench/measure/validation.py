"""Validation while training: the suite's own suppression and measures, on the validation pack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..base.errors import PackError
from ..base.tasks import ANOMALY, CLASSIFICATION, DETECTION, task_named
from ..data.pack import load_pack
from ..deploy.nms import NMS
from ..deploy.predict import classify_pack, predict_pack, score_pack
from ..nn.trainable import Trainable
from .evaluator import score
from .image_scores import auroc, pack_scored
from .operating_point import pack_truth


class TorchEngine:
    """A torch module behind the engine interface.

    Args:
        module: Deployed module: images [N,3,S,S] in 0..1 to boxes and scores.
        classes: Class names.
        size: Side of the square input, pixels.
        suppression: What its boxes need before they are an answer: ``nms`` or ``none``.
    """

    name = "torch"

    def __init__(
        self, module: nn.Module, classes: list[str], size: int, suppression: str = NMS
    ) -> None:
        self.module, self.classes, self.size = module.eval(), classes, size
        self.suppression = suppression
        self.metadata: dict[str, str] = {}
        held = next(iter(module.parameters()), torch.zeros(0))
        self.device = held.device

    def __call__(
        self, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run images [N,3,S,S] in 0..1; return boxes [N,P,4] and scores [N,P,C]."""
        with torch.inference_mode():
            boxes, scores = self.module(torch.from_numpy(images).to(self.device))
        return boxes.float().cpu().numpy(), scores.float().cpu().numpy()


Validator = Callable[[Trainable], float]


def make_validator(
    val_pack: str | Path, threads: int | None = None, task: str = DETECTION.name
) -> Validator | None:
    """Make a function that scores a network on a validation pack.

    Args:
        val_pack: The pack of the validation part.
        threads: Processor threads; those of torch by default.
        task: What the network solves.

    Returns:
        A function from a detector in training form to its mAP50-95, from a classifier to its accuracy, from a network
        that was fitted to images without a defect to its AUROC; None where such a network is to be scored and no image
        shows a defect, as in parts of publishers: a threshold needs none, an AUROC does.

    Raises:
        PackError: The pack is damaged, has no true box, or no image without a defect where a threshold needs some.
    """
    if threads:
        torch.set_num_threads(threads)
    return VALIDATORS[task_named(task).name](val_pack)


def _box_validator(val_pack: str | Path) -> Validator:
    pack = load_pack(val_pack)
    truth = pack_truth(pack)
    if not truth["annotations"]:
        raise PackError(val_pack, "boxes", 0, "split again; validation needs true boxes")

    def validate(detector: Trainable) -> float:
        deployed = detector.deploy()
        suppression = getattr(detector, "suppression", NMS)
        engine = TorchEngine(deployed, pack.classes, pack.size, suppression)
        results = [row for rows in predict_pack(engine, pack, val_pack) for row in rows]
        value = score(truth, results).map50_95
        return 0.0 if math.isnan(value) else value

    return validate


def _engine_of(network: Trainable) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A deployed network of one output: images [N,3,S,S] in 0..1 to that output."""
    deployed = network.deploy()
    device = next(iter(deployed.parameters())).device

    def engine(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return deployed(torch.from_numpy(images).to(device)).float().cpu().numpy()

    return engine


def _class_validator(val_pack: str | Path) -> Validator:
    pack = load_pack(val_pack, task=CLASSIFICATION.name)
    truth = pack.labels[:, 0].tolist()

    def validate(classifier: Trainable) -> float:
        rows = classify_pack(_engine_of(classifier), pack, val_pack)
        hits = [np.argmax(row["probabilities"]) == c for row, c in zip(rows, truth, strict=True)]
        return float(np.mean(hits))

    return validate


def _anomaly_validator(val_pack: str | Path) -> Validator | None:
    pack = load_pack(val_pack, task=ANOMALY.name)
    defective = (pack.labels >= 0).any(1)
    if defective.all():
        seen = f"{int(defective.sum())} of {len(pack)} with a defect"
        fix = "a threshold is set on validation images without a defect: list some in val, or take the protocol clean"
        raise PackError(val_pack, "images", seen, fix)
    if not defective.any():
        return None

    def validate(network: Trainable) -> float:
        rows = list(score_pack(_engine_of(network), pack, val_pack))
        return float(auroc(pack_scored(pack, rows))[0])

    return validate


# by task: what scores a network while it is trained
VALIDATORS: Mapping[str, Callable[[str | Path], Validator | None]] = {
    DETECTION.name: _box_validator,
    CLASSIFICATION.name: _class_validator,
    ANOMALY.name: _anomaly_validator,
}
