"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.errors import CompressionError
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


def build_planned(
    name: str, nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None
) -> Classifier:
    """What ``build`` of a classifier's folder in ``models/`` does.

    Args:
        name: Key of ``CLASSIFIERS``.
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: ``network``, a key of ``CLASSIFIERS``, and ``widths`` by set; it wins over
            ``width``.

    Raises:
        ConfigError: There is no network of that name.
        CompressionError: The plan is of another network, or the widths do not fit.

    Example:
        >>> build_planned("vgg16", 6, plan={"network": "vgg16", "widths": {"conv1": 38}}).widths["conv1"]
        38
    """
    if plan is not None:
        return build_classifier(_network_of(plan, name), nc, plan["widths"])
    return build_classifier(name, nc, None if width == 1.0 else scaled_widths(name, width))


def _network_of(plan: Mapping[str, Any], name: str) -> str:
    """The network of a plan: that of the folder, or the form of it that is cut."""
    forms = {name, chosen("classifier", name, CLASSIFIERS).cut_as or name}
    network = plan.get("network")
    if network not in forms:
        fix = f"the plan is of another network; give one of {' or '.join(sorted(forms))}"
        raise CompressionError("plan", "network", network, fix)
    return network
