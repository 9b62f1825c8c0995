"""NanoDet-Plus-m (RangiLyu, 2021): ShuffleNetV2 1.0x, GhostPAN, separable head, assign guide module.

The reference loads ImageNet weights into the backbone; here it is trained from scratch like all others.
"""

from __future__ import annotations

from defectbench.nn.blocks import chosen
from defectbench.nn.guides import AssignGuide
from defectbench.nn.heads import NanoDetPlusHead
from defectbench.nn.nanodet import NanoDetFamily
from defectbench.nn.necks import GhostPAN
from defectbench.nn.shufflenet import ShuffleNetV2

# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int, guide: str = "agm", assign_from: str = "aux", guide_precision: str = "float32"
) -> NanoDetFamily:
    """Build NanoDet-Plus-m.

    Args:
        nc: Number of classes.
        guide: ``agm`` (assign guide module) or ``none``.
        assign_from: Whose predictions the assigner sees: ``aux`` (the guide's), ``main`` or ``mean``.
        guide_precision: ``bfloat16`` computes the guide's dense towers in half the bits: a training
            step takes two thirds of the time where the processor has such instructions, which
            ``auto`` looks up.

    Returns:
        The detector in training form.
    """
    backbone = ShuffleNetV2()
    neck = GhostPAN(backbone.widths)
    guides = {"agm": lambda: AssignGuide(nc, neck, precision=guide_precision), "none": lambda: None}
    agm = chosen("guide", guide, guides)()
    return NanoDetFamily(nc, backbone, neck, NanoDetPlusHead(nc), agm, assign_from)
