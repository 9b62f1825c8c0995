"""DEIMv2 without its teacher (Huang et al., arXiv 2509.20787): Atto, Femto and Pico, and how they learn.

A small DETR: one map of HGNetV2, the lite encoder, three decoder layers. Each of five answers (cells, the first fixed
box, three layers) is matched with the true boxes at least cost, one query a box, so that the network says each
object once and needs no suppression. The three smallest learn by MAL, L1 and GIoU alone; the terms of D-FINE on the
distributions are off in their configuration, and so here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import ConfigError
from .boxes import generalised_iou, paired_iou
from .denoising import DenoisingQueries, add_noise
from .detector import Detector, Targets, clip_boxes, total_of
from .hgnet import HGNet, StagePlan
from .least_cost import least_cost_pairs
from .lite_encoder import LiteEncoder
from .query_decoder import LAYERS, ClassHead, LayerOutput, QueryDecoder
from .waiting import constant

STRIDES = (16, 32)
QUALITY_POWER = 1.5  # gamma of MAL
L1_GAIN, GIOU_GAIN = 5.0, 2.0
CLASS_COST = 2.0
FOCAL_SHARE = 0.25  # alpha of the focal cost, with gamma 2
QUALITY_COST_FROM = 0.9  # of the epochs: from there on the cost is by class and overlap alone


@dataclass(frozen=True)
class Widths:
    """What tells the three apart.

    Attributes:
        stage: Of the backbone at stride 16.
        width: Channels of encoder and decoder.
        inner: Channels inside the feed-forward.
    """

    stage: StagePlan
    width: int
    inner: int


ATTO = Widths(StagePlan(64, 256, light=True), 64, 80)
FEMTO = Widths(StagePlan(64, 512, kernel=5, light=True), 96, 128)
PICO = Widths(StagePlan(64, 512, blocks=2, kernel=5, light=True), 112, 160)


class DEIMv2(Detector):
    """Backbone -> encoder -> decoder. Raw output [B, Q, 4 + nc]: centre and sides as shares of the image, class logits.

    Args:
        nc: Number of classes.
        widths: Which of the three.
        queries: Most boxes that are answered; an input with fewer cells has as many as cells.
        denoising: About how many true boxes in disguise are learnt beside, at least one of each; 0 for none.
    """

    strides = STRIDES
    suppression = "none"
    training_only = ("early", "shown")

    def __init__(self, nc: int, widths: Widths, queries: int, denoising: int) -> None:
        super().__init__()
        for name, value, least in (("queries", queries, 1), ("denoising", denoising, 0)):
            if value < least:
                raise ConfigError("build", name, value, f"give a whole number from {least}")
        self.nc, self.noise_count = nc, denoising
        self.backbone = HGNet(widths.stage)
        self.encoder = LiteEncoder(self.backbone.width, widths.width)
        self.decoder = QueryDecoder(nc, widths.width, widths.inner, queries)
        # class heads of the first layers, and classes as queries in disguise show them
        self.early = nn.ModuleList(ClassHead(widths.width, nc) for _ in range(LAYERS - 1))
        self.shown = nn.Embedding(nc + 1, widths.width, padding_idx=nc)

    def forward(self, images: Tensor) -> Tensor:
        maps = self._maps(images)
        queries = self.decoder.select(maps)
        answer = self.decoder.refine(queries.content.detach(), queries.boxes.detach(), maps)[-1]
        return torch.cat((answer.boxes, answer.classes), -1).float()

    def _maps(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[-2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            fix = f"give sides that are multiples of {STRIDES[-1]} pixels"
            raise ConfigError(type(self).__name__, "images", f"{width} x {height}", fix)
        return self.encoder(self.backbone(images))

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        boxes, logits = raw.split((4, self.nc), -1)
        sides = width if height == width else boxes.new_tensor((width, height, width, height))
        return clip_boxes(corners_of(boxes) * sides, height, width), logits.sigmoid()

    def phase(self, epoch: int) -> Hashable:
        """What a match costs."""
        return self._costs_quality(epoch)

    def _costs_quality(self, epoch: int) -> bool:
        return epoch >= QUALITY_COST_FROM * self.epochs

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        targets = normalised(targets.with_a_row(), *images.shape[-2:])
        noise = None
        if self.noise_count:
            noise = add_noise(targets.boxes, targets.labels, self.nc, self.noise_count)
        answers, disguised = self.answers(images, noise)
        boxes, logits = stacked(answers)
        pairs = match(boxes, logits, targets, by_quality=self._costs_quality(epoch))
        count = targets.valid.sum().clamp(min=1)
        parts = pair_losses(boxes, logits, targets, pairs, count)
        if noise is not None:
            boxes, logits = stacked(disguised)
            beside = pair_losses(boxes, logits, targets, pairs_of(noise), count * noise.groups)
            parts |= {f"denoising_{name}": value for name, value in beside.items()}
        return total_of(parts)

    def answers(
        self, images: Tensor, noise: DenoisingQueries | None
    ) -> tuple[list[LayerOutput], list[LayerOutput]]:
        """Answers of the queries: of the cells, of the box that is fixed, of the layers; and of those in disguise."""
        maps = self._maps(images)
        queries = self.decoder.select(maps)
        content, boxes, mask, places = queries.content.detach(), queries.boxes.detach(), None, 0
        if noise is not None:
            places = noise.labels.shape[1]
            mask = noise.mask(content.shape[1])
            content = torch.cat((self.shown(noise.labels).to(content.dtype), content), 1)
            boxes = torch.cat((noise.boxes, boxes), 1)
        refined = self.decoder.refine(content, boxes, maps, mask, [*self.early])  # type: ignore[list-item]
        own = [LayerOutput(a.boxes[:, places:], a.classes[:, places:]) for a in refined]
        disguised = [LayerOutput(a.boxes[:, :places], a.classes[:, :places]) for a in refined]
        return [LayerOutput(queries.boxes.sigmoid(), queries.classes), *own], disguised


# --- boxes ----------------------------------------------------------------------------------------


def corners_of(boxes: Tensor) -> Tensor:
    """Corners [..., 4] of boxes [..., 4] by centre and sides."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), -1)


def normalised(targets: Targets, height: int, width: int) -> Targets:
    """Truth whose boxes are centre and sides as shares of the image."""
    boxes = targets.boxes / constant((width, height, width, height), targets.boxes)
    low, high = boxes.split(2, -1)
    return Targets(torch.cat(((low + high) / 2, high - low), -1), targets.labels)


def stacked(answers: Sequence[LayerOutput]) -> tuple[Tensor, Tensor]:
    """Boxes [K, B, Q, 4] and class logits [K, B, Q, nc] of K answers, in float32."""
    boxes = torch.stack([answer.boxes.float() for answer in answers])
    return boxes, torch.stack([answer.classes.float() for answer in answers])


# --- matching -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Which query learns which box, of K answers.

    Attributes:
        query: int64 [K, B, P].
        truth: int64 [K, B, P], row of ``Targets``.
        paired: bool [K, B, P], which of the pairs there are.
        counted: bool [Q], which queries learn at all.
    """

    query: Tensor
    truth: Tensor
    paired: Tensor
    counted: Tensor


@torch.no_grad()
def match(boxes: Tensor, logits: Tensor, targets: Targets, by_quality: bool) -> Pairs:
    """Pair queries with true boxes at the least total cost, each answer on its own.

    The cost is twice that of the class (focal), 5 times the L1 distance and twice -GIoU; or, by quality,
    -p IoU^4 alone.

    Args:
        boxes: [K, B, Q, 4], centre and sides.
        logits: [K, B, Q, nc].
        targets: Truth, M rows, boxes by centre and sides.
        by_quality: Which of the two.
    """
    answers, batch, queries, _ = logits.shape
    rows = targets.labels.shape[1]
    labels = targets.labels.clamp(min=0).view(1, batch, rows, 1).expand(answers, -1, -1, queries)
    p = logits.sigmoid().transpose(2, 3).gather(2, labels)  # [K, B, M, Q]
    truth, found = targets.boxes.unsqueeze(2), boxes.unsqueeze(2)
    corners = corners_of(truth), corners_of(found)
    if by_quality:
        cost = -p * paired_iou(*corners).pow(4)
    else:
        focal = FOCAL_SHARE * (1 - p).square() * -(p + 1e-8).log()
        focal = focal - (1 - FOCAL_SHARE) * p.square() * -(1 - p + 1e-8).log()
        distance = (truth - found).abs().sum(-1)
        cost = CLASS_COST * focal + L1_GAIN * distance - GIOU_GAIN * generalised_iou(*corners)
    cost = torch.where(cost.isfinite(), cost, 1.0).flatten(0, 1)
    valid = targets.valid.expand(answers, -1, -1)
    query, paired = least_cost_pairs(cost, valid.flatten(0, 1))
    truth = torch.arange(rows, device=logits.device).expand_as(valid)
    everyone = torch.ones(queries, dtype=torch.bool, device=logits.device)
    return Pairs(query.view_as(valid), truth, paired.view_as(valid), everyone)


def pairs_of(noise: DenoisingQueries) -> Pairs:
    """Queries in disguise learn the boxes that they were made of."""
    answers, shape = LAYERS + 1, noise.truth.shape
    query = torch.arange(shape[1], device=noise.truth.device).expand(answers, *shape)
    truth, found = (x.expand(answers, *shape) for x in (noise.truth, noise.found))
    any_box = noise.found.any()
    return Pairs(query, truth, found, noise.counted & any_box)


# --- losses ---------------------------------------------------------------------------------------


def pair_losses(
    boxes: Tensor, logits: Tensor, targets: Targets, pairs: Pairs, count: Tensor
) -> dict[str, Tensor]:
    """MAL, 5 times L1 and twice GIoU of K answers, added up, per true box.

    MAL (matchability-aware loss, DEIM, arXiv 2412.04234): a paired query is to say IoU^1.5 at the true class, with
    weight 1; all else is to say 0, weighed by how likely it is said to be.

    Args:
        boxes: [K, B, Q, 4], centre and sides.
        logits: [K, B, Q, nc].
        targets: Truth, boxes by centre and sides.
        pairs: Which query learns which box.
        count: Number of true boxes, a scalar.
    """
    answers, batch, _, nc = logits.shape
    wide = pairs.query.unsqueeze(-1).expand(-1, -1, -1, 4)
    placed = boxes.gather(2, wide)
    rows = pairs.truth.unsqueeze(-1).expand(-1, -1, -1, 4)
    truth = targets.boxes.expand(answers, -1, -1, -1).gather(2, rows)
    labels = targets.labels.clamp(min=0).expand(answers, -1, -1).gather(2, pairs.truth)
    corners = corners_of(placed), corners_of(truth)
    with torch.no_grad():
        quality = paired_iou(*corners).pow(QUALITY_POWER)
        place, shape = pairs.query * nc + labels, (answers, batch, logits[0, 0].numel())
        wanted = logits.new_zeros(shape).scatter_add(2, place, quality * pairs.paired)
        paired = logits.new_zeros(shape).scatter_add(2, place, pairs.paired.to(logits.dtype))
        wanted, paired = wanted.view_as(logits), paired.view_as(logits) > 0
        weight = torch.where(paired, 1.0, logits.sigmoid().pow(QUALITY_POWER))
        weight = weight * pairs.counted.unsqueeze(-1)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    distance = (placed - truth).abs().sum(-1)
    parts = {
        "mal": (weight * entropy).sum(),
        "l1": L1_GAIN * (distance * pairs.paired).sum(),
        "giou": GIOU_GAIN * ((1 - generalised_iou(*corners)) * pairs.paired).sum(),
    }
    return {name: value / count for name, value in parts.items()}
