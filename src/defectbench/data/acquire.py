"""Getting a dataset: a mirror first, then its official addresses; every file is verified."""

from __future__ import annotations

import gzip
import shutil
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ..base.cards import DatasetCard
from ..base.errors import ConfigError, DefectBenchError, DownloadError, HashMismatchError
from ..base.files import atomic_directory, atomic_path, exclusive_lock, sha256_file
from ..base.records import write_record
from .archives import extract
from .synthetic import synthesize

ATTEMPTS = 3
TIMEOUT_S = 60


def acquire(card: DatasetCard, out_dir: str | Path, mirror: str | Path | None = None) -> None:
    """Make ``raw/`` and ``source.json`` of a dataset.

    Args:
        card: What to get.
        out_dir: ``results/data/<dataset>``.
        mirror: Local archive or folder, or an address; tried first.

    Raises:
        DownloadError: No source could be fetched; each one's fault is listed.
        HashMismatchError: A file is not the registered one.
        ArchiveError: The archive is damaged or hostile.
        BusyError: Another run acquires the same dataset.
    """
    out = Path(out_dir)
    started = time.monotonic()
    with exclusive_lock(out / ".acquire.lock"):
        if card.source.kind == "synthetic":
            synthesize(out / "raw", seed=card.source.seed)
            origin: dict[str, Any] = {"origin": f"synthetic, seed {card.source.seed}"}
        else:
            origin = _from_sources(card, out, mirror)
        files = [path for path in (out / "raw").rglob("*") if path.is_file()]
        figures = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
        extra = {**origin, "licence": card.licence, "cite": card.cite, "home": card.source.home}
        seconds = time.monotonic() - started
        write_record(out / "source.json", "source", figures, {}, seconds, extra)


def _from_sources(card: DatasetCard, out: Path, mirror: str | Path | None) -> dict[str, Any]:
    sources = [str(mirror)] if mirror else []
    sources += card.source.urls
    faults: list[str] = []
    for source in sources:
        try:
            return _from_source(card, out, source)
        except DownloadError as error:
            faults.append(str(error))
    tried = "; ".join(faults) or "no address"
    raise DownloadError(card.name, "sources", tried, card.source.place_here or "give a mirror")


def _from_source(card: DatasetCard, out: Path, source: str) -> dict[str, Any]:
    if source.startswith(("http://", "https://")):
        archive = out / f"{card.name}.archive"
        download(source, archive)
        try:
            return {"origin": source, **_unpack(card, archive, out / "raw")}
        finally:
            archive.unlink(missing_ok=True)
    local = Path(source)
    if local.is_dir():
        _copy_folder(card, local, out / "raw")
        return {"origin": "local folder", "verified_files": _verify(card, out / "raw")}
    if not local.is_file():
        raise ConfigError(local, "mirror", "nothing", "name an archive or a folder that exists")
    return {"origin": f"local archive {local.name}", **_unpack(card, local, out / "raw")}


def _unpack(card: DatasetCard, archive: Path, raw: Path) -> dict[str, Any]:
    digest = sha256_file(archive)
    if card.source.sha256 and digest != card.source.sha256:
        raise HashMismatchError(archive, "sha256", digest, f"{card.source.sha256} is registered")
    extract(archive, raw)
    return {"archive_sha256": digest, "verified_files": _verify(card, raw)}


def _copy_folder(card: DatasetCard, folder: Path, raw: Path) -> None:
    with atomic_directory(raw) as part:
        for name in (card.layout.images, card.layout.labels):
            found = [path for path in (folder, *sorted(folder.rglob(name))) if path.name == name]
            if not found:
                raise ConfigError(folder, "folder", name, f"the set needs a folder {name}")
            shutil.copytree(found[0], part / name)


def _verify(card: DatasetCard, raw: Path) -> int:
    """Check each file of the manifest; returns how many there are."""
    if card.source.manifest is None:
        return 0
    try:
        return _verify_manifest(card.folder / card.source.manifest, raw)
    except DefectBenchError:
        shutil.rmtree(raw)
        raise


def _verify_manifest(manifest: Path, raw: Path) -> int:
    with gzip.open(manifest, "rt") as handle:
        expected = [line.rstrip("\n").split("  ", 1) for line in handle if line.strip()]
    present = {"/".join(path.parts[-2:]): path for path in raw.rglob("*") if path.is_file()}
    for digest, name in expected:
        path = present.get("/".join(Path(name).parts[-2:]))
        if path is None:
            raise HashMismatchError(raw, "file", "nothing", f"{name} of {manifest.name} is missing")
        found = sha256_file(path)
        if found != digest:
            raise HashMismatchError(
                path, "sha256", found, f"{digest} is registered; get an unchanged copy"
            )
    return len(expected)


def download(url: str, path: Path, attempts: int = ATTEMPTS, pause_s: float = 2.0) -> None:
    """Fetch ``url`` to ``path``, whole or not at all, with retries and growing pauses.

    Raises:
        DownloadError: Every attempt failed.
    """
    fault = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            _fetch(url, path)
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            fault = str(error) or type(error).__name__
        else:
            return
    raise DownloadError(url, "download", fault, "check the network or give a mirror")


def _fetch(url: str, path: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "defectbench"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        declared = response.headers.get("Content-Length")
        with atomic_path(path) as part:
            with part.open("wb") as sink:
                shutil.copyfileobj(response, sink, 2**20)
            size = part.stat().st_size
            if declared is not None and size != int(declared):
                raise ConnectionError(f"{size} of {declared} bytes arrived")
