"""From a cell to its folder to deploy: the form that was asked for, with what this very file scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from ..base.cards import DatasetCard, load_dataset_card
from ..base.compressions import base_method, compressed_title
from ..base.engines import Form
from ..base.errors import ConfigError
from ..base.files import read_json, sha256_file, unchanged
from ..base.methods import load_card
from ..base.records import ABSENT, read_record
from ..base.strict import name_one_of
from ..data.coco import read_coco
from ..data.pack import read_rgb
from ..deploy.checked import open_checked
from ..deploy.deployment.content import (
    RUNNERS,
    Check,
    CheckPicture,
    Deployment,
    Measured,
    Model,
)
from ..deploy.deployment.folder import refuse_other_folder, write_deployment
from ..deploy.engines import require_engine
from ..deploy.engines.files import files_of, model_sha256, recorded_sha256
from ..deploy.nms import SCORING_THRESHOLD
from ..deploy.pictures import detect, tiling_of
from ..deploy.runtime import DetectorModel
from ..measure.absences import absence_of
from ..measure.accuracy import listed_images
from .threshold import Threshold, check_overkill, choose_threshold

CHECKED = 10  # pictures that the script is run on
SUITE = "Apache-2.0 (DefectBench)"


@dataclass(frozen=True)
class Shelves:
    """Where the cards lie.

    Attributes:
        datasets: Folder of the datasets' cards.
        models: Folder of the methods.
    """

    datasets: Path = Path("datasets")
    models: Path = Path("models")


@dataclass(frozen=True)
class DeployedFolder:
    """A folder to deploy that was written.

    Attributes:
        folder: The folder.
        threshold: Where the model works.
        checked: What the check said.
        score: What is said of the score.
        speed: What is said of the speed.
    """

    folder: Path
    threshold: Threshold
    checked: str
    score: Measured
    speed: Measured

    def told(self) -> list[str]:
        """What a user should hear, in lines."""
        missing = [
            f"no {name} stands in its README: {measured.missing}"
            for name, measured in (("score", self.score), ("speed", self.speed))
            if measured.record is None
        ]
        return [
            f"threshold {self.threshold.threshold:.3f}: {self.threshold.why}",
            f"the script says what is stored: {self.checked}",
            *missing,
            f"to deploy: {self.folder.as_posix()}",
        ]


def deploy(
    cell: Path,
    form: Form,
    overkill: float,
    out: Path | None = None,
    val: Path | None = None,
    shelves: Shelves | None = None,
) -> DeployedFolder:
    """Write the folder to deploy of one form of a cell, and check it.

    Args:
        cell: Folder of the cell, with its model file and the records of its score.
        form: Engine and precision.
        overkill: Largest share of good parts that may be rejected, 0..1.
        out: The folder; ``deployments/<dataset>-<protocol>-<method>-seed<k>-<form>`` by default.
        val: Pack of the validation part, by which the threshold is chosen; that of the cell's operating point by
            default.
        shelves: Where the cards lie.

    Raises:
        ConfigError: The cell has no such form or lacks a record, the engine is not installed or has no script, or the
            rate is no share.
        ArtifactError: The model breaks the artifact signature, or the engine cannot run it.
        FileAccessError: Another folder is there.
        MeasurementError: The script does not find what was stored, or a file was changed meanwhile.
    """
    check_overkill(overkill)
    model = model_of(cell, form)
    cards = shelves or Shelves()
    if out is not None:
        refuse_other_folder(out)
    with unchanged(*files_of(model)):
        engine = open_checked(model, engine=form.engine)
        if not isinstance(engine, DetectorModel):
            raise ConfigError(model, "task", engine.task, "a folder to deploy is for detectors")
        told = engine.metadata
        dataset = load_dataset_card(cards.datasets / f"{told['dataset']}.yaml")
        name = method_of(cell, told["method"])
        method = load_card(cards.models / base_method(name))
        target = out or default_folder(told, name, form)
        refuse_other_folder(target)
        pack = val or _val_of(cell)
        threshold = choose_threshold(model, pack, overkill, form.engine)
        digest = model_sha256(model)
        tiling = tiling_of(engine)
        score = _measured(_records(cell, form) / "accuracy.json", "accuracy", digest)
        speed = _measured(cell / "latency" / f"{form.name}.json", "latency", digest)
        deployment = Deployment(
            Model(
                form,
                model,
                digest,
                method.title if name == method.name else compressed_title(method.title, name),
                dataset.title,
                told["seed"],
                engine.classes,
                engine.size,
                tiling.model_dump() if tiling is not None else None,
                engine.suppression,
            ),
            threshold.threshold,
            threshold.why,
            threshold.figures,
            pack,
            score,
            speed,
            _licences(dataset, method.licence, _start_of(cell)),
            _check(cell, form, engine, score, threshold.threshold, dataset),
        )
        checked = write_deployment(deployment, target)
    return DeployedFolder(target, threshold, checked, score, speed)


def method_of(cell: Path, exported: str) -> str:
    """Name of the method of a cell: its folder's, which tells a compressed one from its base, as the file does not.

    Args:
        cell: Folder of the cell.
        exported: The method that its model file names; it stands for a folder of no method's name.
    """
    folder = cell.absolute().parent.name
    return folder if base_method(folder) == base_method(exported) else exported


def default_folder(told: Mapping[str, str], method: str, form: Form) -> Path:
    """Where a cell is deployed if nothing else is said: no two cells of a study have the same folder.

    Args:
        told: Metadata of the model file.
        method: Name of the method.
        form: Engine and precision.
    """
    parts = (told["dataset"], told["protocol"], method, f"seed{told['seed']}", form.name)
    return Path("deployments") / "-".join(parts)


def model_of(cell: Path, form: Form) -> Path:
    """The model file, or folder of files, of a form of a cell, by an engine that a script is written for.

    Raises:
        ConfigError: There is no such script, engine or form here; says how the form is made.
    """
    if form.engine not in RUNNERS:
        fix = f"no script runs it from a folder yet; {name_one_of(form.engine, RUNNERS)}"
        raise ConfigError("--engine", "engine", form.engine, fix)
    require_engine(form.engine)
    artifact, model = cell / Form(RUNNERS[0]).model, cell / form.model
    if not artifact.is_file():
        fix = (
            "name a cell that holds it, results/<study>/runs/<dataset>/<protocol>/<method>/seed<k>"
        )
        raise ConfigError(artifact, "file", "nothing", fix)
    reason = absence_of(cell, form)
    if reason is not None:
        fix = "deploy it by another engine"
        raise ConfigError(cell, form.name, reason, fix)
    if not model.exists():
        raise ConfigError(model, "file", "nothing", f"make this form first: {_making(cell, form)}")
    return model


def _making(cell: Path, form: Form) -> str:
    """The command that makes a form."""
    model, out = quote(f"{cell}/model.onnx"), quote(f"{cell}/{form.model}")
    if not form.model.endswith(".onnx"):
        return f"defectbench convert-model --model {model} --form {form.name} --out {out}"
    trained = cell / "train.json"
    pack = (
        read_record(trained, "train")["inputs"]["pack"]["path"]
        if trained.is_file()
        else "<dataset>/<protocol>/split0/train@<size>.safetensors"
    )
    return f"defectbench quantise --model {model} --train {quote(pack)} --out {out}"


def _records(cell: Path, form: Form) -> Path:
    """Folder of the predictions and the score of a form."""
    return cell if form.is_artifact else cell / form.folder


def _val_of(cell: Path) -> Path:
    path = cell / "operating_point.json"
    if not path.is_file():
        raise ConfigError(path, "file", "nothing", "name the pack of the validation part: --val")
    pack = Path(read_record(path, "operating_point")["inputs"]["val"]["path"])
    if not pack.is_file():
        fix = "the threshold is chosen on it: make it again, or name it with --val"
        raise ConfigError(pack, "pack of the validation part", "nothing", fix)
    return pack


def _measured(path: Path, kind: str, digest: str) -> Measured:
    """A record of this very file; nothing is taken from another one's."""
    if not path.is_file():
        word = "scored" if kind == "accuracy" else "timed"
        return Measured(None, f"this form was not {word} ({path.as_posix()} is not there)")
    record = read_record(path, kind)
    figures = record["figures"]
    if ABSENT in figures:
        return Measured(None, f"{path.as_posix()} says: {figures[ABSENT]}")
    seen = record.get("model_sha256") if kind == "accuracy" else recorded_sha256(record["inputs"])
    if seen != digest:
        return Measured(None, f"{path.as_posix()} speaks of another file, {seen}")
    return Measured(record)


def _licences(
    dataset: DatasetCard, of_method: str, start: Mapping[str, str] | None
) -> dict[str, str]:
    told = {
        "script, boxes/ and cpp/": SUITE,
        "method": of_method,
        "dataset, from which the model learnt": f"{dataset.licence}; {dataset.allows.told()}",
    }
    if start is None:
        return told
    name = f"published weights, from which its training started ({start['data']})"
    return {**told, name: start["licence"]}


def _start_of(cell: Path) -> Mapping[str, str] | None:
    """What the record of a cell's training says of published weights; None for a start from scratch, or no record."""
    path = cell / "train.json"
    return read_record(path, "train").get("start") if path.is_file() else None


def _check(
    cell: Path,
    form: Form,
    engine: DetectorModel,
    score: Measured,
    threshold: float,
    dataset: DatasetCard,
) -> Check:
    """Pictures of the test part, those with boxes first, and what is stored of each."""
    scored = read_record(cell / "accuracy.json", "accuracy")["inputs"]
    annotations, listed = (Path(scored[name]["path"]) for name in ("annotations", "images"))
    coco = read_coco(annotations)
    folder = _records(cell, form) if score.record is not None else cell
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in read_json(folder / "predictions.json"):
        by_image[row["image_id"]].append(row)
    entries = [coco.images[name] for name in listed_images(listed)]
    chosen = sorted(entries, key=lambda entry: _is_bare(by_image[entry["id"]], threshold))[:CHECKED]
    pictures = []
    for entry in chosen:
        path = annotations.parent / "images" / entry["file_name"]
        if not path.is_file():
            fix = "the script is checked on it: deploy where the dataset lies, or acquire it again"
            raise ConfigError(path, "picture", "nothing", fix)
        rows: Sequence[Mapping[str, Any]] = by_image[entry["id"]]
        if score.record is None:
            rows = detect(engine, read_rgb(path), SCORING_THRESHOLD, entry["id"])
        size = (entry["width"], entry["height"])
        pictures.append(CheckPicture(entry["file_name"], path, size, rows))
    if score.record is not None:
        stored = "the predictions that were scored"
        _check_scored(folder, score.record)
    else:
        stored = "what the suite finds with this file, which was not scored,"
    return Check(pictures, stored, dataset.allows.redistribution)


def _is_bare(rows: Sequence[Mapping[str, Any]], threshold: float) -> bool:
    return not any(row["score"] > threshold for row in rows)


def _check_scored(folder: Path, accuracy: Mapping[str, Any]) -> None:
    """The stored predictions are those of the score."""
    path = folder / "predictions.json"
    seen, scored = sha256_file(path), accuracy["inputs"]["predictions"]["sha256"]
    if seen != scored:
        fix = f"the score is of {scored}: measure the form again"
        raise ConfigError(path, "sha256", seen, fix)
