"""Getting published weights: from a folder of this machine or the card's addresses, verified, as safetensors."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ..base.errors import DownloadError, HashMismatchError, WeightsError
from ..base.files import atomic_path, exclusive_lock, sha256_file
from ..base.methods import Method
from ..base.mirrors import is_address, local_mirror
from ..base.published import FOLDED, PUBLISHED, TRAINING, WHOLE, PublishedWeights
from ..base.records import write_record
from ..data.download import download
from .files import find_files
from .published import about, class_channels, network_with, published_weights, tensors_of

RECORD = f"{PUBLISHED}.json"
MAX_BYTES = 2**30  # of one file


def fetch_weights(
    method: Method, name: str, out_dir: str | Path, mirror: str | Path | None = None
) -> None:
    """Make ``weights.safetensors`` and ``published.json`` of a method's published weights.

    The tensors bear the names of our network and see RGB in 0..1. No code that may be pickled in the files is run: a
    file of the method's own program, ``.pt``, is verified and kept as ``weights.pt`` without being opened.
    Files that were fetched stay in ``files/``, so that no network is asked for them again.

    Args:
        method: The method, whose card names the weights.
        name: Which of them, such as ``coco``.
        out_dir: Folder to write to.
        mirror: Folder of this machine that holds the files, or one of them; the card's addresses by default.

    Raises:
        ConfigError: The card names no such weights.
        DownloadError: A file cannot be fetched, or the card has no address for it.
        HashMismatchError: What an address gives is another file.
        WeightsError: The mirror lacks a file, or a file is damaged or does not fit the network.
        BusyError: Another run fetches them.
    """
    weights, out = published_weights(method, name), Path(out_dir)
    started = time.monotonic()
    with exclusive_lock(out / ".fetch.lock"):
        files = _files(method, weights, out / "files", mirror)
        make = _keep if weights.is_of_program else _convert
        figures, extra = make(method, weights, files, out / weights.file)
        figures |= {"n_classes": weights.nc, "size_px": weights.size}
        extra |= {
            "method": method.card.name,
            "name": name,
            **about(weights),
            "files_sha256": dict(weights.sha256),
            "weights_sha256": sha256_file(out / weights.file),
        }
        write_record(out / RECORD, PUBLISHED, figures, {}, time.monotonic() - started, extra)


def _keep(
    _method: Method, _weights: PublishedWeights, files: Mapping[str, Path], out: Path
) -> tuple[dict[str, float], dict[str, Any]]:
    """A program's own file as it is; what its record says of it."""
    (file,) = files.values()
    with atomic_path(out) as part:
        part.write_bytes(file.read_bytes())
    return {}, {"form": WHOLE}


def _convert(
    method: Method, weights: PublishedWeights, files: Mapping[str, Path], out: Path
) -> tuple[dict[str, float], dict[str, Any]]:
    """Tensors by the names of our network as safetensors; what their record says of them."""
    network = network_with(method, weights, files)
    channels = class_channels(network, weights, method.folder / "card.yaml")
    tensors = tensors_of(network, weights)
    with atomic_path(out) as part:
        save_file(tensors, part)
    figures: dict[str, float] = {
        "n_parameters": sum(value.numel() for value in network.parameters()),
        "n_tensors": len(tensors),
    }
    form = FOLDED if weights.is_ncnn else TRAINING
    told = {"form": form, "class_channels": channels, "published_classes": weights.classes}
    return figures, told


def _files(
    method: Method, weights: PublishedWeights, home: Path, mirror: str | Path | None
) -> dict[str, Path]:
    """The files by suffix, each with the hash on the card; what lacks is got."""
    files = {suffix: home / f"published{suffix}" for suffix in weights.sha256}
    hashes = {path: sha256_file(path) for path in files.values() if path.is_file()}
    lacking = [s for s, path in files.items() if hashes.get(path) != weights.sha256[s]]
    if lacking and mirror:
        for suffix, path in _from_mirror(weights, mirror).items():
            with atomic_path(files[suffix]) as part:
                part.write_bytes(path.read_bytes())
    elif lacking:
        for suffix in lacking:
            _from_address(method, weights, suffix, files[suffix])
    return files


def _from_mirror(weights: PublishedWeights, mirror: str | Path) -> dict[str, Path]:
    if is_address(str(mirror)):
        fix = (
            "name a folder of this machine; the card's own addresses are asked where none is named"
        )
        raise WeightsError(mirror, "mirror", "an address", fix)
    return find_files(weights.sha256, local_mirror(str(mirror)))


def _from_address(method: Method, weights: PublishedWeights, suffix: str, path: Path) -> None:
    if suffix not in weights.url:
        fix = f"the card has no address: name a folder that holds it, from {weights.source}"
        raise DownloadError(method.folder / "card.yaml", f"weights: {suffix} file", None, fix)
    address, wanted = weights.url[suffix], weights.sha256[suffix]
    _tell(method, f"fetching {address}")
    digest = download(address, path, max_bytes=MAX_BYTES, tell=lambda line: _tell(method, line))
    if digest != wanted:
        path.unlink()
        fix = f"the card means {wanted[:8]}: name a folder that holds that file as a mirror"
        raise HashMismatchError(address, "SHA-256", digest[:8], fix)


def _tell(method: Method, what: str) -> None:
    sys.stdout.write(f"{method.card.name}: {what}\n")
    sys.stdout.flush()
