"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Mapping

from .blocks import chosen
from .classifier import Classifier
from .mobilenet import MobileNetV2
from .repvgg import PlainRepVGGA0, RepVGGA0
from .resnet import ResNet50
from .vgg import VGG16

CLASSIFIERS: dict[str, type[Classifier]] = {
    network.name: network for network in (VGG16, ResNet50, MobileNetV2, RepVGGA0, PlainRepVGGA0)
}


def build_classifier(name: str, nc: int, widths: Mapping[str, int] | None = None) -> Classifier:
    """A fresh network.

    Args:
        name: Key of ``CLASSIFIERS``.
        nc: Number of classes.
        widths: Channels by name of set; full where nothing is said.

    Raises:
        ConfigError: There is no network of that name.
        CompressionError: The widths do not fit the network.
    """
    return chosen("classifier", name, CLASSIFIERS)(nc, widths)


def scaled_widths(name: str, factor: float) -> dict[str, int]:
    """Every full width of a network times a factor, rounded, at least 1.

    Example:
        >>> scaled_widths("vgg16", 0.25)["conv13"]
        128
    """
    full = chosen("classifier", name, CLASSIFIERS).full_widths
    return {key: max(1, round(factor * width)) for key, width in full.items()}
