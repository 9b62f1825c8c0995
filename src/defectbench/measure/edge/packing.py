"""A bundle of the cells of a study: their model files by engine and precision, and images of their test parts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.boards import TENSORRT, model_of
from ...base.engines import CONVERTED, REFERENCE, Form
from ...base.errors import ConfigError, UnsupportedError
from ...base.files import sha256_file
from ...base.records import read_record, record_beside
from ...base.studies import LatencySettings
from ...data.pack import load_arrays, tiling_of_pack
from ...deploy.checked import open_checked
from ...deploy.edge.bundle import Bundle, BundleEntry, choose_rows, write_bundle
from ...deploy.engines.files import inputs_of, recorded_sha256
from ...deploy.names import OUTPUTS
from ...deploy.nms import DEPLOYMENT_THRESHOLD, NMS
from ..absences import absence_of
from ..reference import SIDE, write_reference

IMAGES = 200


def pack_cells(
    cells: Iterable[str | Path],
    forms: Sequence[Form],
    out: str | Path,
    settings: LatencySettings,
    most_images: int = IMAGES,
) -> Bundle:
    """Write the bundle of some cells.

    Args:
        cells: Folders of cells, each with its model file, predictions and accuracy.
        forms: Engines and precisions; a form that an engine cannot run has no entry.
        out: The folder to make.
        settings: The race; of several numbers of threads the first.
        most_images: Images of each test part, spread evenly over it.

    Raises:
        ConfigError: A cell lacks a file, or nothing is left to pack.
        UnsupportedError: A test part is cut into tiles.
    """
    packs: dict[str, int] = {}
    images: list[NDArray[np.uint8]] = []
    entries = []
    for cell in map(Path, cells):
        part = _read_part(cell, most_images)
        if part["pack"] not in packs:
            packs[part["pack"]] = len(images)
            images.append(part.pop("pixels"))
        part.pop("pixels", None)
        for form in forms:
            # TensorRT builds on the board, whatever stops it here
            if form.engine == TENSORRT or absence_of(cell, form) is None:
                entries.append(_entry(cell, form, packs[part["pack"]], part))
    engines = dict.fromkeys(entry.form.engine for entry in entries)
    with tempfile.TemporaryDirectory() as name:
        references = {engine: _reference(engine, Path(name)) for engine in engines}
        return write_bundle(
            Path(out), entries, images, references, settings.by_threads[0].model_dump()
        )


def _read_part(cell: Path, most: int) -> dict[str, Any]:
    """Images of the test part of a cell, and where their truth lies."""
    if not (cell / Form(REFERENCE).model).exists():
        fix = _fix_of(cell, Form(REFERENCE))
        raise ConfigError(cell / Form(REFERENCE).model, "file", "nothing", fix)
    artifact = open_checked(cell / Form(REFERENCE).model)
    predicted = read_record(record_beside(cell / "predictions.json"), "predictions")
    scored = read_record(cell / "accuracy.json", "accuracy")["inputs"]
    source = predicted["inputs"]["pack"]["path"]
    if tiling_of_pack(source) is not None:
        fix = "name cells of whole images; boards see no tiles yet"
        raise UnsupportedError(source, "tiles", "a part that is cut into tiles", fix)
    pack = load_arrays(source, task=artifact.task)
    rows = choose_rows(len(pack), most)
    return {
        "pixels": np.asarray(pack.images)[rows],
        "pack": source,
        "pack_sha256": sha256_file(source),
        "rows": rows,
        "task": artifact.task,
        "size": artifact.size,
        "suppression": getattr(artifact, "suppression", NMS),
        "truth": {name: scored[name]["path"] for name in ("annotations", "groups")},
    }


def _fix_of(cell: Path, form: Form) -> str:
    """What makes a file that a cell lacks."""
    artifact = cell / Form(REFERENCE).model
    if not artifact.exists():
        return "name cells of trained methods that have a model.onnx; controls have none"
    made = model_of(cell, form)
    files = f"--model {quote(str(artifact))} --out {quote(str(made))}"
    if form.precision == "int8":
        return f"defectbench quantise --train PACK_OF_THE_TRAINING_PART {files}"
    return f"defectbench convert-model --form {form.name} {files}"


def _entry(cell: Path, form: Form, images: int, part: dict[str, Any]) -> BundleEntry:
    model, point = model_of(cell, form), cell / "operating_point.json"
    if not model.exists():
        raise ConfigError(model, "file", "nothing", _fix_of(cell, form))
    if not form.is_artifact:  # which is checked already
        by_itself = form.engine != TENSORRT and form.engine in CONVERTED
        open_checked(model, engine=form.engine if by_itself else REFERENCE)
    threshold = DEPLOYMENT_THRESHOLD
    if point.is_file():
        threshold = read_record(point, "operating_point")["figures"]["threshold"]
    hashes = {name: {"sha256": sha256_file(file)} for name, file in inputs_of(model).items()}
    origin = {
        "cell": str(cell),
        "form": form.name,
        "model": str(model),
        "model_sha256": recorded_sha256(hashes),
        **part,
    }
    name = f"{'/'.join(cell.absolute().parts[-4:])} {form.name}"
    outputs = OUTPUTS[part["task"]]
    told = (images, threshold, origin, part["suppression"])
    return BundleEntry(name, form, model, outputs, part["size"], *told)


def _reference(engine: str, folder: Path) -> Path:
    """The reference model as an engine runs it."""
    path = folder / "reference.onnx"
    write_reference(path)
    if engine != "ncnn":
        return path
    from ...deploy.engines.ncnn import convert_network

    convert_network(path, folder / engine, SIDE)
    return folder / engine
