"""DEIMv2-Pico (Huang et al., arXiv 2509.20787): a small DETR that needs no suppression.

Its pieces are shared with its sisters: the backbone in ``defectbench.nn.hgnet``, the encoder in ``.lite_encoder``, the
decoder in ``.query_decoder``, denoising, matching and losses in ``.denoising`` and ``.deimv2``.
"""

from __future__ import annotations

from defectbench.nn.deimv2 import PICO, DEIMv2


def build(nc: int, queries: int = 200, denoising: int = 100) -> DEIMv2:
    """Build DEIMv2-Pico.

    Args:
        nc: Number of classes.
        queries: Most boxes that are answered; an input with fewer cells (of 16 and of 32 pixels) has as many as cells.
        denoising: About how many true boxes in disguise are learnt beside; 0 for none.

    Returns:
        The detector in training form.

    Raises:
        ConfigError: A number is too small.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        1497803
    """
    return DEIMv2(nc, PICO, queries, denoising)
