"""Compressed methods of a study: what is made smaller, how, and what the smaller one is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from .filter_pruning import CFP, CHOICES, FINE_TUNING, TEACHERS
from .slimming import FADED, Pruning, Slimming
from .stages import Stage
from .variants import JOINT, is_variant, variant_of

__all__ = [
    "CFP",
    "CHOICES",
    "FADED",
    "FINE_TUNING",
    "JOINT",
    "TEACHERS",
    "WAYS",
    "Compression",
    "Pruning",
    "Slimming",
    "Stage",
    "base_method",
    "compressed_name",
    "compressed_title",
    "way_of",
]

WAYS = {"cfp": CFP, "slimming": Slimming}  # by `how`: a further way is one more class
OLDEST = "slimming"  # of records of cuts from before there was a second way, which name none
Compression = Annotated[Slimming | CFP, Field(discriminator="how")]


def compressed_name(compression: Slimming | CFP) -> str:
    """Name of the compressed method, which is that of its cells' folder.

    Example:
        >>> compressed_name(Slimming(method="yolov4", how="slimming"))
        'yolov4+slim4.19mib'
    """
    return f"{compression.method}{JOINT}{compression.name or compression.default_name}"


def compressed_title(title: str, name: str) -> str:
    """Name in tables of a compressed method, or of a variant, from that of its base and its own name.

    Example:
        >>> compressed_title("YOLOv4", "yolov4+slim4.19mib_chen2017")
        'YOLOv4, slimmed to 4.19 MiB, chen2017'
        >>> compressed_title("YOLOv4", "yolov4+slim4.19mib_thin")
        'YOLOv4, slimmed to 4.19 MiB, thin from scratch'
        >>> compressed_title("VGG-16", "vgg16+cfpv39")
        'VGG-16, pruned by CFP (v39)'
        >>> compressed_title("VGG-16", "vgg16+cfpv39_r")
        'VGG-16, pruned by CFP (v39), teacher R alone'
        >>> compressed_title("YOLOv4", "yolov4+mine")
        'YOLOv4, mine'
        >>> compressed_title("NanoDet-m", "nanodet_m+from_coco")
        'NanoDet-m, from COCO'
    """
    if is_variant(name):
        return f"{title}, {variant_of(name).title}"
    own_name = name.partition(JOINT)[2]
    words = (way.title_of(own_name) for way in WAYS.values())
    return f"{title}, {next(filter(None, words), own_name)}"


def base_method(name: str) -> str:
    """The method behind a name, compressed or not.

    Example:
        >>> base_method("yolov4+slim4.19mib"), base_method("yolov4")
        ('yolov4', 'yolov4')
    """
    return name.partition(JOINT)[0]


def way_of(settings: Mapping[str, Any]) -> type[Slimming] | type[CFP] | None:
    """The way of compression that the record of a cut is of; None for one that is not known.

    Args:
        settings: Settings of that record.

    Example:
        >>> way_of({"how": "cfp"}).__name__, way_of({}).__name__
        ('CFP', 'Slimming')
    """
    return WAYS.get(settings.get("how", OLDEST))
