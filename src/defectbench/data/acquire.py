"""Getting a dataset: a mirror first, then its registered addresses; every file is verified."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path, PurePath
from typing import Any

from ..base.cards import MADE_HERE, DatasetCard
from ..base.errors import ArchiveError, ConfigError, DownloadError, HashMismatchError
from ..base.files import (
    atomic_directory,
    exclusive_lock,
    files_below,
    md5_file,
    refuse_others_files,
    sha256_file,
)
from ..base.mirrors import (
    holder_of,
    is_address,
    local_mirror,
    mirror_digest,
    package_folder,
    refuse_mirror_around,
    visible_name,
)
from ..base.records import read_record, write_record
from .archives import extract_into, names_encoding
from .download import download
from .manifest import verify
from .official import listed_stems, stem_key
from .pairing import check_no_label_elsewhere, of_system, told_kinds
from .synthetic import SYNTHESIZERS

_FOLDERS_TOLD = 6


def acquire(card: DatasetCard, out_dir: str | Path, mirror: str | Path | None = None) -> None:
    """Make ``raw/`` and ``source.json`` of a dataset.

    ``raw/`` appears as a whole, after each of its files is verified. Data that are there and agree
    with the card's list of hashes are kept, so that no network is asked for them again.

    Args:
        card: What to get.
        out_dir: ``results/data/<dataset>``.
        mirror: Local archive or folder, or an address. A local one is the only source that is
            tried; an address is tried first.

    Raises:
        DownloadError: No source could be fetched; each one's fault is listed.
        HashMismatchError: A file is not the registered one.
        ArchiveError: The archive is damaged or hostile, or lacks the card's folders.
        ConfigError: The mirror is empty or does not exist, or the set is synthetic and has none.
        DiskFullError: The disk has no room.
        BusyError: Another run acquires the same dataset.
        FileAccessError: Raw data lie there that were not acquired.

    Example:
        >>> acquire(load_dataset_card("datasets/neu-det.yaml"), "results/data/neu-det",
        ...         mirror="/media/NEU-DET.zip")  # doctest: +SKIP
    """
    out = Path(out_dir)
    _check_mirror(card, mirror, out)
    started = time.monotonic()
    with exclusive_lock(out / ".acquire.lock"):
        if _is_there(card, out):
            return
        refuse_others_files(out / "raw", out / "source.json")
        if card.source.kind == "synthetic":
            draw = SYNTHESIZERS[card.task]
            draw(out / "raw", seed=card.source.seed, look=card.source.look)
            origin: dict[str, Any] = {"origin": f"synthetic, seed {card.source.seed}"}
        else:
            origin = _from_sources(card, out, mirror)
        files = files_below(out / "raw")
        figures = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
        extra = {**origin, "licence": card.licence, "cite": card.cite, "home": card.source.home}
        seconds = time.monotonic() - started
        write_record(out / "source.json", "source", figures, {}, seconds, extra)


def _check_mirror(card: DatasetCard, mirror: str | Path | None, out: Path) -> None:
    """A mirror is one, of a set that has one, and does not hold what is made of it."""
    if mirror is None:
        return
    if card.source.kind == "synthetic":
        raise ConfigError(card.name, "mirror", mirror, MADE_HERE)
    if not str(mirror).strip():
        fix = "give a path or an address, or leave it out"
        raise ConfigError(card.name, "mirror", mirror, fix)
    refuse_mirror_around(card, str(mirror), out)


def _is_there(card: DatasetCard, out: Path) -> bool:
    if card.source.manifest is None or not (out / "source.json").is_file():
        return False
    try:
        read_record(out / "source.json", "source")
        verify(card.folder / card.source.manifest, out / "raw", _registered(card))
    except (ConfigError, HashMismatchError) as error:
        _tell(card, f"made again ({error})")
        return False
    _tell(card, "is there and verified")
    return True


def _tell(card: DatasetCard, what: str) -> None:
    sys.stdout.write(f"{card.name}: {what}\n")
    sys.stdout.flush()


def _from_sources(card: DatasetCard, out: Path, mirror: str | Path | None) -> dict[str, Any]:
    first = str(mirror) if mirror else None
    if first and not is_address(first):
        digest = mirror_digest(card, first, out, keep=False)
        origin = _from_disk(card, out / "raw", local_mirror(first).resolve())
        return {**origin, "mirror_sha256": digest}
    if card.source.package is not None and not first:
        folder = _package_folder(card, card.source.package)
        digest = mirror_digest(card, None, out, keep=False)
        version = _version_of(card.source.package)
        origin = _from_disk(card, out / "raw", folder)
        return {**origin, "package_version": version, "mirror_sha256": digest}
    faults: list[Exception] = []
    for address in [*([first] if first else []), *card.source.urls]:
        _tell(card, f"fetching {address}")
        try:
            return _from_address(card, out, address)
        except (DownloadError, ArchiveError, HashMismatchError) as error:
            _tell(card, str(error))
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    tried = "; ".join(str(fault) for fault in faults) or "no address"
    raise DownloadError(card.name, "sources", tried, card.source.how_to_get() or "give a mirror")


def _from_address(card: DatasetCard, out: Path, address: str) -> dict[str, Any]:
    """A fetched archive stays until it is unpacked or found to be bad: no byte comes twice."""
    tag = hashlib.sha256(address.encode()).hexdigest()[:8]
    archive = out / f".{card.name}-{tag}.archive"
    digest = None
    if not archive.is_file():
        limit = card.source.unpacked_mib * 2**20
        digest = download(
            address, archive, max_bytes=limit, tell=lambda line: _tell(card, f"  {line}")
        )
    try:
        figures = _from_archive(card, archive, out / "raw", digest)
    except (ArchiveError, HashMismatchError):
        archive.unlink()
        raise
    archive.unlink()
    return {"origin": address, **figures}


def _from_disk(card: DatasetCard, raw: Path, local: Path) -> dict[str, Any]:
    if local.is_dir():
        with atomic_directory(raw) as part:
            _copy_folder(card, local, part)
            return {
                "origin": f"local folder {local.name}",
                **_verified(card, local, part, lambda: _relative_files(card, local)),
            }
    if local.is_file():
        return {"origin": f"local archive {local.name}", **_from_archive(card, local, raw)}
    raise ConfigError(local, "mirror", "nothing", "name an archive or a folder that exists")


def _package_folder(card: DatasetCard, package: str) -> Path:
    folder = package_folder(package)
    if folder is None:
        fix = card.source.place_here or "install the package that carries the set"
        raise ConfigError(card.name, "package", package, f"it is not installed; {fix}")
    return folder


def _version_of(package: str) -> str | None:
    """Version of the distribution that an installed package came with; None where none says so."""
    names = packages_distributions().get(package.partition(".")[0], [])
    return version(names[0]) if names else None


def _from_archive(
    card: DatasetCard, archive: Path, raw: Path, digest: str | None = None
) -> dict[str, Any]:
    """Unpack and verify an archive; its digest is given where it was taken while the archive arrived."""
    digest = digest or sha256_file(archive)
    _check_archive(archive, "sha256", digest, card.source.sha256)
    if card.source.md5:
        _check_archive(archive, "md5", md5_file(archive), card.source.md5)
    with atomic_directory(raw) as part:
        limit = card.source.unpacked_mib * 2**20
        there: list[PurePath] = []

        def wanted(path: PurePath) -> bool:
            there.append(path)
            return card.holds(path) is not None

        encoding = names_encoding(archive, wanted, limit)
        there.clear()
        extract_into(archive, part, limit, wanted)
        told = {"archive_sha256": digest, **_verified(card, archive, part, lambda: there)}
        if encoding:
            _tell(
                card,
                f"{archive.name} does not say how its names are written; they are read as {encoding}",
            )
            told["names_read_as"] = encoding
        return told


def _check_archive(archive: Path, kind: str, digest: str, registered: str | None) -> None:
    if registered and digest != registered:
        fix = f"{registered} is registered; get that archive"
        raise HashMismatchError(archive, kind, digest, fix)


def _copy_folder(card: DatasetCard, folder: Path, part: Path) -> None:
    holds = holder_of(card, folder)

    def needed(path: Path) -> bool:
        if not holds(path):
            unread = path.relative_to(folder)
            _tell(card, f"{unread} leads nowhere or may not be read; it is passed over")
        return holds(path)

    for path in filter(holds, files_below(folder, needed)):
        target = part / visible_name(folder) / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _verified(
    card: DatasetCard, source: Path, part: Path, there: Callable[[], Sequence[PurePath]]
) -> dict[str, Any]:
    kinds = {card.layout.holds(path.relative_to(part)) for path in files_below(part)}
    for kind, names in (("images", card.layout.images), ("labels", card.layout.labels)):
        if names and kind not in kinds:
            field = f"{kind} in a folder {' or '.join(names)}"
            fix = "name the archive or folder that holds the set, or its folders in the card's `layout` (`.` is all)"
            raise ArchiveError(source, field, _told_folders(there()) or "no file", fix)
    if card.unlabelled_are_empty:
        check_no_label_elsewhere(card, source, there())
    told = _dropped(card, there()) | _passed_over(card, part)
    if card.source.manifest is None:
        return told
    manifest = card.folder / card.source.manifest
    return {**verify(manifest, part, _registered(card), card.source.listed_only), **told}


def _dropped(card: DatasetCard, there: Sequence[PurePath]) -> dict[str, Any]:
    """What the card says is not to be taken up, with its reasons."""
    held = [path for path in there if card.layout.holds(path) and not of_system(path)]
    reasons = {path.as_posix(): card.why_dropped(path) for path in held} if card.drop_files else {}
    dropped = {name: why for name, why in sorted(reasons.items()) if why is not None}
    if not dropped:
        return {}
    told = ", ".join(f"{n} ({why})" for why, n in Counter(dropped.values()).most_common())
    _tell(card, f"{len(dropped)} files are not taken up, as the card says: {told}")
    return {"files_dropped": dropped}


def _passed_over(card: DatasetCard, part: Path) -> dict[str, Any]:
    """Take out images and labels that are on no list of the publisher, where these alone are the set."""
    if card.official is None or not card.official.only:
        return {}
    listed = {stem for names in listed_stems(card.official, part).values() for stem in names}
    others = [
        path
        for path in files_below(part)
        if card.holds(path.relative_to(part)) in ("images", "labels")
        and stem_key(path.stem) not in listed
    ]
    for path in others:
        path.unlink()
    if others:
        _tell(card, f"{len(others)} files on no list of the publisher are not taken up")
    return {"files_on_no_list": len(others)}


def _relative_files(card: DatasetCard, folder: Path) -> list[PurePath]:
    """All files in a folder, of the set or not, by their paths in the raw data."""
    paths = files_below(folder, holder_of(card, folder))
    return [PurePath(visible_name(folder)) / path.relative_to(folder) for path in paths]


def _told_folders(files: Sequence[PurePath]) -> str:
    """What lies in which folder, in words, so that a user can name it."""
    folders: dict[str, list[str]] = {}
    for path in files:
        folders.setdefault(path.parent.as_posix(), []).append(path.name)
    fullest = sorted(folders.items(), key=lambda item: -len(item[1]))[:_FOLDERS_TOLD]
    told = [
        f"{told_kinds(names)} in {'the top' if name == '.' else name}" for name, names in fullest
    ]
    more = len(folders) - len(told)
    return "; ".join([*told, *([f"{more} folders more"] if more else [])])


def _registered(card: DatasetCard) -> Callable[[PurePath], bool]:
    """Whether a card asks for a file of its list; sets of two tasks share one list."""
    return lambda path: card.holds(path) is not None
