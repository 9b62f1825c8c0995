"""The proof of an architecture: published weights in our deployed network give what the published network gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..base.errors import ConfigError
from ..base.methods import Method
from ..base.published import PublishedOutput, PublishedWeights
from .files import find_files
from .images import noise_images
from .ncnn_network import Array
from .published import network_with, published_weights
from .references import KeptReference, NcnnReference, PublishedNetwork, Trial


@dataclass(frozen=True)
class OutputDifference:
    """How far one output of ours lies from the published one.

    Attributes:
        name: Of the output.
        n_values: Numbers that were compared.
        lowest: Lowest published value.
        highest: Highest published value.
        largest: Largest difference.
        bound: Largest difference that counts as equal.
        rounding: Largest difference between ours and the same network of ours in float64: what float32 alone costs.
    """

    name: str
    n_values: int
    lowest: float
    highest: float
    largest: float
    bound: float
    rounding: float

    @property
    def is_within(self) -> bool:
        """Whether the difference keeps the bound; one that is no number does not."""
        return self.largest <= self.bound


@dataclass(frozen=True)
class Proof:
    """What came of a check.

    Attributes:
        method: Name of the method.
        files: SHA-256 of the files by name.
        program: What the published side was computed by.
        trial: What both were compared on.
        n_parameters: Numbers that were put into our network.
        differences: One an output.
    """

    method: str
    files: dict[str, str]
    program: str
    trial: Trial
    n_parameters: int
    differences: list[OutputDifference]

    @property
    def holds(self) -> bool:
        """Whether every output keeps its bound."""
        return all(difference.is_within for difference in self.differences)


def check_weights(
    method: Method, place: str | Path, trial: Trial | None = None, name: str | None = None
) -> Proof:
    """Load published weights into a method's deployed network and compare its outputs with the published ones.

    Args:
        method: The method, whose card names the weights.
        place: Folder of the files, or one of them.
        trial: Images to compare on; three of the published size by default, or those of the kept outputs.
        name: Which of the card's weights; the only ones by default.

    Raises:
        ConfigError: The card names no weights or nothing to compare, or outputs are kept for other images than asked
            for.
        WeightsError: The files are not there, are damaged, or do not fit the network.
    """
    weights = published_weights(method, name)
    if not weights.outputs:
        fix = "they are to start from: name weights with `outputs`, which say what is compared"
        raise ConfigError(method.folder / "card.yaml", "weights.outputs", None, fix)
    files = find_files(weights.sha256, place)
    network, count = deployed_with(method, weights, files)
    reference = _reference(method, weights, files, trial)
    files_sha256 = {path.name: weights.sha256[suffix] for suffix, path in files.items()}
    differences = compare(network, reference, weights)
    return Proof(
        method.card.name, files_sha256, reference.program, reference.trial, count, differences
    )


def trial_asked_for(
    method: Method,
    size: int | None = None,
    images: int | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Trial | None:
    """The images that a user asks for; None where nothing was said.

    Args:
        method: Its card says the size that is taken where none is named.
        size: Side, pixels.
        images: Number of images.
        seed: Seed of the images.
        name: Which of the card's weights; the only ones by default.

    Raises:
        ConfigError: The card names no weights, or the size is no multiple of 32.
    """
    if size is None and images is None and seed is None:
        return None
    usual = Trial(size or published_weights(method, name).size)
    if usual.size % 32:
        raise ConfigError("--size", "pixels", usual.size, "name a multiple of 32")
    return Trial(usual.size, images or usual.images, seed or usual.seed)


def deployed_with(
    method: Method, weights: PublishedWeights, files: Mapping[str, Path]
) -> tuple[nn.Module, int]:
    """The method's folded network with published weights, made to see RGB in 0..1.

    Args:
        method: The method.
        weights: What its card says of them.
        files: The files by suffix.

    Returns:
        The detector in its folded form, images float32 [B, 3, S, S] to its raw output [B, P, D]; and the number of
        its parameters that were published.

    Raises:
        WeightsError: The files are damaged or do not fit.
    """
    network = network_with(method, weights, files)
    return network if weights.is_ncnn else network.deploy().detector, _count(network)  # type: ignore[operator,union-attr]


def _count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def _reference(
    method: Method, weights: PublishedWeights, files: Mapping[str, Path], trial: Trial | None
) -> PublishedNetwork:
    if weights.reference is None:
        return NcnnReference(files, weights.input, weights.outputs, trial or Trial(weights.size))
    kept = KeptReference(method.folder / weights.reference, weights.outputs)
    if trial not in (None, kept.trial):
        fix = f"ask for none: the published program's outputs are kept for {kept.trial}"
        raise ConfigError(method.folder / "card.yaml", "images", trial, fix)
    return kept


def compare(
    network: nn.Module, reference: PublishedNetwork, weights: PublishedWeights
) -> list[OutputDifference]:
    """Largest difference of each output over all images of a reference.

    Args:
        network: Images float32 [1, 3, S, S], RGB in 0..1, to its raw output [1, P, D].
        reference: The published side.
        weights: What is compared.
    """
    trial = reference.trial
    exact = copy.deepcopy(network).double()
    outputs: dict[str, list[_Values]] = {name: [] for name in weights.outputs}
    for index, image in enumerate(noise_images(trial.images, trial.size, trial.seed)):
        pixels = torch.from_numpy(image).unsqueeze(0)
        with torch.inference_mode():
            ours, truth = network(pixels.float() / 255)[0], exact(pixels.double() / 255)[0]
        published = reference.outputs(index, image)
        for name, output in weights.outputs.items():
            values = _Values(_output(ours, output), _output(truth, output), published[name])
            outputs[name].append(values)
    return [_difference(name, outputs[name], o.bound) for name, o in weights.outputs.items()]


class _Values(NamedTuple):
    """An output of one image: ours, ours in float64, and the published one."""

    ours: NDArray[np.float64]
    exact: NDArray[np.float64]
    published: Array


def _output(raw: Tensor, output: PublishedOutput) -> NDArray[np.float64]:
    columns = raw[:, slice(*output.columns)]
    return (columns.sigmoid() if output.probability else columns).double().numpy()


def _difference(name: str, images: list[_Values], bound: float) -> OutputDifference:
    ours, exact, published = (
        np.stack(side).astype(np.float64) for side in zip(*images, strict=True)
    )
    if ours.shape != published.shape:
        fix = f"the published network gives {list(published.shape)}; mend the columns or blobs"
        raise ConfigError("card.yaml", f"weights.outputs.{name}", list(ours.shape), fix)
    far, rounding = (float(np.abs(ours - other).max()) for other in (published, exact))
    ends = float(published.min()), float(published.max())
    return OutputDifference(name, published.size, *ends, far, bound, rounding)
