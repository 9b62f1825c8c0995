"""Answers of a board as records of cells: scored here, on the images that the board saw; timed there."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...base.boards import DEVICES, TENSORRT, board_form
from ...base.engines import REFERENCE, Form
from ...base.errors import HashMismatchError, MeasurementError
from ...base.files import atomic_write_json, atomic_write_text, sha256_file
from ...base.records import ABSENT, record_beside, write_record
from ...data.pack import Pack, load_arrays
from ...data.truth import read_truth
from ...deploy.checked import open_checked
from ...deploy.edge.bundle import Bundle
from ...deploy.engines.files import inputs_of, recorded_sha256
from ...deploy.predict import check_output, checked_score, coco_results, to_original
from ..cell import Truth, evaluate_predictions, write_absence
from ..forms import BOUND, differences
from ..race_figures import invalid_because, summarise
from .tegrastats import summarise_lines
from .trtexec_times import trtexec_figures

REGIME = "stream: blocks of calls back to back, all models of an engine in turn"
PHASES = "pre: from uint8 at the input's size to float32; no decoding and no scaling of images"
EMULATED = "an emulated processor: its times say nothing"
REASON = "invalid_because"


def join_entry(
    bundle: Bundle,
    number: int,
    device: str,
    card: Mapping[str, Any],
    predicted: Mapping[str, Any],
    races: Sequence[Mapping[str, Any]],
    position: int,
) -> Path:
    """Write the records of one model on a board.

    Args:
        bundle: What was run.
        number: Which of its entries.
        device: Name of the board.
        card: What it is.
        predicted: Its answers to the images.
        races: What each process of the race of its engine saw.
        position: Its position among the models of the engine.

    Returns:
        The folder: ``predictions.json``, ``accuracy.json``, ``agreement.json``, ``latency.json``.

    Raises:
        HashMismatchError: The cell has another model file or pack now.
        MeasurementError: A float32 engine answers otherwise than onnxruntime here.
    """
    entry, origin = bundle.plan["entries"][number], bundle.origins[number]
    form, folder = board_form(origin["form"]), folder_of_entry(bundle, number, device)
    _check_origin(origin)
    pack = load_arrays(origin["pack"], task=origin["task"])
    board = {"board": dict(card), "device": device, "engine": form.engine}
    agreement = _agreement(folder, origin, pack, entry, predicted["raw"], card)
    _write_predictions(folder, origin, pack, predicted["answers"], entry, board)
    write_record(
        folder / "agreement.json", "agreement", agreement, _held_against(origin), extra=board
    )
    _write_latency(folder, bundle, Path(origin["model"]), form, card, races, position, board)
    return folder


def folder_of_entry(bundle: Bundle, number: int, device: str) -> Path:
    """Folder of the records of one model of a bundle on a board."""
    origin = bundle.origins[number]
    return Path(origin["cell"]) / DEVICES / device / board_form(origin["form"]).name


def join_refusal(
    bundle: Bundle, number: int, device: str, card: Mapping[str, Any], reason: str
) -> Path:
    """Write the records of a model that its engine refuses on a board: they say why there are no figures.

    Args:
        bundle: What was run.
        number: Which of its entries.
        device: Name of the board.
        card: What it is.
        reason: What the engine said.

    Returns:
        The folder, with the same records as that of a model with figures.

    Raises:
        HashMismatchError: The cell has another model file or pack now.
    """
    origin = bundle.origins[number]
    form, folder = board_form(origin["form"]), folder_of_entry(bundle, number, device)
    _check_origin(origin)
    listed, predictions = _write_images(folder, origin), folder / "predictions.json"
    write_absence(reason, predictions, _truth(origin, listed))
    extra = {"board": dict(card), "device": device, "engine": form.engine}
    inputs = {**inputs_of(origin["model"]), "plan": bundle.folder / "plan.json"}
    by_trtexec = form.engine == TENSORRT and TENSORRT not in card["versions"]
    of_latency = {
        "emulated": card["emulated"],
        "power": None,
        "settings": {**bundle.plan["protocol"], "engine": form.engine, "by_trtexec": by_trtexec},
    }
    write_record(record_beside(predictions), "predictions", {ABSENT: reason}, inputs, extra=extra)
    write_record(
        folder / "agreement.json", "agreement", {ABSENT: reason}, _held_against(origin), extra=extra
    )
    write_record(
        folder / "latency.json", "latency", {ABSENT: reason}, inputs, extra=extra | of_latency
    )
    return folder


def _held_against(origin: Mapping[str, Any]) -> dict[str, Path]:
    """The artifact of a cell and the files that a board ran, as records call them."""
    return {"artifact": Path(origin["cell"]) / Form(REFERENCE).model, **inputs_of(origin["model"])}


def _check_origin(origin: Mapping[str, Any]) -> None:
    """The files of this machine are those that were packed."""
    files = inputs_of(origin["model"])
    hashes = {name: {"sha256": sha256_file(file)} for name, file in files.items() if file.is_file()}
    model_now = recorded_sha256(hashes) if len(hashes) == len(files) else "nothing"
    pack_now = sha256_file(origin["pack"])
    for path, now, packed in (
        (origin["pack"], pack_now, origin["pack_sha256"]),
        (origin["model"], model_now, origin["model_sha256"]),
    ):
        if now != packed:
            fix = f"it was {packed} when it was packed; make the bundle again"
            raise HashMismatchError(path, "sha256", now, fix)


def _write_predictions(
    folder: Path,
    origin: Mapping[str, Any],
    pack: Pack[Any],
    answers: Sequence[Any],
    entry: Mapping[str, Any],
    board: Mapping[str, Any],
) -> None:
    """Answers as predictions, and their score."""
    results: list[dict[str, Any]] = []
    for row, answer in zip(origin["rows"], answers, strict=True):
        image_id = int(pack.image_ids[row])
        if "anomaly" in entry["outputs"]:
            score = checked_score(folder, image_id, np.array(answer[0], np.float64))
            results.append({"image_id": image_id, "anomaly": score})
            continue
        if len(entry["outputs"]) == 1:
            shares = np.array(answer[0], np.float64)
            check_output(folder, image_id, shares)
            rounded = [round(float(p), 6) for p in np.clip(shares, 0, 1)]
            results.append({"image_id": image_id, "probabilities": rounded})
            continue
        boxes = np.array(answer[0], np.float32).reshape(-1, 4)
        scores, labels = np.array(answer[1], np.float32), np.array(answer[2], np.int64)
        check_output(folder, image_id, scores, boxes)
        placed = to_original(boxes, float(pack.scale[row]), pack.pad[row], pack.original_size[row])
        results += coco_results(image_id, placed, scores, labels)
    predictions = folder / "predictions.json"
    atomic_write_json(predictions, results)
    inputs = {**inputs_of(origin["model"]), "pack": origin["pack"], "predictions": predictions}
    figures = {"n_images": len(answers)}
    if len(entry["outputs"]) > 1:
        figures["n_detections"] = len(results)
    write_record(record_beside(predictions), "predictions", figures, inputs, extra=board)
    truth = _truth(origin, _write_images(folder, origin))
    evaluate_predictions(predictions, truth, folder / "accuracy.json")


def _write_images(folder: Path, origin: Mapping[str, Any]) -> Path:
    """The list of the images that a board saw."""
    pack = load_arrays(origin["pack"], task=origin["task"])
    annotations = read_truth(origin["truth"]["annotations"])
    names = {image["id"]: image["file_name"] for image in annotations["images"]}
    listed = [names[int(pack.image_ids[row])] for row in origin["rows"]]
    atomic_write_text(folder / "images.txt", "".join(f"{name}\n" for name in listed))
    return folder / "images.txt"


def _truth(origin: Mapping[str, Any], images: Path) -> Truth:
    """What the answers to some images are held against."""
    truth = origin["truth"]
    return Truth(Path(truth["annotations"]), images, Path(truth["groups"]))


def _agreement(
    folder: Path,
    origin: Mapping[str, Any],
    pack: Pack[Any],
    entry: Mapping[str, Any],
    raw: Sequence[Sequence[Mapping[str, Any]]],
    card: Mapping[str, Any],
) -> dict[str, Any]:
    """How far the outputs of the board lie from those of the artifact in onnxruntime here.

    Raises:
        MeasurementError: They are of float32 and lie too far off; nothing has been written then.
    """
    artifact = open_checked(Path(origin["cell"]) / Form(REFERENCE).model)
    rows = origin["rows"][: len(raw)]
    images = np.asarray(pack.images)[rows].astype(np.float32) / np.float32(255)
    order = [list(entry["outputs"]).index(name) for name in artifact.outputs]
    got = [np.concatenate([unpacked(outputs[n]) for outputs in raw]) for n in order]
    is_float32 = entry["precision"] == "fp32"
    figures, worst = differences(artifact, images, got, is_float32)
    if is_float32 and not worst <= BOUND:
        version = card["versions"].get(entry["engine"], "unknown")
        fix = (
            f"float32 may differ by {BOUND}: {entry['engine']} {version} computes otherwise there; "
            "install another version"
        )
        raise MeasurementError(folder, "difference of outputs", worst, fix)
    return figures


def unpacked(values: Mapping[str, Any]) -> Any:
    """An array that came back as text."""
    flat = np.frombuffer(base64.b64decode(values["float32"]), np.float32)
    return flat.reshape(values["shape"])


def _write_latency(
    folder: Path,
    bundle: Bundle,
    model: Path,
    form: Form,
    card: Mapping[str, Any],
    races: Sequence[Mapping[str, Any]],
    position: int,
    board: Mapping[str, Any],
) -> None:
    """The latency record; its machine is the board."""
    protocol = bundle.plan["protocol"]
    answers = [dict(race) for race in races]
    by_trtexec = "trtexec" in answers[0]
    if by_trtexec:
        figures = trtexec_figures(answers, position)
        reasons = figures.pop(REASON)
    else:
        figures = summarise(answers, position, None, protocol["threads"])
        reasons = invalid_because(figures, answers)
    reasons += [EMULATED] if card["emulated"] else []
    figures |= {"threads": protocol["threads"], "valid": not reasons, REASON: reasons}
    lines = [line for race in answers for line in race["evidence"]["tegrastats"] or ()]
    power = summarise_lines(lines) if lines else None
    extra = {
        **board,
        "emulated": card["emulated"],
        "settings": {**protocol, "engine": form.engine, "by_trtexec": by_trtexec},
        "reference_engine": form.engine,
        "evidence": [_without_lines(race["evidence"]) for race in answers],
        "power": power,
        "regime": "trtexec's own" if by_trtexec else REGIME,
        "phases": "none: GPU, and copies" if by_trtexec else PHASES,
        "hardware": {n: card[n] for n in ("cpu", "cores", "memory_gib", "architecture", "model")},
        "software": {"python": card["python"], "kernel": card["kernel"], **card["versions"]},
    }
    inputs = {**inputs_of(model), "plan": bundle.folder / "plan.json"}
    if by_trtexec:
        kept = {"runs": [race["trtexec"] for race in answers]}
        atomic_write_text(folder / "trtexec.json", json.dumps(kept, indent=1) + "\n")
        inputs["trtexec"] = folder / "trtexec.json"
    write_record(folder / "latency.json", "latency", figures, inputs, extra=extra)


def _without_lines(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence without the lines of tegrastats, which ``power`` sums up."""
    return {name: value for name, value in evidence.items() if name != "tegrastats"}


def write_board(
    path: Path, card: Mapping[str, Any], plan: Path, made: Sequence[Path], refused: int
) -> None:
    """The record of a board: what it is, and where its cells lie."""
    extra = {"board": dict(card), "records": [folder.as_posix() for folder in made]}
    figures = {"n_models": len(made), "n_refused": refused}
    write_record(path, "board", figures, {"plan": plan}, extra=extra)
