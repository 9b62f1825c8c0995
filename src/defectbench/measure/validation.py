"""Validation while training: the suite's own suppression and measures, on the validation pack."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..base.errors import PackError
from ..base.tasks import CLASSIFICATION, DETECTION, task_named
from ..data.pack import load_pack
from ..deploy.nms import NMS
from ..deploy.predict import classify_pack, predict_pack
from ..nn.trainable import Trainable
from .evaluator import score
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


def make_validator(
    val_pack: str | Path, threads: int | None = None, task: str = DETECTION.name
) -> Callable[[Trainable], float]:
    """Make a function that scores a network on a validation pack.

    Args:
        val_pack: The pack of the validation part.
        threads: Processor threads; those of torch by default.
        task: What the network solves.

    Returns:
        A function from a detector in training form to its mAP50-95, from a classifier to its accuracy.

    Raises:
        PackError: The pack is damaged or has no true box.
    """
    if threads:
        torch.set_num_threads(threads)
    if not task_named(task).finds_boxes:
        return _class_validator(val_pack)
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


def _class_validator(val_pack: str | Path) -> Callable[[Trainable], float]:
    pack = load_pack(val_pack, task=CLASSIFICATION.name)
    truth = pack.labels[:, 0].tolist()

    def validate(classifier: Trainable) -> float:
        deployed = classifier.deploy()
        device = next(iter(deployed.parameters())).device

        def engine(images: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                return deployed(torch.from_numpy(images).to(device)).float().cpu().numpy()

        rows = classify_pack(engine, pack, val_pack)
        hits = [np.argmax(row["probabilities"]) == c for row, c in zip(rows, truth, strict=True)]
        return float(np.mean(hits))

    return validate
