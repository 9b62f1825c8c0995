"""A certified split as folders for other tools: what they train and test on is what was proven to be apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError, LeakageError, SplitError
from ..base.files import atomic_directory, sha256_file
from ..base.places import parts_folder
from ..base.records import read_record
from ..base.tasks import task_named
from .coco import DEFECT_FREE, PARTS, Coco, coco_content, protocol_coco, read_part

CERTIFICATE = "certificate.json"
FREE_FOLDER = "defect_free"
Place = Callable[[str, str], None]  # puts an image, by its name, at a path below the folder


def export_split(
    dataset_dir: str | Path,
    protocol: str,
    layout: str,
    out: str | Path,
    seed: int = 0,
    copy: bool = False,
) -> dict[str, int]:
    """Write a certified split in a layout that other tools read, with its certificate.

    ``yolo``: ``images/<part>``, ``labels/<part>`` and ``data.yaml``; an image free of defects has an empty label.
    ``coco``: ``<part>/`` and ``annotations/<part>.json``; ids of images and classes are those of the dataset, so that
    results can be scored by ``defectbench evaluate``. ``folders``, where images have one class: ``<part>/<class>``, and
    ``<part>/defect_free`` of images without one.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: Which split; its certificate must be there.
        layout: ``yolo``, ``coco`` or ``folders``.
        out: Folder to make; it is replaced as a whole.
        seed: Seed of the split.
        copy: Whether images are copied; otherwise they are linked to where they lie.

    Returns:
        Number of images by part.

    Raises:
        LeakageError: A list, or the set's annotations, are not what was certified.
        SplitError: A list is missing.
        ConfigError: The certificate is missing, or the layout is of another task.
    """
    source, target = Path(dataset_dir), Path(out)
    if target.resolve() == source.resolve() or source.resolve().is_relative_to(target.resolve()):
        fix = "name a folder of its own: it is replaced as a whole"
        raise ConfigError("--out", "folder", target.as_posix(), fix)
    coco, images = protocol_coco(source, protocol, seed)
    writer = _writer(layout, coco)
    parts = certified_parts(source, protocol, seed)
    _check_known(source, parts, coco)
    with atomic_directory(target) as folder:

        def place(name: str, path: str) -> None:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if copy:
                shutil.copyfile(images / name, file)
            else:
                file.symlink_to((images / name).resolve())

        writer(folder, coco, parts, place)
        certificate = parts_folder(source, protocol, seed) / CERTIFICATE
        shutil.copyfile(certificate, folder / CERTIFICATE)
    return {part: len(names) for part, names in parts.items()}


def certified_parts(dataset_dir: str | Path, protocol: str, seed: int = 0) -> dict[str, list[str]]:
    """File names by part, once each list is the one that was certified.

    Raises:
        LeakageError: A list is another one.
        SplitError: A list is missing.
        ConfigError: The certificate is missing or damaged.
    """
    folder = parts_folder(dataset_dir, protocol, seed)
    certificate = read_record(folder / CERTIFICATE, "certificate")
    parts = {part: read_part(folder, part) for part in PARTS}
    for part in PARTS:
        path = folder / f"{part}.txt"
        certified = certificate["inputs"].get(path.name, {}).get("sha256")
        if sha256_file(path) != certified:
            fix = f"it is not the list that was certified ({certified}); run `defectbench certify` again"
            raise LeakageError(path, "sha256", sha256_file(path), fix)
    return parts


def _check_known(dataset_dir: Path, parts: Mapping[str, list[str]], coco: Coco) -> None:
    for part, names in parts.items():
        strange = [name for name in names if name not in coco.images]
        if strange:
            fix = "the set does not hold it; convert, split and certify the set again"
            raise SplitError(dataset_dir, f"{part}.txt: file name", strange[0], fix)


def _writer(
    layout: str, coco: Coco
) -> Callable[[Path, Coco, Mapping[str, list[str]], Place], None]:
    writers = {"yolo": _write_yolo, "coco": _write_coco, "folders": _write_folders}
    fitting = [name for name in writers if (name == "folders") != task_named(coco.task).finds_boxes]
    if layout not in fitting:
        fix = f"the set is for {coco.task}: name {' or '.join(fitting)}"
        raise ConfigError("--format", "name", layout, fix)
    return writers[layout]


def _write_yolo(folder: Path, coco: Coco, parts: Mapping[str, list[str]], place: Place) -> None:
    for part, names in parts.items():
        labels = folder / "labels" / part
        labels.mkdir(parents=True)
        for name in names:
            label = labels / f"{Path(name).stem}.txt"
            if label.exists():
                fix = (
                    "two images of this part have that stem, and YOLO pairs by stem: export as coco"
                )
                raise ConfigError("--format", f"stem of {name}", Path(name).stem, fix)
            place(name, f"images/{part}/{name}")
            label.write_text("".join(_yolo_lines(coco, name)), encoding="utf-8")
    content = {part: f"images/{part}" for part in parts}
    text = yaml.safe_dump(
        {**content, "names": dict(enumerate(coco.classes))}, sort_keys=False, allow_unicode=True
    )
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _yolo_lines(coco: Coco, name: str) -> list[str]:
    """Class, centre and sides in shares of the image's sides, a line a box."""
    image = coco.images[name]
    across, down = image["width"], image["height"]
    lines = []
    for box in coco.boxes[image["id"]]:
        if box["iscrowd"]:  # neither learnt nor scored, and YOLO has no word for it
            continue
        x, y, w, h = box["bbox"]
        shares = ((x + w / 2) / across, (y + h / 2) / down, w / across, h / down)
        lines.append(f"{box['category_id']} " + " ".join(f"{v:.8f}" for v in shares) + "\n")
    return lines


def _write_coco(folder: Path, coco: Coco, parts: Mapping[str, list[str]], place: Place) -> None:
    (folder / "annotations").mkdir()
    for part, names in parts.items():
        entries = [coco.images[name] for name in names]
        boxes: list[dict[str, Any]] = [box for entry in entries for box in coco.boxes[entry["id"]]]
        text = json.dumps(coco_content(entries, boxes, coco.classes), indent=1)
        (folder / "annotations" / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")
        for name in names:
            place(name, f"{part}/{name}")


def _write_folders(folder: Path, coco: Coco, parts: Mapping[str, list[str]], place: Place) -> None:
    folders = {DEFECT_FREE: FREE_FOLDER} | dict(enumerate(coco.classes))
    for name in coco.classes:
        if "/" in name or name in (".", ".."):
            fix = "no folder can be called so: give the class another name on the card"
            raise ConfigError("--format", "class", name, fix)
    for part, names in parts.items():
        for name in names:
            place(name, f"{part}/{folders[coco.dominant_class(name)]}/{name}")
