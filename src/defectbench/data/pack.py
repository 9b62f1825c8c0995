"""Packs: one part of a split, decoded once, in one memory-mappable file with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..base.errors import LeakageError, PackError
from ..base.files import atomic_path, sha256_file
from ..base.places import parts_folder
from ..base.records import read_record
from ..base.tasks import DETECTION
from .mapped import file_checksum, map_tensor

if TYPE_CHECKING:  # torch takes seconds to load, and only who reads a pack needs it
    from torch import Tensor

    from .coco import Coco

SLACK = 1e-6  # rounding of x + w, pixels
METADATA = ("classes", "sha256")
IMAGES, TILES = (
    "images",
    "tiles",
)  # names of the tensor of pixels, and of the way of cutting in the metadata
TENSORS = ("boxes", "image_ids", "images", "labels", "original_size", "pad", "scale")
WHOLE = ("whole_boxes", "whole_ids", "whole_labels", "whole_size", "windows")  # of a pack of tiles
Values = TypeVar("Values", "Tensor", NDArray[Any])


@dataclass(frozen=True)
class WholeImages:
    """The images that the tiles of a pack were cut from, as arrays of numpy.

    Attributes:
        windows: int64 [N, 4], x0, y0, x1, y1 of each tile in its image; all tiles of an image follow one another.
        ids: int64 [I], COCO ids of the images, in the order of their tiles.
        size: int64 [I, 2], width and height.
        boxes: float64 [I, K, 4], x0, y0, x1, y1 in pixels of the image; zeros pad.
        labels: int64 [I, K]; -1 pads.
        tiling: How they were cut, as ``Tiling`` says it.
    """

    windows: NDArray[np.int64]
    ids: NDArray[np.int64]
    size: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    tiling: dict[str, Any]


@dataclass(frozen=True)
class Pack(Generic[Values]):
    """A part in memory, as tensors of torch (``load_pack``) or arrays of numpy (``load_arrays``).

    A pack of tiles has one row a tile, whose image is the tile; its ``images`` are mapped from the file and read as
    they are asked for.

    Attributes:
        images: uint8 [N, 3, S, S], RGB.
        boxes: float32 [N, M, 4], x0, y0, x1, y1 in pack pixels; zeros pad.
        labels: int64 [N, M]; -1 pads.
        image_ids: int64 [N], COCO ids.
        scale: float32 [N]; pack = original * scale + pad.
        pad: float32 [N, 2], x and y.
        original_size: int64 [N, 2], width and height.
        classes: Class names by label.
        metadata: Strings: dataset, protocol, part, size, task, sha256, certificate_sha256, shared_pixels.
        path: The file.
        whole: Of a pack of tiles: the images that they were cut from.
    """

    images: Values
    boxes: Values
    labels: Values
    image_ids: Values
    scale: Values
    pad: Values
    original_size: Values
    classes: list[str]
    metadata: dict[str, str]
    path: Path
    whole: WholeImages | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the images, pixels."""
        return int(self.images.shape[-1])

    @property
    def n_images(self) -> int:
        """Number of images: of whole ones, where they are cut into tiles."""
        return len(self) if self.whole is None else len(self.whole.ids)


def pack(
    dataset_dir: str | Path,
    protocol: str,
    part: str,
    size: int,
    out: str | Path,
    split_seed: int = 0,
) -> None:
    """Decode one part and write it.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: Which split; its certificate must be there.
        part: ``train``, ``val`` or ``test``.
        size: Side of the images, pixels.
        out: File to write, ``<protocol>/split<seed>/<part>@<size>.safetensors``.
        split_seed: Seed of the split.

    Raises:
        LeakageError: The part's list is not the one that was certified.
        PackError: The size is not positive, an image cannot be decoded, or a box has no area, lies
            outside its image or names no class.
        SplitError: The part's list is missing.
    """
    # who trains on a pack decodes nothing, and needs no library of images
    from .coco import protocol_coco, read_part
    from .letterbox import letterbox

    if size < 1:
        raise PackError(out, "size", size, "give the side of the images in pixels")
    folder = Path(dataset_dir)
    coco, image_dir = protocol_coco(folder, protocol, split_seed)
    parts = parts_folder(folder, protocol, split_seed)
    names, certificate = read_part(parts, part), parts / "certificate.json"
    shared = certified_pixels(certificate, parts / f"{part}.txt")
    tensors = read_labels(coco, names, folder / "annotations.json")
    images = np.empty((len(names), 3, size, size), np.uint8)
    fit = np.empty((len(names), 3), np.float32)
    for row, name in enumerate(names):
        annotated = tuple(tensors["original_size"][row].tolist())
        pixels = read_annotated(image_dir / name, annotated)
        view, scale, pad = letterbox(pixels, size)
        images[row] = view.transpose(2, 0, 1)
        fit[row] = (scale, *pad)
    scale, pad = fit[:, 0].copy(), fit[:, 1:].copy()
    shift = np.tile(pad, 2)[:, None] * (tensors["labels"] >= 0)[..., None]
    tensors["boxes"] = (tensors["boxes"] * scale[:, None, None] + shift).astype(np.float32)
    tensors |= {"images": images, "scale": scale, "pad": pad}
    names_of_part = {"dataset": folder.name, "protocol": protocol, "part": part}
    metadata = names_of_part | certified_metadata(coco, size, shared, certificate)
    write_pack(out, tensors, metadata)


def certified_metadata(coco: Coco, size: int, shared: int, certificate: Path) -> dict[str, str]:
    """What a pack says of its images and of its certificate.

    Args:
        coco: Annotations of the dataset.
        size: Side of the images, pixels.
        shared: Pixels that the parts share, as ``certified_pixels`` has them.
        certificate: Of the split.
    """
    return {
        "size": str(size),
        "task": coco.task,
        "classes": json.dumps(coco.classes),
        "shared_pixels": str(shared),
        "certificate_sha256": sha256_file(certificate),
    }


def certified_pixels(certificate: Path, part: Path) -> int:
    """What the certificate says is shared, if it speaks of this very list.

    Args:
        certificate: Of the split.
        part: The list.

    Raises:
        LeakageError: It is not the list that was certified.
    """
    record = read_record(certificate, "certificate")
    certified = record["inputs"].get(part.name, {}).get("sha256")
    if sha256_file(part) != certified:
        fix = f"it is not the list that was certified ({certified}); certify the split again"
        raise LeakageError(part, "sha256", sha256_file(part), fix)
    return int(record["figures"]["shared_pixels"])


def read_labels(coco: Coco, names: list[str], source: Path) -> dict[str, NDArray[Any]]:
    """Boxes in original pixels and labels, padded, with ids and sizes of the images.

    Args:
        coco: The annotations.
        names: File names of the images.
        source: Where the annotations stand, named in errors.

    Raises:
        PackError: A box has no area, lies outside its image or names no class.
    """
    entries = [coco.images[name] for name in names]
    truth = [
        [box for box in coco.boxes[entry["id"]] if not box["iscrowd"]] for entry in entries
    ]  # what scores ignore is not learned
    most = max(1, *(len(boxes) for boxes in truth))
    boxes = np.zeros((len(names), most, 4), np.float64)
    labels = np.full((len(names), most), -1, np.int64)
    for row, (entry, of_image) in enumerate(zip(entries, truth, strict=True)):
        for column, box in enumerate(of_image):
            x, y, w, h = box["bbox"]
            field = f"{entry['file_name']}: annotation {box['id']}"
            width, height = entry["width"] + SLACK, entry["height"] + SLACK
            if not (0 <= x < x + w <= width and 0 <= y < y + h <= height):
                fix = "a box needs an area and lies inside its image; convert the dataset again"
                raise PackError(source, f"{field}: bbox", box["bbox"], fix)
            if not 0 <= box["category_id"] < len(coco.classes):
                fix = f"the dataset has {len(coco.classes)} classes; convert it again"
                raise PackError(source, f"{field}: category_id", box["category_id"], fix)
            boxes[row, column] = x, y, x + w, y + h
            labels[row, column] = box["category_id"]
    return {
        "boxes": boxes,
        "labels": labels,
        "image_ids": np.array([entry["id"] for entry in entries], np.int64),
        "original_size": np.array([(e["width"], e["height"]) for e in entries], np.int64),
    }


def read_annotated(path: Path, annotated: tuple[int, ...]) -> NDArray[np.uint8]:
    """Decode an image of a known width and height as RGB, uint8 [H, W, 3].

    Raises:
        PackError: It cannot be decoded, or has another size.
    """
    pixels = read_rgb(path)
    if pixels.shape[1::-1] != annotated:
        fix = f"annotations say {annotated}; convert the dataset again"
        raise PackError(path, "width, height", pixels.shape[1::-1], fix)
    return pixels


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode an image as RGB, uint8 [H, W, 3].

    Raises:
        PackError: It cannot be decoded.
    """
    import cv2

    from .coco import read_pixels
    from .damage import damage_named

    with damage_named(path, PackError, "image", "run the conversion again"):
        image = read_pixels(path, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise PackError(path, "image", "undecodable", "run the conversion again")
    return np.asarray(image, np.uint8)


def write_pack(
    out: str | Path, tensors: Mapping[str, Tensor | NDArray[Any]], metadata: dict[str, str]
) -> None:
    """Write tensors, of torch or numpy, and metadata as one pack, with its checksum."""
    arrays = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    with atomic_path(out) as file:
        save_file(arrays, file, {**metadata, "sha256": checksum(arrays)})
        _sort_metadata(file)
        file.chmod(0o644)


def _sort_metadata(file: Path) -> None:
    """Order the header's metadata, which the library writes in random order: bytes repeat."""
    with file.open("r+b") as handle:
        length = int.from_bytes(handle.read(8), "little")
        header = json.loads(handle.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        handle.seek(8)
        handle.write(text.ljust(length))


def checksum(tensors: Mapping[str, Tensor | NDArray[Any]]) -> str:
    """SHA-256 over the bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def load_pack(path: str | Path, verify: bool = True, task: str = DETECTION.name) -> Pack[Tensor]:
    """Read a pack as tensors.

    Args:
        path: The file.
        verify: Whether the checksum is computed and compared.
        task: What the caller solves. Boxes of classification are whole images, nothing to be found.

    Raises:
        PackError: It is missing, no pack, of another task, or its bytes are not those that were
            written.
    """
    return _load(Path(path), "pt", verify, task)


def load_arrays(
    path: str | Path, verify: bool = True, task: str = DETECTION.name
) -> Pack[NDArray[Any]]:
    """Read a pack as arrays, without loading torch; otherwise as ``load_pack``."""
    return _load(Path(path), "np", verify, task)


def _load(file: Path, framework: str, verify: bool, task: str) -> Pack[Any]:
    try:
        with safe_open(file, framework) as handle:
            metadata = handle.metadata() or {}
            is_tiled = TILES in metadata
            held = [name for name in TENSORS if not (is_tiled and name == IMAGES)]
            tensors = {name: handle.get_tensor(name) for name in held}
            wholes = {n: np.asarray(handle.get_tensor(n)) for n in WHOLE} if is_tiled else {}
        if is_tiled:
            tensors[IMAGES] = _mapped(file, framework)
    except (SafetensorError, OSError) as error:
        raise PackError(file, "content", str(error), "run `defectbench pack` again") from error
    missing = [key for key in METADATA if key not in metadata]
    if missing:
        raise PackError(file, "metadata", metadata, f"{missing[0]} is missing; pack the part again")
    packed_task = metadata.get("task", DETECTION.name)
    if packed_task != task:
        raise PackError(
            file, "task", packed_task, f"this step is for {task}; give a dataset of that task"
        )
    if verify and (file_checksum(file) if is_tiled else checksum(tensors)) != metadata["sha256"]:
        raise PackError(file, "sha256", metadata["sha256"], "it was changed; pack the part again")
    whole = _whole_images(wholes, json.loads(metadata[TILES])) if is_tiled else None
    classes = json.loads(metadata["classes"])
    return Pack(**tensors, classes=classes, metadata=metadata, path=file, whole=whole)


def tiling_of_pack(path: str | Path) -> dict[str, Any] | None:
    """How the images of a pack were cut into tiles; None where they are whole. The pack is not read.

    Raises:
        PackError: It is missing or no pack.
    """
    try:
        with safe_open(path, "np") as handle:
            metadata = handle.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise PackError(path, "content", str(error), "run `defectbench pack` again") from error
    return json.loads(metadata[TILES]) if TILES in metadata else None


def _mapped(file: Path, framework: str) -> Any:
    """The tiles of a pack as they lie in the file, nothing read yet."""
    images = map_tensor(file, IMAGES)
    if framework == "np":
        return images
    import torch

    return torch.from_numpy(images)


def _whole_images(tensors: dict[str, NDArray[Any]], tiling: dict[str, Any]) -> WholeImages:
    fields = {name.removeprefix("whole_"): values for name, values in tensors.items()}
    return WholeImages(**fields, tiling=tiling)
