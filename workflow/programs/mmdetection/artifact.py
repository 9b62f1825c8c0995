"""A trained network in the suite's terms: images in 0..1 to boxes in pixels and scores, ready for ONNX.

Only convolutions and the heads' own layers are used; what heads do between them is written here, free of loops over
images. `outputs_by_mmdetection` is the other way to the same figures: mmdetection's own forward and decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from operators import sample
from torch import Tensor, nn


class Deployed(nn.Module):
    """A network with its normalisation in front and its decoding behind.

    Args:
        network: An mmdet detector.
        size: Side of the input S, pixels.

    Raises:
        KeyError: Nobody has written the decoding of its head here.
    """

    def __init__(self, network: Any, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size
        self.register_buffer("mean", network.data_preprocessor.mean.reshape(1, 3, 1, 1) / 255)
        self.register_buffer("std", network.data_preprocessor.std.reshape(1, 3, 1, 1) / 255)
        self.decode = DECODERS[type(network.bbox_head).__name__]
        with torch.no_grad():
            maps = network.extract_feat(torch.zeros(1, 3, size, size))
        self.sides = [tuple(features.shape[-2:]) for features in maps]
        for level, centres in enumerate(level_centres(network.bbox_head, self.sides)):
            self.register_buffer(f"centres{level}", centres)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [N, 3, S, S], RGB in 0..1, to boxes [N, P, 4] in pixels and scores [N, P, C]."""
        maps = self.network.extract_feat((images - self.mean) / self.std)
        boxes, scores = [], []
        for level, features in enumerate(maps):
            centres = getattr(self, f"centres{level}")
            box, score = self.decode(self.network.bbox_head, features, level, centres, self.size)
            boxes.append(box.flatten(2).transpose(1, 2))
            scores.append(score.flatten(2).transpose(1, 2))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


def level_centres(head: Any, sides: list[tuple[int, int]]) -> list[Tensor]:
    """Places that a head predicts from, [1, 2, H, W] a level, x and y in pixels."""
    priors = head.prior_generator.grid_priors(sides, device="cpu")
    points = [p if p.shape[1] == 2 else (p[:, :2] + p[:, 2:]) / 2 for p in priors]
    return [
        p.reshape(1, *side, 2).permute(0, 3, 1, 2) for p, side in zip(points, sides, strict=True)
    ]


def decode_fovea(
    head: Any, features: Tensor, level: int, centres: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """One level of FoveaBox: the logarithm of the sides' distances in units of the level's basis."""
    logits, distances = head.forward_single(features)
    reach = head.base_edge_list[level] * distances.exp()
    boxes = torch.cat((centres - reach[:, :2], centres + reach[:, 2:]), 1)
    return boxes.clamp(0, size - 1), logits.sigmoid()  # mmdetection cuts at the last pixel's place


def decode_tood(
    head: Any, features: Tensor, level: int, centres: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """One level of TOOD: two tasks from one stack, scores and boxes aligned by what it learnt."""
    stack = []
    for layer in head.inter_convs:
        features = layer(features)
        stack.append(features)
    joint = torch.cat(stack, 1)
    mean = joint.mean((2, 3), keepdim=True)
    task_cls, task_reg = (
        decompose(part, joint, mean) for part in (head.cls_decomp, head.reg_decomp)
    )
    agreed = head.tood_cls(task_cls).sigmoid() * head.cls_prob_module(joint).sigmoid()
    stride = head.prior_generator.strides[level][0]
    centres = centres / stride
    reach = head.scales[level](head.tood_reg(task_reg).exp())
    plain = torch.cat((centres - reach[:, :2], centres + reach[:, 2:]), 1)
    moved = sample(plain, head.reg_offset_module(joint))
    # a side taken from another place may pass its opposite one; then the box stays as it was
    crossed = (moved[:, :2] > moved[:, 2:]).any(1, keepdim=True)
    boxes = torch.where(crossed, plain, moved) * stride
    return boxes.clamp(0, size), agreed.sqrt()


def decode_rtmdet(
    head: Any, features: Tensor, level: int, centres: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """One level of RTMDet: two towers, whose kernels all levels share; distances in units of the stride."""
    classes = distances = features
    for layer in head.cls_convs[level]:
        classes = layer(classes)
    for layer in head.reg_convs[level]:
        distances = layer(distances)
    reach = head.rtm_reg[level](distances) * head.prior_generator.strides[level][0]
    boxes = torch.cat((centres - reach[:, :2], centres + reach[:, 2:]), 1)
    return boxes.clamp(0, size), head.rtm_cls[level](classes).sigmoid()


def decompose(part: Any, joint: Tensor, mean: Tensor) -> Tensor:
    """Task decomposition: layers weighed by attention, then reduced.

    mmdetection weighs the kernel instead of its input, which gives each image a kernel of its own; this is the same
    product with a constant kernel, so that every engine runs it as a convolution.
    """
    attention = part.layer_attention(mean).repeat_interleave(part.feat_channels, 1)
    return part.reduction_conv(joint * attention)


DECODERS = {
    "FoveaHead": decode_fovea,
    "TOODHead": decode_tood,
    "RTMDetSepBNHead": decode_rtmdet,
}


def outputs_by_mmdetection(network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """What mmdetection's own forward gives, decoded by its own head.

    Args:
        network: An mmdet detector.
        images: [N, 3, S, S], RGB in 0..1.

    Returns:
        Boxes [N, P, 4], cut at the image, and scores [N, P, C], in the order of levels, rows and columns.
    """
    head, size = network.bbox_head, images.shape[-1]
    batch = list(images.flip(1) * 255)  # as it reads files: BGR in 0..255
    inputs = network.data_preprocessor({"inputs": batch})["inputs"]
    with torch.no_grad():
        scores, boxes = network(inputs, mode="tensor")
    priors = head.prior_generator.grid_priors([level.shape[-2:] for level in scores], device="cpu")
    rows = []
    for level, (deltas, prior) in enumerate(zip(boxes, priors, strict=True)):
        flat = deltas.permute(0, 2, 3, 1).flatten(1, 2)
        if gives_boxes(head):
            rows.append((flat * head.prior_generator.strides[level][0]).clamp(0, size))
        else:
            rows.append(torch.stack([decoded(head, level, prior, f, size) for f in flat]))
    flat_scores = torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in scores], 1)
    return torch.cat(rows, 1), flat_scores if gives_boxes(head) else flat_scores.sigmoid()


def decoded(head: Any, level: int, priors: Tensor, distances: Tensor, size: int) -> Tensor:
    """Boxes [P, 4] of a level of one image by the head's own coder, from distances [P, 4]."""
    if hasattr(head, "base_edge_list"):
        return head._bbox_decode(priors, distances, head.base_edge_list[level], (size, size))
    return head.bbox_coder.decode(priors, distances, max_shape=(size, size))


def gives_boxes(head: Any) -> bool:
    """Whether a head itself gives boxes and probabilities, as TOOD's does; others give distances and logits."""
    return type(head).__name__ == "TOODHead"
