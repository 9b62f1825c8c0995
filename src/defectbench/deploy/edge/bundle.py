"""A bundle: what a board needs to run model files, with the hash of every file.

runner.py        what runs there: one file
plan.json        what it is to do
models/<n>/      a model file, or the files of an engine's own
images/<n>.npy   images at the size of the models, uint8 [N,3,S,S]
references/      the reference model, in the form of each engine
manifest.json    SHA-256 of all of these
origin.json      where they come from on this machine; it is not sent
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.boards import TENSORRT
from ...base.engines import Form
from ...base.errors import ConfigError, HashMismatchError
from ...base.files import atomic_directory, atomic_write_json, read_json, sha256_file
from ..engines.files import files_of
from ..nms import NMS, SCORING_THRESHOLD

SCHEMA = "defectbench-edge/1"
RUNNER, PLAN, MANIFEST, ORIGIN = "runner.py", "plan.json", "manifest.json", "origin.json"
RAW_IMAGES = 8  # whose outputs come back as they are
REFERENCE = "reference model"
PARTS = ("nms", "edge.state", "edge.sessions", "edge.trtexec_model", "edge.board")
_HEAD = '''"""Runs the model files of a bundle on a board; it asks for Python 3.8, numpy and one engine."""

from __future__ import annotations

import json, sys

try:
    import numpy
except ImportError as error:
    fix = "install it there: python3 -m pip install numpy"
    told = {"field": "numpy", "value": str(error), "fix": fix, "where": ""}
    print("\\n" + MARK + json.dumps({"refused": told}))
    sys.exit(0)
'''


@dataclass(frozen=True)
class BundleEntry:
    """A model of a bundle.

    Attributes:
        name: What messages call it: the cell and its form.
        form: Engine and precision.
        model: The model file, or the folder of an engine's own files.
        outputs: Names of its outputs, in their order.
        size: Side of its square input, pixels.
        images: Which of the bundle's images it sees.
        threshold: The score above which a box counts in use; None of a classifier.
        origin: Where it comes from on this machine.
        suppression: What a detector's boxes need before they are an answer: ``nms`` or ``none``.
    """

    name: str
    form: Form
    model: Path
    outputs: Sequence[str]
    size: int
    images: int
    threshold: float | None
    origin: Mapping[str, Any]
    suppression: str = NMS


@dataclass(frozen=True)
class Bundle:
    """A bundle as it lies on this machine.

    Attributes:
        folder: Where.
        files: SHA-256 by name of what is sent.
        plan: What the board is to do.
        origins: Where each entry comes from.
        key: Hash of the manifest: two bundles of one key are the same.
    """

    folder: Path
    files: dict[str, str]
    plan: dict[str, Any]
    origins: list[dict[str, Any]]
    key: str

    @property
    def engines(self) -> list[str]:
        """Engines that some entry asks for."""
        return list(dict.fromkeys(entry["engine"] for entry in self.plan["entries"]))


def runner_source() -> str:
    """The one file that runs on a board: the suite's own modules, joined."""
    modules = [importlib.import_module(f"..{name}", __package__) for name in PARTS]
    mark = json.dumps(modules[-1].MARK)
    return "\n\n".join([_HEAD.replace("MARK", mark), *map(_body, map(inspect.getsource, modules))])


def _body(source: str) -> str:
    """A module without its description and without what the joined file has already."""
    lines = source.splitlines()
    tree = ast.parse(source)
    for n, node in enumerate(tree.body):
        is_text = n == 0 and isinstance(node, ast.Expr)
        of_suite = isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__")
        if is_text or of_suite:
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines).strip() + "\n"


def write_bundle(
    out: Path,
    entries: Sequence[BundleEntry],
    images: Sequence[NDArray[np.uint8]],
    references: Mapping[str, Path],
    protocol: Mapping[str, Any],
) -> Bundle:
    """Write a bundle; the folder is whole or not there.

    Args:
        out: The folder to make.
        entries: Its models.
        images: uint8 [N,3,S,S] each.
        references: The reference model by engine: a file, or a folder of files.
        protocol: Processes, rounds, calls and threads of the race.

    Raises:
        ConfigError: There is no entry.
    """
    if not entries:
        raise ConfigError(out, "models", 0, "name at least one cell that an engine can run")
    with atomic_directory(out) as part:
        (part / RUNNER).write_text(runner_source(), encoding="utf-8")
        (part / "images").mkdir()
        for n, pixels in enumerate(images):
            np.save(part / "images" / f"{n}.npy", np.ascontiguousarray(pixels))
        told = [_take_entry(part, n, entry) for n, entry in enumerate(entries)]
        plan = {
            "schema": SCHEMA,
            "protocol": dict(protocol),
            "score_threshold": SCORING_THRESHOLD,
            "raw_images": RAW_IMAGES,
            "entries": told,
            "references": {
                engine: _take_reference(part, engine, model) for engine, model in references.items()
            },
        }
        models = [entry["model"] for entry in (*told, *plan["references"].values())]
        plan["files"] = {n: h for n, h in _hashes(part).items() if n.startswith(tuple(models))}
        atomic_write_json(part / PLAN, plan)
        atomic_write_json(part / MANIFEST, {"schema": SCHEMA, "files": _hashes(part)})
        origins = [dict(entry.origin) for entry in entries]
        atomic_write_json(
            part / ORIGIN, {"manifest": sha256_file(part / MANIFEST), "entries": origins}
        )
    return read_bundle(out)


def _take_entry(folder: Path, number: int, entry: BundleEntry) -> dict[str, Any]:
    """Copy the model of an entry into a bundle and say how it is run."""
    return {
        "name": entry.name,
        "engine": entry.form.engine,
        "precision": entry.form.precision,
        "model": _copy(folder, f"models/{number}", entry.model, entry.form),
        "outputs": list(entry.outputs),
        "size": entry.size,
        "images": f"images/{entry.images}.npy",
        "threshold": entry.threshold,
        "suppression": entry.suppression,
    }


def _take_reference(folder: Path, engine: str, model: Path) -> dict[str, Any]:
    copied = _copy(folder, f"references/{engine}", model, Form(engine))
    told = {"name": REFERENCE, "engine": engine, "precision": "fp32", "model": copied}
    return {**told, "outputs": ["out"], "size": 160}


def _copy(folder: Path, name: str, model: Path, form: Form) -> str:
    """Copy a model; returns its place: its file, or the folder of several."""
    target = folder / name
    target.mkdir(parents=True)
    for file in files_of(model):
        shutil.copyfile(file, target / file.name)
    if model.is_dir():
        return name
    if (form.engine, form.precision) == ("openvino", "int8"):
        _read_unsigned(target / model.name)
    if form.engine == TENSORRT:
        _give_types(target / model.name, form.precision)
    return f"{name}/{model.name}"


def _read_unsigned(path: Path) -> None:
    """The form that OpenVINO reads right, which a board has no library to make."""
    from ..artifact import load_model
    from ..engines.openvino import read_unsigned

    path.write_bytes(read_unsigned(load_model(path)).SerializeToString(deterministic=True))


def _give_types(path: Path, precision: str) -> None:
    """The graph whose types say what TensorRT computes in which precision."""
    from ..artifact import load_model
    from ..engines.tensorrt_graph import fit_for_tensorrt

    typed = fit_for_tensorrt(load_model(path), precision, path)
    path.write_bytes(typed.SerializeToString(deterministic=True))


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by name of all files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle and check every file of it.

    Raises:
        ConfigError: It is no bundle.
        HashMismatchError: A file is missing or is not the one that was packed.
    """
    path = Path(folder)
    manifest, origin = read_json(path / MANIFEST), read_json(path / ORIGIN)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        fix = f"a bundle says {SCHEMA!r}; make it with defectbench edge pack"
        raise ConfigError(path / MANIFEST, "schema", manifest, fix)
    for name, packed in manifest["files"].items():
        seen = sha256_file(path / name) if (path / name).is_file() else "nothing"
        if seen != packed:
            fix = f"it was {packed} when it was packed; make the bundle again"
            raise HashMismatchError(path / name, "sha256", seen, fix)
    key = sha256_file(path / MANIFEST)
    if origin["manifest"] != key:
        fix = f"{ORIGIN} speaks of another bundle; make it again"
        raise HashMismatchError(path / MANIFEST, "sha256", key, fix)
    return Bundle(path, manifest["files"], read_json(path / PLAN), origin["entries"], key)


def choose_rows(total: int, most: int) -> list[int]:
    """Rows of a part that go into a bundle, spread evenly over it.

    Example:
        >>> choose_rows(10, 4), choose_rows(3, 200)
        ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(int)).tolist()


def entries_of_engine(entries: Iterable[Mapping[str, Any]], engine: str) -> list[int]:
    """Positions of the entries that an engine runs."""
    return [n for n, entry in enumerate(entries) if entry["engine"] == engine]
