"""What a user's mirror, or an installed package, holds of a dataset.

It is an input of the workflow: a label that is corrected there is seen.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .cards import DatasetCard
from .errors import ConfigError, DefectBenchError
from .files import atomic_write_json, files_below, is_system_folder, read_json, sha256_file
from .places import RESULTS

_FOLDERS_TOLD = 6
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
MIRROR_HASHES = (
    ".mirror.json"  # in the folder of a dataset: what was seen of each file of its mirror
)


def is_address(mirror: str) -> bool:
    """Whether a mirror is an address; otherwise it is an archive or a folder of this machine."""
    return mirror.lower().startswith(("http://", "https://"))


def local_mirror(mirror: str) -> Path:
    """Path of a mirror of this machine; ``~`` is the user's home.

    Raises:
        ConfigError: It begins with the home of a user that there is not, or is an address of another kind.
    """
    scheme = _SCHEME.match(mirror)
    if scheme:
        fix = "give a path of this machine, or an address that begins with https:// or http://"
        raise ConfigError(mirror, "mirror", scheme[0], fix)
    try:
        return Path(mirror).expanduser()
    except RuntimeError as error:
        fix = "there is no such user; write the path in full"
        raise ConfigError(mirror, "mirror", Path(mirror).parts[0], fix) from error


def package_folder(package: str) -> Path | None:
    """Folder of an installed package, which is not imported; None where it is not there, or is a single file."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # a package within one that is not there
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def local_source(card: DatasetCard, mirror: str | None) -> Path | None:
    """What lies on this machine that a dataset is made of: a mirror, else the package that carries it.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where a study names none.

    Returns:
        None for an address, and for a set that is fetched or made here; a mirror need not be there.

    Raises:
        ConfigError: It begins with the home of a user that there is not.
    """
    if mirror:
        return None if is_address(mirror) else local_mirror(mirror)
    package = card.source.package
    return None if package is None else package_folder(package)


def refuse_mirror_around(card: DatasetCard, mirror: str | None, dataset_dir: str | Path) -> None:
    """Stop before a mirror that holds the dataset's own results, which would be its data the next time.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where none is named.
        dataset_dir: ``results/data/<dataset>``.

    Raises:
        ConfigError: It does.
    """
    source = local_source(card, mirror)
    if source is not None and Path(dataset_dir).resolve().is_relative_to(source.resolve()):
        fix = "what is made of it would be taken for data: name the folder of the set alone"
        raise ConfigError(mirror or card.name, "mirror", f"it holds {dataset_dir}", fix)


def mirror_files(card: DatasetCard, mirror: str | None) -> list[Path]:
    """Files of this machine that a dataset is made of: the archive, or what the card's layout holds of a folder.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where a study names none.

    Returns:
        Files, sorted; none for an address, and none where nothing lies, which ``acquire`` names.
    """
    path = local_source(card, mirror)
    if path is None:
        return []
    if path.is_file():
        return [path]
    return folder_files(card, path)


def mirror_digest(
    card: DatasetCard, mirror: str | None, dataset_dir: str | Path, keep: bool = True
) -> str | None:
    """SHA-256 over names and content of what a local mirror, or an installed package, holds of a dataset.

    A file whose size, time of change and inode are those of the last look is not read again.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where a study names none.
        dataset_dir: ``results/data/<dataset>``; hashes lie there between looks.
        keep: Whether the hashes of this look are kept there.

    Returns:
        None for an address, and where nothing lies.
    """
    source, files = local_source(card, mirror), mirror_files(card, mirror)
    if source is None or not files:
        return None
    hashes = Path(dataset_dir) / MIRROR_HASHES
    known = _read_hashes(hashes)
    seen = {}
    for path in files:
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        name = str(path.absolute())
        kept = known.get(name, [])
        seen[name] = kept if kept[:-1] == stamp else [*stamp, sha256_file(path)]
    if keep and seen != known:
        with suppress(
            OSError, DefectBenchError
        ):  # kept to save time: where it cannot be, all is read again
            atomic_write_json(hashes, seen)
    home = source.absolute()
    lines = [
        f"{seen[str(path.absolute())][-1]}  {path.absolute().relative_to(home)}" for path in files
    ]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def mirror_state(
    card: DatasetCard, mirror: str | None, dataset_dir: str | Path
) -> tuple[str, bool]:
    """What a local mirror or package holds of a dataset, as a hash, and whether its raw data were made of just that.

    Data that an earlier version made tell no hash: they stand until a file of the mirror is younger. Those of a package
    that is not installed any more stand as well.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where a study names none.
        dataset_dir: ``results/data/<dataset>``.

    Returns:
        The hash, empty where there is nothing to watch; and whether the data agree with it.

    Raises:
        ConfigError: A link in it leads nowhere, a folder may not be read, it holds the data themselves, or they were
            made of a local mirror that holds nothing any more: to make them again would lose them.
    """
    refuse_mirror_around(card, mirror, dataset_dir)
    digest, made = mirror_digest(card, mirror, dataset_dir), made_of(dataset_dir)
    if digest is None:
        if made and mirror and not is_address(mirror):
            raise _lost(card, mirror)
        is_uninstalled = not mirror and card.source.package is not None
        return (made, True) if made and is_uninstalled else ("", False)
    source = Path(dataset_dir) / "source.json"
    if made is None and source.is_file():
        since = source.stat().st_mtime
        younger = any(path.stat().st_mtime > since for path in mirror_files(card, mirror))
        return digest if younger else "", False
    return digest, made == digest


def _lost(card: DatasetCard, mirror: str) -> ConfigError:
    """The error of a mirror that holds nothing of a dataset any more; it sees what lies there."""
    folder = local_mirror(mirror)
    if not folder.exists():
        fix = f"the data of {card.name} were made of it: mount it again, or name where it lies now"
        return ConfigError(mirror, "mirror", "nothing", fix)
    files = files_below(folder, lambda path: False)
    folders = sorted({path.parent.relative_to(folder).as_posix() for path in files})
    told = ", ".join(folders[:_FOLDERS_TOLD]) + (", ..." if len(folders) > _FOLDERS_TOLD else "")
    wanted = ", ".join((*card.layout.images, *card.layout.labels))
    fix = f"{card.name} needs {wanted}: name the folders that are there in the card's `layout`, or another mirror"
    return ConfigError(mirror, "mirror", f"files in {told}" if files else "an empty folder", fix)


def made_of(dataset_dir: str | Path) -> str | None:
    """The digest of the mirror that a dataset's raw data were made of; None where none is told."""
    try:
        return read_json(Path(dataset_dir) / "source.json").get("mirror_sha256")
    except (OSError, AttributeError, DefectBenchError):
        return None


def note_on_shared_data(
    card: DatasetCard, dataset_dir: str | Path, study: str, results: str | Path = RESULTS
) -> str | None:
    """What becomes of other studies' results where the data of a set are about to be made of something else.

    Args:
        card: The dataset.
        dataset_dir: ``results/data/<dataset>``.
        study: Name of the study that is planned.
        results: Folder of the results of all studies.

    Returns:
        One line; None where there are no data yet, or no other study has results on them.
    """
    counts = _cells_on(card.name, study, Path(results))
    if not counts or not (Path(dataset_dir) / "source.json").is_file():
        return None
    told = " and ".join(f"{count} of study {name}" for name, count in counts.items())
    return (
        f"{dataset_dir} is made anew, since what study {study} takes {card.name} from holds something else than it "
        f"was made of ({_origin_of(dataset_dir)}): finished cells on it, {told}, are made anew when those studies run "
        "next; to keep both, give this source a card with a name of its own"
    )


def _cells_on(dataset: str, study: str, results: Path) -> dict[str, int]:
    """Number of finished cells on a dataset by study, but those of one."""
    scored = results.glob(f"*/runs/{dataset}/*/*/seed*/accuracy.json")
    names = sorted(path.relative_to(results).parts[0] for path in scored)
    return {name: count for name, count in Counter(names).items() if name != study}


def _origin_of(dataset_dir: str | Path) -> str:
    """Of what raw data were made, in words of their record."""
    try:
        return str(read_json(Path(dataset_dir) / "source.json").get("origin"))
    except (OSError, AttributeError, DefectBenchError):
        return "a damaged record"


def _read_hashes(path: Path) -> dict[str, list[Any]]:
    try:
        content = read_json(path)
    except (OSError, DefectBenchError):
        return {}
    return content if isinstance(content, dict) else {}


def folder_files(card: DatasetCard, folder: Path) -> list[Path]:
    """Images and labels in a folder, as the card's layout names them, sorted; links are followed.

    Raises:
        ConfigError: A link in them leads nowhere, or one of them may not be read.
    """
    if not folder.is_dir():
        return []
    holds = holder_of(card, folder)
    return [path for path in files_below(folder, holds) if holds(path)]


def holder_of(card: DatasetCard, folder: Path) -> Callable[[Path], bool]:
    """Whether a path in a folder is one of the card's layout; the folder's own name counts."""
    named = Path(visible_name(folder.resolve()))
    return lambda path: card.holds(named / path.relative_to(folder)) is not None


def visible_name(folder: Path) -> str:
    """Name of a mirror's folder in the raw data, where hidden folders are passed over."""
    return f"mirror-{folder.name}" if is_system_folder(folder.name) else folder.name
