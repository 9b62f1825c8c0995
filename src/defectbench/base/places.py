"""Where the workflow keeps what: data that studies share, and a folder of its own for each study."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = "results"
SHARED = (
    "data",
    "adopted",
    "weights",
    "envs",
    "reference",
    "benchmarks",
)  # folders of ``results`` that no study owns
FIRST_VERSION = ("runs", "report", "logs")  # folders in which all studies of version 0.1 lay
LONGEST_STUDY_NAME = 100  # of a study, bytes; file systems take 255
PLAIN_NAME = r"\w[\w.-]*"


def parts_folder(dataset_dir: str | Path, protocol: str, split_seed: int = 0) -> Path:
    """Folder of one split: the lists of its parts, its certificate and its packs.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: How the parts are made; ``<protocol>-<list>`` with a thinned training part.
        split_seed: Seed of the split.

    Example:
        >>> parts_folder("results/data/neu-det", "clean", 3).as_posix()
        'results/data/neu-det/clean/split3'
    """
    return Path(dataset_dir) / protocol / f"split{split_seed}"


def weights_folder(method: str, name: str) -> str:
    """Folder of a method's published weights, as ``fetch-weights`` writes them; studies share it.

    Args:
        method: Name of the method.
        name: Which of the weights on its card.

    Example:
        >>> weights_folder("nanodet_m", "coco")
        'results/weights/nanodet_m/coco'
    """
    return f"{RESULTS}/weights/{method}/{name}"


def truth_folder(dataset_dir: str | Path, protocol: str, split_seed: int = 0) -> Path:
    """Folder of the images and annotations that a protocol divides; ``paper`` makes its own before each split.

    Example:
        >>> truth_folder("d", "clean").as_posix(), truth_folder("d", "paper", 1).as_posix()
        ('d', 'd/paper/split1')
    """
    makes_images = protocol == "paper"
    return parts_folder(dataset_dir, protocol, split_seed) if makes_images else Path(dataset_dir)


def fault_of_study_name(name: str) -> str | None:
    """What mends the name of a study, which is its folder in ``results``; None where nothing is wrong with it.

    Example:
        >>> fault_of_study_name("neu-det")
        >>> fault_of_study_name("data")
        'results/data is no folder of a study; choose another name'
    """
    if not re.fullmatch(PLAIN_NAME, name):
        return "its results lie in a folder of that name: use letters, digits, '-', '_' and '.'"
    if len(name.encode()) > LONGEST_STUDY_NAME:
        return f"its results lie in a folder of that name: use at most {LONGEST_STUDY_NAME} bytes"
    if name in (*SHARED, *FIRST_VERSION):
        return f"results/{name} is no folder of a study; choose another name"
    return None


def note_on_first_version(results: str | Path = RESULTS) -> str | None:
    """What to do with folders of version 0.1, whose studies shared one; None where there are none."""
    folder = Path(results)
    old = [f"{folder}/{name}" for name in FIRST_VERSION if (folder / name).is_dir()]
    if not old:
        return None
    kept = f"{folder}/version-0.1"
    return (
        f"{' and '.join(old)}: made by version 0.1 and not read any more, since each study has a folder of its own; "
        f"to keep them: mkdir -p {kept} && mv {' '.join(old)} {kept}/"
    )
