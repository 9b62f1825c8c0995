"""The operators of mmcv that one-stage detectors call, where mmcv is installed without its compiled library.

Call `install` before mmdet is imported. What is not supplied here raises an error when it is called, not before.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Missing(types.ModuleType):
    """Stands for mmcv's compiled library; it has every name, and says at a call which one is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"mmcv's {name} needs its compiled library; mmcv-lite is installed")

        return refuse


def install() -> None:
    """Make `import mmdet` work beside mmcv-lite, and give its heads what they call."""
    if "mmcv._ext" not in sys.modules:
        library = Missing("mmcv._ext")
        library.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
        library.nms = suppress
        sys.modules["mmcv._ext"] = library
    import mmdet.models.dense_heads.tood_head as tood
    import mmdet.models.losses.focal_loss as focal

    tood.deform_conv2d = deformed
    focal._sigmoid_focal_loss = focal_loss


def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Non-maximum suppression; ``offset`` 1 counts a box's last pixel as its own."""
    import torchvision

    ends = boxes[:, 2:] + offset
    return torchvision.ops.nms(torch.cat((boxes[:, :2], ends), 1), scores, iou_threshold)


def focal_loss(
    logits: Tensor, labels: Tensor, gamma: float, alpha: float, weight: None, reduction: str
) -> Tensor:
    """The framework's plain focal loss, by labels, for where it calls the compiled one: on a GPU.

    Args:
        logits: [P, C].
        labels: int64 [P]; C is background.
        gamma: Exponent of the focus.
        alpha: Weight of the foreground.
        weight: Weights of classes; none.
        reduction: Of the losses.
    """
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    truth = F.one_hot(labels, logits.shape[1] + 1)[:, :-1]
    return py_sigmoid_focal_loss(logits, truth, weight, gamma, alpha, reduction)


def deformed(features: Tensor, offsets: Tensor, weight: Tensor, *_: Any) -> Tensor:
    """The deformable convolution as TOOD calls it: kernel 1x1, all ones, each channel by itself.

    Raises:
        RuntimeError: It is called otherwise.
    """
    if weight.shape[1:] != (1, 1, 1) or offsets.shape[1] != 2 * features.shape[1]:
        raise RuntimeError(f"only sampling of single channels is here, not {tuple(weight.shape)}")
    return sample(features, offsets)


def sample(features: Tensor, offsets: Tensor) -> Tensor:
    """Values of each channel at its own shifted places, bilinear, zero outside.

    Args:
        features: [N, C, H, W].
        offsets: [N, 2C, H, W]: of each channel first the shift in y, then in x, in cells.

    Returns:
        [N, C, H, W].
    """
    count, channels, height, width = features.shape
    shift = offsets.reshape(count * channels, 2, height, width)
    y = torch.arange(height, device=features.device, dtype=features.dtype)[:, None] + shift[:, 0]
    x = torch.arange(width, device=features.device, dtype=features.dtype) + shift[:, 1]
    # cell k of n lies at (2k + 1) / n - 1; a map of one cell keeps its borders, as it would not with aligned corners
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
    planes = features.reshape(count * channels, 1, height, width)
    sampled = F.grid_sample(planes, grid, "bilinear", "zeros", align_corners=False)
    return sampled.reshape(count, channels, height, width)
