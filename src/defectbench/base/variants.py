"""Variants of a method: the same network, trained from published weights or for another number of epochs.

A variant is a row of its own. Its name says what is other: ``nanodet_m+from_coco_10epochs``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

JOINT = "+"  # between a method and what is done to it: yolov4+slim4.19mib, nanodet_m+from_coco
DATA = {"coco": "COCO", "imagenet": "ImageNet"}  # as they write themselves
_OWN_NAME = re.compile(r"(?:from_(?P<start>[a-z][a-z0-9]*))?_?(?:(?P<epochs>[1-9]\d*)epochs)?")


@dataclass(frozen=True)
class Variant:
    """What is other than in the method's own row.

    Attributes:
        start: Published weights that it starts from; None for a start from scratch.
        epochs: Passes over the training part, where a study makes a row for each of several numbers.
    """

    start: str | None = None
    epochs: int | None = None

    @property
    def own_name(self) -> str:
        """What stands behind the method's name; empty where nothing is other.

        Example:
            >>> Variant("coco", 10).own_name, Variant(epochs=3).own_name, Variant().own_name
            ('from_coco_10epochs', '3epochs', '')
        """
        words = [f"from_{self.start}"] if self.start else []
        return "_".join([*words, *([f"{self.epochs}epochs"] if self.epochs else [])])

    def name_of(self, method: str) -> str:
        """Name of a method's row.

        Example:
            >>> Variant("coco").name_of("nanodet_m"), Variant().name_of("nanodet_m")
            ('nanodet_m+from_coco', 'nanodet_m')
        """
        return f"{method}{JOINT}{self.own_name}" if self.own_name else method

    @property
    def title(self) -> str:
        """What stands behind the method's title in tables.

        Example:
            >>> Variant("coco", 1).title
            'from COCO, 1 epoch'
        """
        words = [f"from {data_title(self.start)}"] if self.start else []
        if self.epochs:
            words.append(f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}")
        return ", ".join(words)


def variant_of(name: str) -> Variant:
    """What is other in a row, by its name; nothing for a method as it is, or a compressed one.

    Example:
        >>> variant_of("nanodet_m+from_coco_10epochs")
        Variant(start='coco', epochs=10)
        >>> variant_of("nanodet_m"), variant_of("yolov4+slim4.19mib")
        (Variant(start=None, epochs=None), Variant(start=None, epochs=None))
    """
    own = name.partition(JOINT)[2]
    found = _OWN_NAME.fullmatch(own)
    if found is None:
        return Variant()
    variant = Variant(found["start"], int(found["epochs"]) if found["epochs"] else None)
    return variant if variant.own_name == own else Variant()


def is_variant(name: str) -> bool:
    """Whether a row is one of a method with another start or number of epochs.

    Example:
        >>> is_variant("nanodet_m+3epochs"), is_variant("nanodet_m"), is_variant("yolov4+slim4.19mib")
        (True, False, False)
    """
    return variant_of(name) != Variant()


def data_title(start: str) -> str:
    """What weights were trained on, as it writes itself.

    Example:
        >>> data_title("coco"), data_title("mine")
        ('COCO', 'mine')
    """
    return DATA.get(start, start)
