"""Which channels of a network must be cut together, from torch-pruning's dependency graph.

Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023. A group is rooted at one convolution; its other
members follow by additions, concatenations, splits, pools and depthwise convolutions. Groups without a batch norm, such
as those of the predictors, have no scale to be judged by and are never cut.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning import ops

from ...base.errors import CompressionError
from ...nn.size import MIB

Masks = Mapping[str, Tensor]  # of each group's root: bool [C], which channels stay


@dataclass(frozen=True)
class Member:
    """One module in a group.

    Attributes:
        name: Of the module.
        takes: Whether the group's channels come in (a consumer) instead of out.
        own: int64 [K], the module's channels.
        of: int64 [K], the group's channel that each belongs to.
    """

    name: str
    takes: bool
    own: Tensor
    of: Tensor


@dataclass(frozen=True)
class Group:
    """Channels that are cut together.

    Attributes:
        root: Name of the convolution that they are counted by.
        channels: How many.
        members: All modules that they pass.
        norms: Members that are batch norms.
        parts: int64 [C]: which channels may be cut to different counts; the two parts of a split have two numbers.
    """

    root: str
    channels: int
    members: tuple[Member, ...]
    norms: tuple[Member, ...]
    parts: Tensor


class ChannelGraph:
    """Groups of a network's channels, and what cutting them would leave.

    Args:
        model: The network; its forward takes images and gives one tensor. It is traced in eval mode.
        size: Side of the traced image, pixels.

    Attributes:
        model: The network.
        groups: Its groups with batch norms, in the order of their roots.
        norm_after: The batch norm that takes a convolution's output, directly or through additions.

    Raises:
        CompressionError: The network has no group with a batch norm.

    Example:
        >>> from defectbench.nn.plan import Plan
        >>> from defectbench.nn.yolov4 import YOLOv4
        >>> len(ChannelGraph(YOLOv4(6, Plan(0.05))).groups)
        84
    """

    def __init__(self, model: nn.Module, size: int = 64) -> None:
        self.model = model
        self.modules = dict(model.named_modules())
        names = {module: name for name, module in self.modules.items()}
        graph = _trace(model, size)
        all_groups = list(_groups(graph, names, model))
        self.groups = tuple(group for group in all_groups if group.norms)
        self.norm_after = {
            names[module]: names[norm]
            for module, node in graph.module2node.items()
            if isinstance(module, nn.Conv2d) and (norm := _norm_after(node)) is not None
        }
        if not self.groups:
            raise CompressionError(
                type(model).__name__, "batch norms", 0, "prune a network that has some"
            )

    def scores(self, group: Group) -> Tensor:
        """Largest |scale| [C] that any batch norm of the group gives each channel."""
        best = torch.zeros(group.channels)
        for norm in group.norms:
            scale = self.modules[norm.name].weight.detach().abs().cpu()  # type: ignore[union-attr]
            best.scatter_reduce_(0, norm.of, scale[norm.own].float(), "amax")
        return best

    def lost(self, masks: Masks) -> dict[tuple[str, bool], Tensor]:
        """Channels [K] that masks cut, by module and whether they are taken in; groups without a mask stay.

        Raises:
            CompressionError: A mask leaves nothing, or is of no group.
        """
        by_root = {group.root: group for group in self.groups}
        lost: dict[tuple[str, bool], list[Tensor]] = {}
        for root, keep in masks.items():
            group = by_root.get(root)
            if group is None or keep.shape != (group.channels,) or not keep.any():
                fix = "mask the channels of a group's root and keep at least one"
                raise CompressionError("masks", root, tuple(keep.shape), fix)
            for member in group.members:
                cut = member.own[~keep[member.of]]
                lost.setdefault((member.name, member.takes), []).append(cut)
        return {passage: torch.cat(cuts).unique() for passage, cuts in lost.items()}

    def stored_mib(self, masks: Masks, without: Collection[str] = ()) -> float:
        """Size after a cut, see ``nn.size.stored_mib``, without making it.

        Args:
            masks: What stays.
            without: Names of modules that are dropped whole.
        """
        lost = {passage: len(cut) for passage, cut in self.lost(masks).items()}
        total = 0
        for name, module in self.modules.items():
            if any(name == gone or name.startswith(f"{gone}.") for gone in without):
                continue
            out, taken = lost.get((name, False), 0), lost.get((name, True), 0)
            parameters = list(module.parameters(recurse=False))
            if isinstance(module, nn.Conv2d) and module.groups == 1:
                kernel = module.kernel_size[0] * module.kernel_size[1]
                bias = int(module.bias is not None)
                total += (module.out_channels - out) * (
                    kernel * (module.in_channels - taken) + bias
                )
            else:  # a depthwise convolution and a norm lose one row a channel
                total += sum(
                    p.numel() - p[0].numel() * out if out else p.numel() for p in parameters
                )
                if isinstance(module, nn.BatchNorm2d):
                    total += 2 * (module.num_features - out)
        return 4 * total / MIB


class _SplitsAsSlices(TorchFunctionMode):
    """Shows every split to the tracer as slices, whose places it knows; it confuses the parts of a split."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        parts = func(*args, **(kwargs or {}))
        hidden = not torch.is_grad_enabled()  # within a hand-written gradient: no part of the graph
        if hidden or getattr(func, "__name__", "") not in ("split", "chunk"):
            return parts
        starts = torch.tensor([0, *(part.shape[1] for part in parts)]).cumsum(0).tolist()
        return tuple(args[0].narrow(1, a, p.shape[1]) for a, p in zip(starts, parts, strict=False))


def _trace(model: nn.Module, size: int) -> tp.DependencyGraph:
    """The dependency graph, traced on one black image; nothing of the model changes."""
    graph, training = tp.DependencyGraph(), model.training
    slices: Any = graph.REGISTERED_PRUNERS[ops.OPTYPE.SLICE]
    slices.get_out_channels = lambda part: (part.end - part.start) // part.step
    frozen = [p for p in model.parameters() if not p.requires_grad]
    images = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    try:
        for parameter in frozen:
            parameter.requires_grad = True
        with torch.enable_grad(), _SplitsAsSlices(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unwrapped parameters")  # they are not cut
            graph.build_dependency(model, images)
    finally:
        for parameter in frozen:
            parameter.requires_grad = False
        model.train(training)
    return graph


def _groups(
    graph: tp.DependencyGraph, names: dict[nn.Module, str], model: nn.Module
) -> Iterator[Group]:
    """All groups; each channel of each convolution is in one, but for those of predictors, which are never cut."""
    modules = {name: module for module, name in names.items()}
    seen: dict[nn.Module, set[int]] = {}
    for root in model.modules():
        if not isinstance(root, nn.Conv2d) or root not in graph.module2node:
            continue
        if _leads_out(graph.module2node[root]):  # to follow every figure of the output takes long
            continue
        new = [n for n in range(root.out_channels) if n not in seen.get(root, ())]
        if not new:
            continue
        number_of = {channel: n for n, channel in enumerate(new)}
        members = []
        for item in graph.get_pruning_group(root, tp.prune_conv_out_channels, new).items:
            module = item.dep.target.module
            if module not in names:
                continue
            takes = item.dep.handler.__name__ == "prune_in_channels" and _is_dense(module)
            of = torch.tensor([number_of[n] for n in item.root_idxs])  # type: ignore[attr-defined]
            members.append(Member(names[module], takes, torch.tensor(item.idxs), of))
            if isinstance(module, nn.Conv2d) and not takes:
                seen.setdefault(module, set()).update(item.idxs)
        norms = tuple(m for m in members if isinstance(modules[m.name], nn.BatchNorm2d))
        yield Group(names[root], len(new), tuple(members), norms, _parts(members, len(new)))


def _leads_out(node: Any) -> bool:
    """Whether nothing with weights of its own, and no sum with another branch, comes behind a node: a predictor."""
    behind, seen = list(node.outputs), set()
    while behind:
        after = behind.pop()
        if after in seen:
            continue
        seen.add(after)
        is_sum = len(set(after.inputs)) > 1 and "CatBackward" not in str(after.grad_fn)
        if is_sum or next(after.module.parameters(), None) is not None:
            return False
        behind += after.outputs
    return True


def _is_dense(module: nn.Module) -> bool:
    """Whether channels in and out of a module are cut apart."""
    return isinstance(module, nn.Conv2d) and not module.groups == module.out_channels > 1


def _parts(members: list[Member], channels: int) -> Tensor:
    """Channels with one number pass the same members."""
    passes = torch.zeros(channels, len(members), dtype=torch.int64)
    for n, member in enumerate(members):
        passes[:, n] = torch.bincount(member.of, minlength=channels)
    return passes.unique(dim=0, return_inverse=True)[1]


def _norm_after(node: Any) -> nn.Module | None:
    """The batch norm that takes a node's output, directly or through additions."""
    for after in node.outputs:
        if isinstance(after.module, nn.BatchNorm2d):
            return after.module
        if "AddBackward" in str(getattr(after.module, "_grad_fn", "")):
            return _norm_after(after)
    return None
