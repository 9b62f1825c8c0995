"""Write the folder to deploy: built aside, checked by its own script, and only then put in its place."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ...base.errors import FileAccessError, MeasurementError
from ...base.files import atomic_directory, atomic_write_json, atomic_write_text, sha256_file
from ...base.records import SCHEMA, write_record
from ..engines.files import files_of, inputs_of
from ..pictures import OPERATING_POINT
from .content import Check, Deployment, Model
from .readme import readme_of

HERE = Path(__file__).parent
SCRIPT = HERE / "run_model.py"
MANIFEST = "deployment.json"
CHECK, CHECK_PICTURES = "check.json", "check"
SUITE = ("nms.py", "merge.py")  # the suite's own suppression, and its joining of tiles
# By how much the script may differ from what is stored: in a score, and in a corner as a share of the picture's longer
# side, a pixel at least; and the share of boxes that may have no like. Pixels are resized by other code than the
# suite's, to the same values but for one in a hundred that is one of 255 apart. Eight bits turn that into a whole step,
# which may decide which of two boxes suppresses the other: the largest that was seen was 0.012 of a score.
BOUNDS = {
    "fp32": {"score": 0.02, "corner": 0.02, "alone": 0.0},
    "fp16": {"score": 0.02, "corner": 0.02, "alone": 0.0},
    "int8": {"score": 0.05, "corner": 0.03, "alone": 0.05},
}


def refuse_other_folder(out: Path) -> None:
    """Stop before a folder is replaced that is no folder to deploy.

    Raises:
        FileAccessError: Something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())) or _is_deployment(out):
        return
    fix = (
        "it is no folder that `deploy` wrote: name another place with --out, or move what is there"
    )
    raise FileAccessError(out, "content", "something else", fix)


def _is_deployment(out: Path) -> bool:
    try:
        told = json.loads((out / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and (told.get("schema"), told.get("kind")) == (
        SCHEMA,
        "deployment",
    )


def write_deployment(deployment: Deployment, out: Path) -> str:
    """Make the folder, and run its check in it; where that fails, nothing is left.

    Args:
        deployment: What it holds.
        out: The folder; an earlier folder to deploy is replaced as a whole.

    Returns:
        What the check compared, and by how much it differs, in words.

    Raises:
        FileAccessError: Another folder is there.
        MeasurementError: The script does not find what was stored.
    """
    refuse_other_folder(out)
    model = deployment.model
    with atomic_directory(out) as part:
        name = _copy_model(model, part)
        shutil.copyfile(SCRIPT, part / SCRIPT.name)
        _copy_suite(part / "boxes")
        (part / "cpp").mkdir()
        snippet = HERE / "snippets" / f"{model.form.engine}.cpp"
        shutil.copyfile(snippet, part / "cpp" / "run_model.cpp")
        atomic_write_text(part / "classes.txt", "".join(f"{name}\n" for name in model.classes))
        _write_point(deployment, part, name)
        pictures = _write_check(deployment, part)
        _write_manifest(deployment, part, name)
        atomic_write_text(part / "LICENCES.txt", _licences(deployment.licences))
        said = run_check(part, pictures)
        atomic_write_text(part / "README.md", readme_of(deployment, name, said))
    return said


def _copy_model(model: Model, part: Path) -> str:
    """Put the model's files into the folder, as the engine is given them; return what they are called there."""
    if model.path.is_dir():
        (part / "model").mkdir()
        for file in files_of(model.path):
            shutil.copyfile(file, part / "model" / file.name)
        return "model"
    name = f"model{model.path.suffix}"
    if model.form.engine == "openvino":
        engine = importlib.import_module("defectbench.deploy.engines.openvino")
        engine.write_as_it_reads(model.path, part / name)
    else:
        shutil.copyfile(model.path, part / name)
    return name


def _copy_suite(folder: Path) -> None:
    folder.mkdir()
    atomic_write_text(
        folder / "__init__.py", '"""Suppression of boxes and joining of tiles, as in scoring."""\n'
    )
    for name in SUITE:
        shutil.copyfile(HERE.parent / name, folder / name)


def _write_point(deployment: Deployment, part: Path, name: str) -> None:
    """The threshold, as `predict` reads it beside a model, too."""
    figures = {"threshold": deployment.threshold, **deployment.on_validation}
    files = {key: f"{name}{key.removeprefix('model')}" for key in inputs_of(part / name)}
    inputs = {key: part / file for key, file in files.items()} | {"val": deployment.val}
    path = part / OPERATING_POINT
    record = write_record(path, "operating_point", figures, inputs, extra={"why": deployment.why})
    for key, file in files.items():
        record["inputs"][key]["path"] = file
    atomic_write_json(path, record)


def _write_check(deployment: Deployment, part: Path) -> Path:
    """What is stored of each picture of the check; return the folder that holds the pictures."""
    check, threshold = deployment.check, deployment.threshold
    names = deployment.model.classes
    stored = {
        "threshold": threshold,
        "bound": BOUNDS[deployment.model.form.precision],
        "stored": check.stored,
        "pictures": [
            {
                "file_name": picture.name,
                "sha256": sha256_file(picture.path),
                "size": list(picture.size),
                "boxes": [
                    [names[row["category_id"]], row["score"], _corners(row["bbox"])]
                    for row in picture.results
                    if row["score"] > threshold
                ],
            }
            for picture in check.pictures
        ],
    }
    atomic_write_json(part / CHECK, stored)
    if not check.packed:
        return _folder_of(check)
    for picture in check.pictures:
        target = part / CHECK_PICTURES / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture.path, target)
    return part / CHECK_PICTURES


def _folder_of(check: Check) -> Path:
    """Where the pictures of a check lie, without their names."""
    first = check.pictures[0]
    return Path(str(first.path).removesuffix(first.name))


def _corners(bbox: Sequence[float]) -> list[float]:
    x, y, width, height = bbox
    return [x, y, x + width, y + height]


def _write_manifest(deployment: Deployment, part: Path, name: str) -> None:
    model = deployment.model
    deployed = files_of(part / name)
    settings = {
        "engine": model.form.engine,
        "precision": model.form.precision,
        "model": name,
        "threads": deployment.speed.threads,
        "size": model.size,
        "classes": model.classes,
        "tiles": dict(model.tiles) if model.tiles is not None else None,
        "suppression": model.suppression,
    }
    figures = {
        key: dict(measured.record["figures"]) if measured.record is not None else None
        for key, measured in (("score", deployment.score), ("speed", deployment.speed))
    }
    extra = {
        "settings": settings,
        "model_sha256": model.sha256,
        "files": {file.relative_to(part).as_posix(): sha256_file(file) for file in deployed},
    }
    inputs = {**inputs_of(model.path), "val": deployment.val}
    write_record(part / MANIFEST, "deployment", figures, inputs, extra=extra)


def _licences(licences: Mapping[str, str]) -> str:
    told = "".join(f"{part}: {licence}\n" for part, licence in licences.items())
    try:
        text = distribution("defectbench").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        text = None
    checkout = (
        Path(__file__).parents[4] / "LICENSE"
    )  # installed from there, or run without being installed
    if not text and checkout.is_file():
        text = checkout.read_text(encoding="utf-8")
    return f"{told}\n{text or 'Apache-2.0: https://www.apache.org/licenses/LICENSE-2.0'}\n"


def run_check(folder: Path, pictures: Path) -> str:
    """Run the check of a folder to deploy, by its own script in a process of its own.

    Args:
        folder: The folder.
        pictures: Where the pictures of the check lie.

    Returns:
        What was compared, and by how much it differs, in words.

    Raises:
        MeasurementError: The script fails, or finds other boxes than are stored.
    """
    # -B: the folder holds what was written into it, and nothing that Python makes of it
    command = [sys.executable, "-B", str(folder.absolute() / SCRIPT.name), "--check"]
    command.append(str(pictures.absolute()))
    run = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no word"])[-1]
        fix = "the script does not find what was stored; report it with the model file"
        raise MeasurementError(SCRIPT.name, "--check", last, fix)
    return run.stdout.strip()
