"""Predict on pictures of a folder: a chosen model's boxes drawn, as a CSV and as COCO results."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import ValidationError

from ..base.errors import ConfigError, DefectBenchError, PackError
from ..base.files import atomic_directory, files_below, is_system_file, sha256_file, unchanged
from ..base.records import read_record
from ..base.tiling import MOST_TILES, Tiling
from ..data.letterbox import letterbox
from ..data.pack import TILES, read_rgb
from ..data.pairing import IMAGE_SUFFIXES, decode, told_kinds
from ..data.tile_pack import crop
from ..data.tiling import count_tiles, tile_windows
from .checked import open_checked
from .merge import Detections, merge_tiles
from .nms import DEPLOYMENT_THRESHOLD, SCORING_THRESHOLD, answer_of
from .predict import check_output, checked_score, coco_results, to_original
from .runtime import AnomalyModel, ClassifierModel, DetectorModel, Model, prepare

OPERATING_POINT = "operating_point.json"  # beside a model: the threshold that it works at
Draw = Literal["found", "all", "none"]
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
BOX_COLUMNS = ("file_name", "class", "score", "x0", "y0", "x1", "y1")
CLASS_COLUMNS = ("file_name", "class", "probability")
ANOMALY_COLUMNS = ("file_name", "rejected", "anomaly")
_LEAST_TEXT = 12  # height of letters, pixels


@dataclass(frozen=True)
class Pictures:
    """What a model says of the pictures of a folder.

    Attributes:
        threshold: Boxes, or pictures, must score above it; None of a classifier.
        threshold_from: Where it comes from, in words.
        read: Number of pictures that were read.
        marked: Those of them with a box, or that score above the threshold; of a classifier all.
        rows: Number of boxes, or of answered pictures.
        finds_boxes: Whether answers are boxes.
        faults: What is wrong with each picture that was not read, one line each.
    """

    threshold: float | None
    threshold_from: str
    read: int
    marked: int
    rows: int
    faults: list[str]
    finds_boxes: bool = True

    def told(self, out: str | Path) -> list[str]:
        """What a user should hear, in lines: what was found, where it lies, and what could not be read.

        Args:
            out: Where it was written.
        """
        if self.threshold is None:
            head = f"{self.read} pictures classified"
        elif not self.finds_boxes:
            head = f"{self.marked} of {self.read} pictures rejected, scored above {self.threshold:.3f} "
            head += f"(the threshold is {self.threshold_from})"
        else:
            head = f"{self.rows} boxes on {self.marked} of {self.read} pictures, scored above {self.threshold:.3f} "
            head += f"(the threshold is {self.threshold_from})"
        unread = [f"not read: {fault}" for fault in self.faults]
        return [*unread, head, f"They lie in {Path(out).as_posix()}"]


def pictures_in(folder: str | Path) -> list[Path]:
    """Pictures in a folder at any depth, sorted; files of systems and hidden folders are passed over.

    Raises:
        ConfigError: It is no folder, or no picture of a kind that is read lies in it.
    """
    top = Path(folder)
    if not top.is_dir():
        seen = "a file" if top.exists() else "nothing"
        raise ConfigError(top, "folder", seen, "name a folder that holds pictures")
    files = [path for path in files_below(top) if not is_system_file(path.name)]
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        fix = f"put pictures there, of a kind that is read: {', '.join(sorted(IMAGE_SUFFIXES))}"
        raise ConfigError(top, "pictures", told_kinds(map(str, files)) or "no file", fix)
    return pictures


def threshold_of(model: str | Path) -> tuple[float, str]:
    """The threshold that a model works at, and where it comes from, in words.

    It is that of the operating point beside the model, where there is one of this very file; else the usual 0.25.

    Raises:
        ConfigError: The operating point is damaged, or speaks of another model file.
    """
    path = Path(model).with_name(OPERATING_POINT)
    if not path.is_file():
        return DEPLOYMENT_THRESHOLD, f"the usual one: no {OPERATING_POINT} lies beside the model"
    record = read_record(path, "operating_point")
    chosen_for = record["inputs"]["model"]["sha256"]
    if chosen_for != sha256_file(model):
        fix = "it was chosen for another model file: run `defectbench choose-threshold`, or give --threshold"
        raise ConfigError(path, "inputs.model.sha256", chosen_for, fix)
    threshold = record["figures"]["threshold"]
    if threshold is None:
        return DEPLOYMENT_THRESHOLD, "the usual one: the operating point has none"
    return float(threshold), f"of {path.as_posix()}"


def predict_pictures(
    model: str | Path,
    folder: str | Path,
    out: str | Path,
    threshold: float | None = None,
    draw: Draw = "found",
    threads: int = 1,
) -> Pictures:
    """Run a model on all pictures of a folder, one after the other, and write what it finds.

    Writes ``predictions.csv``, ``predictions.json`` (COCO results; of a classifier its probabilities),
    ``images.json`` (COCO images and categories, to which the ids belong), ``drawn/`` with pictures on which the boxes
    are drawn, and ``faults.txt`` where a picture could not be read. Pictures keep their path below the folder. A model
    that learnt from tiles sees each picture in such tiles, whose boxes are joined as in scoring. Memory does not grow
    with the number of pictures but for the results themselves.

    Args:
        model: An artifact.
        folder: Pictures, at any depth.
        out: Folder to make; it is replaced as a whole.
        threshold: Boxes must score above it, 0..1, or pictures, from 0; that of the operating point beside the model by
            default.
        draw: Which pictures are drawn: those where something is found, all or none.
        threads: Threads of the engine.

    Raises:
        ConfigError: There is no picture, ``out`` lies within the folder or holds it, or the threshold is another
            model's or out of range.
        ArtifactError: The file breaks the artifact signature, or gives figures that are not finite.
        MeasurementError: The model file was changed while it was used.

    Example:
        >>> predict_pictures("model.onnx", "shift-3", "shift-3-found").marked  # doctest: +SKIP
        4
    """
    top, target = Path(folder), Path(out)
    _check_apart(top, target)
    pictures = pictures_in(top)
    with unchanged(model):
        engine = open_checked(model, threads)
        tiling_of(engine)
        chosen, words = _chosen(engine, model, threshold)
        with atomic_directory(target) as part:
            writer = _Writer(part, engine, chosen, draw)
            for picture in pictures:
                writer.add(picture, picture.relative_to(top))
            writer.close()
    counts = (len(writer.images), writer.marked, len(writer.results))
    finds_boxes = isinstance(engine, DetectorModel)
    return Pictures(chosen, words, *counts, writer.faults, finds_boxes)


def _check_apart(folder: Path, out: Path) -> None:
    """What is written does not lie among what is read, nor takes its place."""
    source, target = folder.resolve(), out.resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        fix = "name a folder beside the pictures: drawn pictures would be read as new ones"
        raise ConfigError(out, "--out", out.as_posix(), fix)


def _chosen(engine: Model, model: str | Path, threshold: float | None) -> tuple[float | None, str]:
    if isinstance(engine, ClassifierModel):
        if threshold is not None:
            fix = "leave it out: the model is a classifier, which takes the most probable class"
            raise ConfigError("--threshold", "threshold", threshold, fix)
        return None, "a classifier has none"
    if isinstance(engine, AnomalyModel):
        return _chosen_score(model, threshold)
    if threshold is None:
        return threshold_of(model)
    if not 0 <= threshold < 1:
        raise ConfigError("--threshold", "threshold", threshold, "give a score from 0 to below 1")
    return threshold, "given"


def _chosen_score(model: str | Path, threshold: float | None) -> tuple[float, str]:
    """The threshold of scores that have no usual one: it is of the model's own unit."""
    if threshold is None:
        path = Path(model).with_name(OPERATING_POINT)
        if (
            not path.is_file()
            or read_record(path, "operating_point")["figures"]["threshold"] is None
        ):
            fix = f"give one, or put {OPERATING_POINT} with one beside the model: its scores have no usual threshold"
            raise ConfigError("--threshold", "threshold", None, fix)
        return threshold_of(model)
    if not 0 <= threshold < float("inf"):
        raise ConfigError("--threshold", "threshold", threshold, "give a finite score from 0")
    return threshold, "given"


class _Writer:
    """What is written of the pictures, one after the other."""

    def __init__(
        self,
        out: Path,
        engine: Model,
        threshold: float | None,
        draw: Draw,
    ) -> None:
        self.out, self.engine, self.threshold, self.draw = out, engine, threshold, draw
        self.images: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.marked = 0

    def add(self, path: Path, name: Path) -> None:
        """Read, predict and draw one picture; what cannot be read is noted."""
        try:
            decode(path)
            pixels = read_rgb(path)
            self._check_tiles(path, pixels)
        except DefectBenchError as error:
            self.faults.append(str(error))
            return
        image_id = len(self.images) + 1
        height, width = pixels.shape[:2]
        entry = {"id": image_id, "file_name": name.as_posix(), "width": width, "height": height}
        self.images.append(entry)
        found = self._predict(image_id, pixels)
        self.results += found
        is_marked = any(map(self._is_marked, found))
        self.marked += is_marked
        if self.draw == "all" or (self.draw == "found" and is_marked):
            _draw(pixels, self._captions(found), self.out / "drawn" / name)

    def _check_tiles(self, path: Path, pixels: NDArray[np.uint8]) -> None:
        """A picture that gives too many tiles would take hours."""
        tiling = tiling_of(self.engine)
        count = 0 if tiling is None else count_tiles(pixels.shape[1], pixels.shape[0], tiling)
        if count > MOST_TILES:
            fix = f"the model takes {MOST_TILES:,} tiles of a picture at most: give it in parts"
            raise PackError(path, "tiles", count, fix)

    def _predict(self, image_id: int, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
        source = self.engine.path
        if isinstance(self.engine, ClassifierModel):
            (row,) = self.engine(prepare(pixels, self.engine.size))
            check_output(source, image_id, row)
            rounded = [round(float(p), 6) for p in np.clip(row, 0, 1)]
            return [{"image_id": image_id, "probabilities": rounded}]
        assert self.threshold is not None
        if isinstance(self.engine, AnomalyModel):
            (row,) = self.engine(prepare(pixels, self.engine.size))
            return [{"image_id": image_id, "anomaly": checked_score(source, image_id, row)}]
        return detect(self.engine, pixels, self.threshold, image_id)

    def _is_marked(self, row: dict[str, Any]) -> bool:
        return "anomaly" not in row or row["anomaly"] > self.threshold

    def _captions(self, found: Sequence[dict[str, Any]]) -> Iterator[tuple[list[float], int, str]]:
        """Corners, class id and words of each result."""
        for row in found:
            if "anomaly" in row:
                verdict = "rejected" if self._is_marked(row) else "passed"
                yield [], int(self._is_marked(row)), f"{verdict} {row['anomaly']:.2f}"
                continue
            number, score = _top(row)
            corners = []
            if "bbox" in row:
                x, y, width, height = row["bbox"]
                corners = [x, y, x + width, y + height]
            yield corners, number, f"{self.engine.classes[number]} {score:.2f}"

    def close(self) -> None:
        """Write the lists."""
        categories = [{"id": n, "name": name} for n, name in enumerate(self.engine.classes)]
        listed = {"images": self.images, "annotations": [], "categories": categories}
        for name, value in (("predictions.json", self.results), ("images.json", listed)):
            text = json.dumps(value, indent=1, allow_nan=False)
            (self.out / name).write_text(f"{text}\n", encoding="utf-8")
        names = {image["id"]: image["file_name"] for image in self.images}
        columns = BOX_COLUMNS
        if not isinstance(self.engine, DetectorModel):
            is_classifier = isinstance(self.engine, ClassifierModel)
            columns = CLASS_COLUMNS if is_classifier else ANOMALY_COLUMNS
        with (self.out / "predictions.csv").open("w", encoding="utf-8", newline="") as handle:
            table = csv.writer(handle)
            table.writerow(columns)
            for row, (corners, number, _) in zip(
                self.results, self._captions(self.results), strict=True
            ):
                if "anomaly" in row:
                    table.writerow([names[row["image_id"]], number, row["anomaly"]])
                    continue
                line = [names[row["image_id"]], self.engine.classes[number], _top(row)[1]]
                table.writerow([*line, *(round(value, 3) for value in corners)])
        if self.faults:
            (self.out / "faults.txt").write_text("\n".join(self.faults) + "\n", encoding="utf-8")


def _top(row: dict[str, Any]) -> tuple[int, float]:
    """Class id and score of a result."""
    if "probabilities" in row:
        number = int(np.argmax(row["probabilities"]))
        return number, row["probabilities"][number]
    return row["category_id"], row["score"]


def tiling_of(engine: Model) -> Tiling | None:
    """How a model's images were cut into tiles, as its file says; None where it learnt from whole images.

    Raises:
        ConfigError: What the file says is no way of cutting.
    """
    told = engine.metadata.get(TILES)
    if told is None:
        return None
    try:
        return Tiling.model_validate_json(told)
    except ValidationError as error:
        fix = "its metadata say no tiles that can be cut; export the model again"
        raise ConfigError(engine.path, "metadata tiles", told, fix) from error


def detect(
    engine: DetectorModel, pixels: NDArray[np.uint8], threshold: float, image_id: int
) -> list[dict[str, Any]]:
    """COCO results of one picture, boxes in its own pixels; of a model of tiles those of its tiles, joined.

    Args:
        engine: A detector.
        pixels: [H, W, 3] RGB.
        threshold: Boxes must score above it.
        image_id: Id of the picture in the results.

    Raises:
        ArtifactError: The model gives figures that are not finite, or scores that are no probabilities.
    """
    tiling = tiling_of(engine)
    if tiling is None:
        return coco_results(image_id, *_look(engine, pixels, threshold, image_id))
    height, width = pixels.shape[:2]
    windows = tile_windows(width, height, tiling)
    # a piece in one tile may score less than the whole does in another
    least = min(threshold, SCORING_THRESHOLD)
    tiles = [
        _look(engine, crop(pixels, window, tiling.side), least, image_id) for window in windows
    ]
    boxes, scores, labels = merge_tiles(windows, (width, height), tiles, least)
    kept = scores > threshold
    return coco_results(image_id, boxes[kept], scores[kept], labels[kept])


def _look(
    engine: DetectorModel, pixels: NDArray[np.uint8], threshold: float, image_id: int
) -> Detections:
    """Boxes of a picture or of a tile, in its own pixels."""
    height, width = pixels.shape[:2]
    _, scale, pad = letterbox(pixels, engine.size)
    boxes, scores = engine(prepare(pixels, engine.size))
    check_output(engine.path, image_id, scores[0], boxes[0])
    kept, ranked, labels = answer_of(boxes[0], scores[0], threshold, engine.suppression)
    size = np.array([width, height])
    return to_original(kept, scale, np.array(pad), size), ranked, labels


def _draw(
    pixels: NDArray[np.uint8], captions: Iterator[tuple[list[float], int, str]], path: Path
) -> None:
    """Write a picture with its boxes and their words."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    letters = max(_LEAST_TEXT, min(image.size) // 30)
    line = max(1, min(image.size) // 200)
    for corners, number, words in captions:
        colour = COLOURS[number % len(COLOURS)]
        x, y = (corners[0], corners[1]) if corners else (0, 0)
        if corners:
            pen.rectangle(corners, outline=colour, width=line)
        y = y - letters - 2 if y > letters + 2 else y
        background = pen.textbbox((x, y), words, font_size=letters)
        pen.rectangle(background, fill=colour)
        pen.text((x, y), words, fill="white", font_size=letters)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
