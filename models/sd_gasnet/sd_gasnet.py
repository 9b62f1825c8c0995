"""SD-GASNet (Fu et al., Sensors 2026): e-LVT backbone, AES-FPN with FIGA and CS, decoupled head, distillation.

The paper's text could be reached only in part. Widths, the pyramid, its MBLA stages and the head follow the
first author's public repository of an earlier stage of the network; the insides of FGPEM, of CS and of the
enhanced KL loss are *reconstructed*. Written from a description, not from that code.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.assigners import Assignment
from defectbench.nn.blocks import ConvBlock, PredictionConv2d, chosen
from defectbench.nn.boxes import generalised_iou, paired_iou
from defectbench.nn.detector import Detector, Targets, clip_boxes, grid_priors, total_of
from defectbench.nn.distillation import Predictions, Teacher, enhanced_kl, fading, plain_kl
from defectbench.nn.heads import boxes_of_sides, decode_bins, join_levels
from defectbench.nn.losses import distribution_focal, varifocal
from defectbench.nn.necks import bilinear_like
from defectbench.nn.rep import RepConv
from defectbench.nn.task_aligned import task_aligned
from defectbench.nn.waiting import picked
from defectbench.nn.yolo import BN_EPS, BN_MOMENTUM, conv_silu

from .frequency import FGPEM
from .lvt import LiteTransformer
from .yolov6 import MBLA, BiC, conv_relu

WIDTH = 64  # of all levels inside the neck
BINS = 17  # of a side's distance: 0 to 16 strides

# --- blocks: those of YOLOv6's neck are in yolov6.py ----------------------------------------------


def conv_norm(c_in: int, c_out: int) -> ConvBlock:
    """1x1 and batch norm."""
    return ConvBlock(c_in, c_out, act="none", eps=BN_EPS, momentum=BN_MOMENTUM)


# --- backbone: LiteTransformer of lvt.py ----------------------------------------------------------

DEPTHS = {"elvt_ds": (1, 1, 2, 2), "lvt_ds": (2, 2, 2, 2)}
C2, C3, C4, C5 = LiteTransformer.widths

# --- neck: AES-FPN --------------------------------------------------------------------------------


def align(maps: Sequence[Tensor]) -> Tensor:
    """MFA: all four levels at a sixteenth of the image's size, joined [B, 544, H / 16, W / 16].

    Finer levels are averaged (sides are multiples of 32, so cells of the mean do not overlap), the coarsest
    is enlarged.
    """
    fine, middle, reference, coarse = maps
    shrunk = [F.avg_pool2d(fine, 4), F.avg_pool2d(middle, 2)]
    return torch.cat((*shrunk, reference, bilinear_like(coarse, reference)), 1)


ENHANCE = {
    "fgpem": FGPEM,
    "rep": lambda channels: nn.Sequential(*(RepConv(channels) for _ in range(3))),
    "none": lambda _channels: nn.Identity(),
}


class FIGA(nn.Module):
    """Alignment, enhancement, and one map for each of the two levels that are fused from the top down.

    Args:
        mfa: Whether all four levels are aligned and joined; else the map at a sixteenth stands alone.
        enhance: ``fgpem``, ``rep`` (re-parameterised 3x3, as the repository has it) or ``none``.
    """

    def __init__(self, mfa: bool, enhance: str) -> None:
        super().__init__()
        self.mfa = mfa
        inside = chosen("enhance", enhance, ENHANCE)(2 * WIDTH)
        narrow = conv_silu(C2 + C3 + C4 + C5 if mfa else C4, 2 * WIDTH)
        self.layers = nn.Sequential(narrow, inside, conv_silu(2 * WIDTH, 2 * WIDTH))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return self.layers(align(maps) if self.mfa else maps[2]).chunk(2, 1)


class Injection(nn.Module):
    """A level's map gated by, and added to, what was gathered from all levels (Wang et al., NeurIPS 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.local, self.gate, self.value = (conv_norm(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, gathered: Tensor) -> Tensor:
        gate, value = F.hardsigmoid(self.gate(gathered)), self.value(gathered)
        return self.local(x) * bilinear_like(gate, x) + bilinear_like(value, x)


class Synchronisation(nn.Module):
    """CS: adds what a fused map lost of the backbone's map, the share of both weighed for each channel.

    *Reconstructed*: the paper says only that CS makes up for what is lost while fusing.

    Args:
        c_raw: Channels of the backbone's map.
    """

    def __init__(self, c_raw: int) -> None:
        super().__init__()
        self.raw = conv_norm(c_raw, WIDTH)
        self.weigh = nn.Sequential(
            nn.Conv2d(2 * WIDTH, WIDTH // 4, 1), nn.SiLU(), nn.Conv2d(WIDTH // 4, 2 * WIDTH, 1)
        )

    def forward(self, fused: Tensor, raw: Tensor) -> Tensor:
        raw = self.raw(raw)
        means = [x.mean((2, 3), keepdim=True) for x in (fused, raw)]
        shares = self.weigh(torch.cat(means, 1)).unflatten(1, (2, WIDTH)).softmax(1)
        return fused + shares[:, 0] * fused + shares[:, 1] * raw


class AESFPN(nn.Module):
    """Pyramid of bidirectional concatenation and MBLA with FIGA and CS; three maps of four.

    Args:
        figa: Whether what all levels gather is injected.
        mfa: See ``FIGA``.
        enhance: See ``FIGA``.
        cs: Whether levels are synchronised with the backbone's.
        shared_inject: Whether both levels share one injection, as in the repository; its batch norms then
            mix two resolutions.
    """

    widths = (WIDTH, 2 * WIDTH, 4 * WIDTH)

    def __init__(self, figa: bool, mfa: bool, enhance: str, cs: bool, shared_inject: bool) -> None:
        super().__init__()
        self.top = conv_relu(C5, WIDTH)
        self.fuse = nn.ModuleList((BiC(C4, C3, WIDTH), BiC(C3, C2, WIDTH)))
        self.middle = nn.Sequential(MBLA(WIDTH, WIDTH), conv_relu(WIDTH, WIDTH))
        self.outs = nn.ModuleList(
            (MBLA(WIDTH, WIDTH), MBLA(2 * WIDTH, 2 * WIDTH), MBLA(3 * WIDTH, 4 * WIDTH))
        )
        self.down = nn.ModuleList(conv_relu(c, c, 3, 2) for c in self.widths[:2])
        self.gather = FIGA(mfa, enhance) if figa else None
        first = Injection()
        injections = (first, first if shared_inject else Injection())
        self.inject = nn.ModuleList(injections) if figa else None
        self.synchronise = nn.ModuleList(Synchronisation(c) for c in (C5, C4, C3)) if cs else None

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        b2, b3, b4, b5 = maps
        gathered = self.gather(maps) if self.gather is not None else (None, None)
        t5 = self._synchronised(0, self.top(b5), b5)
        x4 = self._injected(0, self.fuse[0](t5, b4, b3), gathered[0])
        t4 = self.middle(self._synchronised(1, x4, b4))
        x3 = self._injected(1, self.fuse[1](t4, b3, b2), gathered[1])
        p3 = self.outs[0](self._synchronised(2, x3, b3))
        p4 = self.outs[1](torch.cat((self.down[0](p3), t4), 1))
        return [p3, p4, self.outs[2](torch.cat((self.down[1](p4), t5), 1))]

    def _injected(self, level: int, x: Tensor, gathered: Tensor | None) -> Tensor:
        return x if self.inject is None else self.inject[level](x, gathered)

    def _synchronised(self, level: int, x: Tensor, raw: Tensor) -> Tensor:
        return x if self.synchronise is None else self.synchronise[level](x, raw)


# --- head -----------------------------------------------------------------------------------------


class Head(nn.Module):
    """Per level a 1x1, then a 3x3 for classes beside a 3x3 for boxes, each with a 1x1 to its figures."""

    def __init__(self, nc: int, widths: Sequence[int] = AESFPN.widths) -> None:
        super().__init__()
        self.stems = nn.ModuleList(conv_silu(c, c) for c in widths)
        self.class_convs = nn.ModuleList(conv_silu(c, c, 3) for c in widths)
        self.box_convs = nn.ModuleList(conv_silu(c, c, 3) for c in widths)
        self.classes = predictors(widths, nc, -math.log((1 - 0.01) / 0.01))
        self.boxes = predictors(widths, 4, 1.0)

    def branches(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of maps [B, C, H, W] of the levels: those for the classes and those for the boxes, same shapes."""
        stems = [stem(x) for stem, x in zip(self.stems, maps, strict=True)]
        return each(self.class_convs, stems), each(self.box_convs, stems)

    def figures(self, of_classes: Sequence[Tensor], of_boxes: Sequence[Tensor]) -> Tensor:
        """Raw output [B, P, nc + 4] of ``branches``: class logits, distances of the sides in strides."""
        pairs = zip(each(self.classes, of_classes), each(self.boxes, of_boxes), strict=True)
        return join_levels([torch.cat(pair, 1) for pair in pairs])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.figures(*self.branches(maps))


def predictors(widths: Sequence[int], count: int, bias: float) -> nn.ModuleList:
    """A 1x1 to ``count`` figures for each level; weights start at 0, as in the repository."""
    convs = nn.ModuleList(PredictionConv2d(c, count, 1) for c in widths)
    for conv in convs:
        nn.init.zeros_(conv.weight)  # type: ignore[arg-type]
        nn.init.constant_(conv.bias, bias)  # type: ignore[arg-type]
    return convs


def each(layers: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    """The layer of each level on its map."""
    return [layer(x) for layer, x in zip(layers, maps, strict=True)]


# --- build ----------------------------------------------------------------------------------------


class SDGasNet(Detector):
    """Backbone -> AES-FPN -> head; while training also distances as distributions, and perhaps a teacher.

    The detection loss is YOLOv6's: task-aligned assignment, varifocal loss, GIoU of both box branches and
    the distribution focal loss, each over the sum of the assigned qualities. Boxes of the branch that is
    deployed guide the assigner (*reconstructed*).

    Args:
        nc: Number of classes.
        backbone: Four maps at strides 4, 8, 16, 32.
        neck: Three maps at strides 8, 16, 32.
        kd: ``none`` (no distribution branch, no teacher), ``kl`` or ``ekl``.
    """

    strides = (8, 16, 32)
    training_only = ("bins",)

    def __init__(self, nc: int, backbone: nn.Module, neck: nn.Module, kd: str) -> None:
        super().__init__()
        self.nc = nc
        self.kd = chosen("kd", kd, {k: k for k in ("none", "kl", "ekl")})
        self.backbone, self.neck, self.head = backbone, neck, Head(nc)
        widths = AESFPN.widths
        self.bins = predictors(widths, 4 * BINS, 1.0) if kd != "none" else None
        self.teacher: Teacher | None = None

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw output [B, P, nc + 4] and, with a distribution branch, its logits [B, P, 4 * BINS]."""
        of_classes, of_boxes = self.head.branches(self.neck(self.backbone(images)))
        raw = self.head.figures(of_classes, of_boxes).float()
        return raw, None if self.bins is None else join_levels(each(self.bins, of_boxes)).float()

    def predictions(self, images: Tensor) -> Predictions:
        """What a student learns from images [B, 3, H, W]: class logits [B, P, C] and bins [B, P, 4 * bins]."""
        raw, bins = self.outputs(images)
        assert bins is not None
        return Predictions(raw[..., : self.nc], bins)

    def set_teacher(self, state: Mapping[str, Tensor]) -> None:
        if self.kd == "none":
            super().set_teacher(state)
        self.teacher = Teacher(self, state)

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        priors, targets = self.priors(images), targets.with_a_row()
        raw, bins = self.outputs(images)
        logits, boxes = raw[..., : self.nc], boxes_of_sides(raw[..., self.nc :], priors)
        seen = logits.detach().sigmoid(), boxes.detach(), priors[:, :2], targets
        assignment = task_aligned(*seen, top=13, alpha=1.0, beta=6.0, overlap_of=paired_iou)
        parts = detection_losses(logits, boxes, bins, priors, targets, assignment)
        if self.teacher is not None and bins is not None:
            student, teacher = Predictions(logits, bins), self.teacher(images)
            lost = (
                enhanced_kl(student, teacher)
                if self.kd == "ekl"
                else plain_kl(student, teacher, assignment)
            )
            fade = fading(epoch, self.epochs)
            parts |= {"kd_cls": 2.0 * fade * lost["cls"], "kd_loc": 0.5 * fade * lost["loc"]}
        return total_of(parts)

    def phase(self, epoch: int) -> Hashable:
        """A teacher fades from epoch to epoch; the truth stays."""
        return "truth" if self.teacher is None else epoch

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        priors = grid_priors(height, width, self.strides, self.offset, raw.device)
        boxes = boxes_of_sides(raw[..., self.nc :], priors)
        return clip_boxes(boxes, height, width), raw[..., : self.nc].sigmoid()


def detection_losses(
    logits: Tensor,
    boxes: Tensor,
    bins: Tensor | None,
    priors: Tensor,
    targets: Targets,
    assignment: Assignment,
) -> dict[str, Tensor]:
    """Class, box and distribution loss with their weights 1, 2.5 and 0.5.

    Args:
        logits: [B, P, C].
        boxes: [B, P, 4] of the direct branch, pixels.
        bins: [B, P, 4 * BINS] of the distribution branch, if there is one.
        priors: [P, 3].
        targets: Truth, at least one row.
        assignment: Which prior learns which box.
    """
    rows, total = picked(assignment.positive), assignment.quality.sum().clamp(min=1)
    label = targets.labels.clamp(min=0).gather(1, assignment.index).unsqueeze(-1)
    wanted = torch.zeros_like(logits).scatter_(2, label, assignment.quality.unsqueeze(-1))
    truth = rows.of(targets.boxes.gather(1, assignment.index.unsqueeze(-1).expand(-1, -1, 4)))
    weight = rows.of(assignment.quality) / total
    parts = {
        "vfl": varifocal(logits, wanted).sum() / total,
        "giou": 2.5 * rows.only(weight * (1 - generalised_iou(rows.of(boxes), truth))).sum(),
    }
    if bins is not None:
        where, spread = rows.of(priors.expand(len(logits), -1, -1)), rows.of(bins)
        drawn = decode_bins(spread.unsqueeze(0), where).squeeze(0)
        parts["giou_bins"] = 2.5 * rows.only(weight * (1 - generalised_iou(drawn, truth))).sum()
        sides = torch.cat((where[:, :2] - truth[:, :2], truth[:, 2:] - where[:, :2]), -1)
        sides = (sides / where[:, 2:]).clamp(0, BINS - 1 - 0.01)
        focal = distribution_focal(spread.unflatten(-1, (4, BINS)), sides).mean(-1)
        parts["dfl"] = 0.5 * rows.only(weight * focal).sum()
    return parts


def build(
    nc: int,
    kd: str = "ekl",
    figa: bool = True,
    mfa: bool = True,
    enhance: str = "fgpem",
    cs: bool = True,
    shared_inject: bool = False,
    backbone: str = "elvt_ds",
) -> SDGasNet:
    """Build SD-GASNet.

    Args:
        nc: Number of classes.
        kd: Loss of the distillation: ``none``, ``kl`` (the repository's) or ``ekl`` (enhanced).
        figa: Whether FIGA gathers all levels for the pyramid; ``mfa``, ``enhance`` and ``shared_inject`` are
            parts of it.
        mfa: Whether FIGA sees all levels, aligned, or only that at a sixteenth.
        enhance: Inside of FIGA: ``fgpem``, ``rep`` or ``none``.
        cs: Whether CS synchronises the pyramid with the backbone.
        shared_inject: Whether both levels share one injection.
        backbone: ``elvt_ds``, or ``lvt_ds`` with two blocks in each stage.

    Returns:
        The detector in training form; without a teacher it learns from the truth alone.

    Raises:
        ConfigError: An option has no such value.
    """
    body = LiteTransformer(chosen("backbone", backbone, DEPTHS))
    return SDGasNet(nc, body, AESFPN(figa, mfa, enhance, cs, shared_inject), kd)
