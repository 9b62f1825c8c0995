"""What published networks give: ncnn runs its files; of a state dictionary its program's outputs are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..base.errors import WeightsError
from ..base.published import PublishedInput, PublishedOutput
from .images import noise_images
from .ncnn_network import Array, NcnnNetwork, ncnn_version

RAW = "raw"


@dataclass(frozen=True)
class Trial:
    """What two networks are compared on.

    Attributes:
        size: Side of the images, pixels.
        images: Number of images.
        seed: Seed of the images.
    """

    size: int
    images: int = 3
    seed: int = 0


class PublishedNetwork(Protocol):
    """The published side of a comparison.

    Attributes:
        program: What computes its outputs.
        trial: What it is compared on.
    """

    program: str
    trial: Trial

    def outputs(self, index: int, image: NDArray[np.uint8]) -> dict[str, Array]:
        """Outputs by name, float32 [P, C], of the image of that number, uint8 [3, S, S] in RGB."""
        ...


class NcnnReference:
    """ncnn on the published files.

    Args:
        files: The ``.param`` and the ``.bin`` file by suffix.
        wants: What the network wants to see.
        compared: The outputs.
        trial: What it is compared on.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        wants: PublishedInput,
        compared: Mapping[str, PublishedOutput],
        trial: Trial,
    ) -> None:
        self.network = NcnnNetwork(files[".param"], files[".bin"])
        self.wants, self.compared, self.trial = wants, compared, trial
        self.program = f"ncnn {ncnn_version()}"

    def outputs(self, index: int, image: NDArray[np.uint8]) -> dict[str, Array]:
        """Outputs by name, levels one after the other."""
        names = [blob for output in self.compared.values() for blob in output.blobs]
        blobs = self.network(as_wanted(image, self.wants), self.wants.blob, names)
        maps = dict(zip(names, blobs, strict=True))
        return {
            name: np.concatenate([_rows(maps[blob], blob, output) for blob in output.blobs])
            for name, output in self.compared.items()
        }


def _rows(cells: Array, blob: str, output: PublishedOutput) -> Array:
    """A map [C, H, W] as [H * W, C]."""
    first, end = output.columns
    if cells.ndim != 3 or len(cells) != end - first:
        fix = f"name a map of {end - first} channels, as many as columns"
        raise WeightsError("card.yaml", f"weights.outputs: blob {blob}", list(cells.shape), fix)
    return cells.reshape(len(cells), -1).T


class KeptReference:
    """Outputs of a published program, kept in a file with the seed of their images.

    Args:
        path: safetensors: ``raw``, float32 [N, P, D]; its metadata say ``program``, ``seed`` and ``size`` and give
            the SHA-256 of the images.
        compared: The outputs.

    Raises:
        WeightsError: The file is missing or damaged, or its images are not those that are drawn now.
    """

    def __init__(self, path: str | Path, compared: Mapping[str, PublishedOutput]) -> None:
        try:
            with safe_open(path, "numpy") as kept:
                self.raw, about = kept.get_tensor(RAW), kept.metadata() or {}
            seed, size = int(about["seed"]), int(about["size"])
            self.program, sha256 = about["program"], about["images_sha256"]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            fix = "take the file anew from the repository"
            raise WeightsError(path, "kept outputs", str(error), fix) from error
        self.compared, self.trial = compared, Trial(size, len(self.raw), seed)
        drawn = images_sha256(self.trial)
        if drawn != sha256:
            fix = f"the kept outputs are of images with {sha256[:8]}: take them from this version of the suite"
            raise WeightsError(path, "images_sha256", drawn[:8], fix)

    def outputs(self, index: int, image: NDArray[np.uint8]) -> dict[str, Array]:
        """Outputs by name."""
        return {
            name: self.raw[index][:, slice(*output.columns)]
            for name, output in self.compared.items()
        }


def images_sha256(trial: Trial) -> str:
    """SHA-256 of the bytes of a trial's images."""
    return hashlib.sha256(noise_images(trial.images, trial.size, trial.seed).tobytes()).hexdigest()


def as_wanted(image: NDArray[np.uint8], wants: PublishedInput) -> Array:
    """An image uint8 [3, S, S] in RGB as a published network wants it, float32 [3, S, S]."""
    colours = image if wants.colours == "rgb" else image[::-1]
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (wants.mean, wants.std))
    return (colours.astype(np.float32) - mean) / std
