"""What methods find on images of a test part: those that each does worst on, and some that are drawn by lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ...base.tasks import TASKS
from ..records.cells import Entry, key_of
from ..records.detections import (
    PartTruth,
    Record,
    choose_images,
    judge,
    lot,
    read_truth,
    results_by_image,
    threshold_of,
)
from ..records.study import StudyRecords
from .photos import Photo, Photos

WORST = 12  # images a method
DRAWN = 24  # images by lot
HIT, ALARM, MISSED, TRUTH = "hit", "alarm", "missed", "truth"

Place = tuple[str, str]  # dataset, protocol


@dataclass(frozen=True)
class Mark:
    """A box on an image.

    Attributes:
        outcome: ``hit``, ``alarm``, ``missed`` or ``truth``.
        box: x, y, width and height in pixels of the original.
        text: Class, and the score of what was detected.
    """

    outcome: str
    box: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True)
class Answer:
    """What a method says of an image.

    Attributes:
        marks: Boxes; none of a classifier.
        text: The outcome in words.
        badness: Images are sorted by it: errors, and of equal ones the surer.
    """

    marks: tuple[Mark, ...]
    text: str
    badness: float

    @property
    def is_right(self) -> bool:
        """Whether it holds no error."""
        return self.badness <= 0


@dataclass(frozen=True)
class Shot:
    """A test image.

    Attributes:
        name: Its file name.
        photo: The image as pages show it.
        truth: True boxes; none where an image has one class.
        classes: Names of its true classes.
    """

    name: str
    photo: Photo
    truth: tuple[Mark, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Images of the test part of a dataset and protocol, with the answers of all methods.

    Attributes:
        shots: Images that are shown, by id.
        samples: One image a class by the class's name, drawn by lot.
        drawn: Ids of those that were drawn by lot.
        worst: Ids by method, most errors first.
        answers: Answers to all shown images, by method.
        thresholds: Scores from which a detection counts, by method; empty for classifiers.
        n_images: Size of the test part.
    """

    shots: Mapping[int, Shot]
    samples: Mapping[str, int]
    drawn: Sequence[int]
    worst: Mapping[str, Sequence[int]]
    answers: Mapping[str, Mapping[int, Answer]]
    thresholds: Mapping[str, float]
    n_images: int


def make_galleries(study: StudyRecords, photos: Photos) -> dict[Place, Gallery]:
    """The gallery of each dataset and protocol that has methods.

    Of records that may lack some, those without truth or predictions have none.

    Args:
        study: The records.
        photos: Gets the images.

    Raises:
        ReportError: An image, truth or predictions are missing, or not those that were scored on.
    """
    galleries = {}
    for place, block in groupby(study.entries, key=lambda entry: key_of(entry)[:2]):
        entries = [entry for entry in block if not entry.first.is_control]
        if study.lacks is not None:
            entries = [entry for entry in entries if _has_files(entry)]
        if entries:
            galleries[place[0], place[1]] = _gallery(entries, photos)
    return galleries


def _has_files(entry: Entry) -> bool:
    truth = Path(entry.first.accuracy["inputs"]["annotations"]["path"])
    return truth.is_file() and (entry.first.folder / "predictions.json").is_file()


def _gallery(entries: Sequence[Entry], photos: Photos) -> Gallery:
    truth = read_truth(entries[0].first)
    answers = {entry.first.method: _answers(entry, truth) for entry in entries}
    drawn = sorted(truth.images, key=lambda image: lot(image["file_name"]))
    by_lot = [image["id"] for image in drawn]
    worst = {method: _worst(of_images, by_lot) for method, of_images in answers.items()}
    samples = {name: image["id"] for name, image in choose_images(truth).items()}
    shown = {*by_lot[:DRAWN], *samples.values(), *(key for keys in worst.values() for key in keys)}
    finds_boxes = TASKS[entries[0].task].finds_boxes
    images = sorted(truth.images, key=lambda image: image["file_name"])
    return Gallery(
        shots={i["id"]: _shot(i, truth, photos, finds_boxes) for i in images if i["id"] in shown},
        samples=samples,
        drawn=by_lot[:DRAWN],
        worst=worst,
        answers={m: {key: a[key] for key in a if key in shown} for m, a in answers.items()},
        thresholds=_thresholds(entries) if finds_boxes else {},
        n_images=len(truth.images),
    )


def _thresholds(entries: Sequence[Entry]) -> dict[str, float]:
    found = {entry.first.method: threshold_of(entry.first) for entry in entries}
    return {method: value for method, value in found.items() if value is not None}


def _worst(answers: Mapping[int, Answer], by_lot: Sequence[int]) -> list[int]:
    """Images with errors, most first; of equal ones the first by lot."""
    wrong = [key for key in by_lot if not answers[key].is_right]
    return sorted(wrong, key=lambda key: -answers[key].badness)[:WORST]


def _shot(image: Record, truth: PartTruth, photos: Photos, finds_boxes: bool) -> Shot:
    boxes = truth.boxes[image["id"]]
    names = tuple(dict.fromkeys(truth.classes[box["category_id"]] for box in boxes))
    marks = _marks(boxes, TRUTH, truth.classes) if finds_boxes else ()
    return Shot(image["file_name"], photos.add(truth.folder / image["file_name"]), marks, names)


def _marks(boxes: Sequence[Record], outcome: str, classes: Mapping[int, str]) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            outcome,
            (box["bbox"][0], box["bbox"][1], box["bbox"][2], box["bbox"][3]),
            classes[box["category_id"]] + (f" {box['score']:.2f}" if "score" in box else ""),
        )
        for box in boxes
    )


def _answers(entry: Entry, truth: PartTruth) -> dict[int, Answer]:
    """Answers of the lowest seed to all images of a test part."""
    results = results_by_image(entry.first, truth, entry.task)
    threshold = threshold_of(entry.first)
    if TASKS[entry.task].learns_defect_free:
        return {i["id"]: _score_answer(results[i["id"]][0], truth, threshold) for i in truth.images}
    if not TASKS[entry.task].finds_boxes:
        return {i["id"]: _class_answer(results[i["id"]][0], truth) for i in truth.images}
    assert threshold is not None  # a detector has one
    answers = {}
    for image in truth.images:
        rows = [row for row in results.get(image["id"], []) if row["score"] > threshold]
        answers[image["id"]] = _box_answer(truth.boxes[image["id"]], rows, truth.classes)
    return answers


def _box_answer(
    boxes: Sequence[Record], detections: Sequence[Record], classes: Mapping[int, str]
) -> Answer:
    hits, alarms, missed = judge(boxes, detections)
    marks = [
        mark
        for rows, outcome in ((missed, MISSED), (alarms, ALARM), (hits, HIT))
        for mark in _marks(rows, outcome, classes)
    ]
    words = f"{len(hits)} of {len(boxes)} found"
    if alarms:
        words += f", {len(alarms)} false alarm{'s' if len(alarms) > 1 else ''}"
    return Answer(tuple(marks), words, len(alarms) + len(missed))


def _score_answer(row: Record, truth: PartTruth, threshold: float | None) -> Answer:
    """Whether an image is rejected, beside whether it shows a defect; the farther from the threshold the surer."""
    score, is_bad = row["anomaly"], bool(truth.boxes[row["image_id"]])
    if threshold is None:
        return Answer((), f"{score:.2f}", 0.0)
    is_rejected = score > threshold
    words = f"{'rejected' if is_rejected else 'passed'}, {score:.2f}"
    if is_rejected == is_bad:
        return Answer((), words, 0.0)
    farther = abs(score - threshold) / max(threshold, 1e-9)
    return Answer((), f"{words}: {'escape' if is_bad else 'overkill'}", 1 + farther)


def _class_answer(row: Record, truth: PartTruth) -> Answer:
    names = [name for _, name in sorted(truth.classes.items())]
    best = max(range(len(names)), key=lambda n: row["probabilities"][n])
    probability = row["probabilities"][best]
    true = truth.classes[truth.boxes[row["image_id"]][0]["category_id"]]
    is_right = names[best] == true
    words = f"{names[best]} {probability:.2f}" + ("" if is_right else f", true: {true}")
    return Answer((), words, 0.0 if is_right else probability)
