"""What compression asks of a classifier: a plan of widths, and which channels live and die together."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import CompressionError
from .fold import fold_conv_bn
from .trainable import Targets, Trainable


@dataclass(frozen=True)
class ChannelSet:
    """Channels that one set of indices prunes, wherever they are written and read.

    Attributes:
        name: Name of the set, a key of a plan of widths.
        role: What the set is in its network, such as ``out`` of a residual stage; sets of one role can share a rate.
        width: Number of channels.
        taps: Modules whose outputs [B, width, H, W] show the channels. Setting a channel to zero at every tap is
            the same as removing it. Scores are averaged over taps.
        follows: Set whose width this one takes where nothing else is said.
    """

    name: str
    role: str
    width: int
    taps: tuple[str, ...]
    follows: str | None = None


@dataclass(frozen=True)
class Wire:
    """Which channels a module with parameters reads and writes.

    Attributes:
        module: Name of the module.
        writes: Set that slices its tensors' first axis; None where the axis is not prunable.
        reads: Set that slices the second axis of its weight.
    """

    module: str
    writes: str | None
    reads: str | None = None


class Classifier(Trainable):
    """A network from images float32 [B, 3, H, W], RGB in 0..1, to logits [B, nc].

    Subclasses set the class attributes, build themselves from ``self.widths`` and describe themselves by
    ``channel_sets`` and ``wires``.

    Args:
        nc: Number of classes.
        widths: Channels by name of set; a set that is not named has its full width.

    Attributes:
        name: Name of the network, which its plans bear.
        full_widths: Published width of every set, in order.
        cut_form: Class of the network that ``pruning_form`` gives, where it is another one.
        tail: Last sets that a list of rates may leave out; they are kept then.

    Raises:
        CompressionError: The plan names an unknown set, or a width is no whole number above 0.

    Example:
        >>> from defectbench.base.methods import load_method
        >>> vgg16 = load_method("vgg16", "models").module.VGG16
        >>> vgg16(6, {"conv1": 38}).widths["conv1"]
        38
    """

    name: ClassVar[str]
    full_widths: ClassVar[Mapping[str, int]]
    cut_form: ClassVar[type[Classifier] | None] = None
    tail: ClassVar[tuple[str, ...]] = ()

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.nc = nc
        self.widths = self._checked(widths or {})

    def _checked(self, widths: Mapping[str, int]) -> dict[str, int]:
        check_names(widths, self.full_widths, "widths")
        for name, width in widths.items():
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise CompressionError("widths", name, width, "give a whole number of at least 1")
        return {**self.full_widths, **widths}

    @property
    def channel_sets(self) -> tuple[ChannelSet, ...]:
        """The prunable sets in order; their names are those of ``full_widths``."""
        raise TypeError(f"{type(self).__name__} lacks channel_sets")

    @property
    def wires(self) -> tuple[Wire, ...]:
        """Every module with parameters, in the order of the network."""
        raise TypeError(f"{type(self).__name__} lacks wires")

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        """Cross-entropy of the class of each image's one box."""
        return {"loss": F.cross_entropy(self(images), targets.labels[:, 0])}

    def phase(self, epoch: int) -> Hashable:
        """The same loss in every epoch."""
        return "all"

    @classmethod
    def scaled_widths(cls, factor: float) -> dict[str, int]:
        """Every full width times a factor, rounded, at least 1."""
        return {name: max(1, round(factor * width)) for name, width in cls.full_widths.items()}

    def narrowed(self, widths: Mapping[str, int]) -> Self:
        """A fresh network of other widths; a set that is not named keeps the width that it has here."""
        return type(self)(self.nc, {**self.widths, **widths})

    def pruning_form(self) -> Classifier:
        """The network that is scored and pruned; another one where training has branches to merge."""
        return self

    def deploy(self) -> nn.Module:
        """A copy in eval mode without branches and norms of convolutions: images to probabilities [B, nc]."""
        bare = copy.deepcopy(self.pruning_form())
        for first, second in pairwise([wire.module for wire in bare.wires]):
            conv, norm = bare.get_submodule(first), bare.get_submodule(second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                bare.set_submodule(first, fold_conv_bn(conv, norm))
                bare.set_submodule(second, nn.Identity())
        return nn.Sequential(bare, nn.Softmax(1)).eval()


def build_planned(
    network: type[Classifier],
    nc: int,
    width: float = 1.0,
    plan: Mapping[str, Any] | None = None,
) -> Classifier:
    """What ``build`` of a classifier's folder does: the network at any width, or as a cut left it.

    Args:
        network: Class of the network in training form.
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a cut network: ``network``, the name of this one or of the form of it that is cut, and ``widths`` by
            set; it wins over ``width``.

    Raises:
        CompressionError: The plan is of another network, or the widths do not fit.
    """
    if plan is None:
        return network(nc, None if width == 1.0 else network.scaled_widths(width))
    forms = {form.name: form for form in (network, network.cut_form) if form is not None}
    if plan.get("network") not in forms:
        fix = f"the plan is of another network; give one of {' or '.join(sorted(forms))}"
        raise CompressionError("plan", "network", plan.get("network"), fix)
    return forms[plan["network"]](nc, plan["widths"])


def check_names(names: Iterable[str], table: Iterable[str], field: str) -> None:
    """Hold names against a table.

    Raises:
        CompressionError: A name is not in it.
    """
    choices = list(table)
    for name in names:
        if name not in choices:
            raise CompressionError("plan", field, name, f"choose of {', '.join(choices)}")


def initialise(network: nn.Module) -> None:
    """He's normal for convolutions, by what they write; batch norms 1 and 0; linear layers N(0, 0.01^2), bias 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def pooled(x: Tensor) -> Tensor:
    """Mean [B, C] of each map of x [B, C, H, W]."""
    return x.mean((2, 3))


def conv_bn(conv: str, norm: str, writes: str, reads: str | None) -> Iterator[Wire]:
    """Wires of a convolution and its batch norm."""
    yield Wire(conv, writes, reads)
    yield Wire(norm, writes)
