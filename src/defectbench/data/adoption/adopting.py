"""From a folder of a user to a dataset with a card, a study and an honest split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.bounds import LEAST_DEFECT_FREE
from ...base.cards import DatasetCard, load_dataset_card
from ...base.catalogue import load_catalogue
from ...base.errors import DefectBenchError, SplitError
from ...base.files import sha256_file
from ...base.mirrors import mirror_state
from ...base.places import RESULTS, parts_folder
from ...base.records import read_record
from ...base.tasks import task_named
from ..acquire import acquire
from ..certificate import certify
from ..coco import PARTS, Coco, read_coco, read_part
from ..convert import convert
from ..groups import group_images, read_groups
from ..overlap import find_overlaps, read_overlaps
from ..split import least_groups, split
from .direct import adopted_layout, direct_layout, unused_names
from .finding import Found, Said, find
from .importing import write_adopted
from .survey import clean, told
from .writing import check_free, set_name, short_recipes, write_card, write_study

PROTOCOL = "clean"
FEW_GROUPS = 10  # of a part, below which its intervals say little
MANY = 5000  # pictures, from which on a user is told that it takes long
SIDE = {True: 320, False: 128}  # of the study's input, by whether boxes are to be found
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Adopted:
    """An adopted set.

    Attributes:
        name: The dataset's name.
        card: Its card.
        study: A study of it.
        data: Its data, ``results/data/<name>``.
    """

    name: str
    card: Path
    study: Path
    data: Path


def adopt(
    folder: str | Path,
    tell: Tell,
    said: Said | None = None,
    name: str | None = None,
    root: str | Path = ".",
    seed: int = 0,
    starts: Mapping[str, str] | None = None,
    weights: Path | None = None,
) -> Adopted:
    """Find what a folder holds, write its card and its study, and divide it so that no two parts share surface.

    A second call on a folder that did not change makes nothing again.

    Args:
        folder: Pictures and labels, in any of the layouts that ``finding`` tells.
        tell: Is told each line that a user should see.
        said: What the user says of the folder.
        name: Name of the dataset; that of the folder by default.
        root: The checkout, in which ``datasets/``, ``config/`` and ``results/`` lie.
        seed: Seed of the split.
        starts: Published weights that methods of the study start from, by method.
        weights: Folder that holds their files; None where they were fetched before.

    Raises:
        ConfigError: The folder holds no set, is ambiguous, or a card of that name is a person's own.
        ConversionError: Most of it cannot be read.
        SplitError: It is too small, or too much of one piece, for three parts.
    """
    top, home = Path(folder), Path(root)
    name = name or set_name(top)
    card, study = home / "datasets" / f"{name}.yaml", home / "config" / f"my-{name}.yaml"
    for path in (card, study):
        check_free(path)
    tell(f"{top}: looking")
    found = find(top, said)
    cleaned = clean(found)
    for line in told(found, cleaned):
        tell(line)
    _refuse_single(found)
    if len(found.pictures) > MANY:
        tell(
            f"{len(found.pictures)} pictures: looking for shared surface takes long, from minutes to hours"
        )
    adopted, data = home / RESULTS / "adopted" / name, home / RESULTS / "data" / name
    layout, mirror = direct_layout(found, cleaned), top.resolve()
    if layout is not None:
        unused = unused_names(found, layout)
        write_card(found, name, card, layout, found.spellings, unused)
        if unused:
            tell(f"listed as classes, and no label has them: {', '.join(unused)}")
    else:
        mirror = adopted.resolve()
        write_adopted(found, cleaned, adopted)
        write_card(found, name, card, adopted_layout(found))
        form = "with a label each" if found.task.finds_boxes else "in a folder a class"
        tell(f"what can be used of it lies in {adopted}: links to the pictures, {form}")
    methods = light_methods(home, found.task.name)
    budget: dict[str, Any] = {"threads": 1}
    if not found.task.learns_defect_free:  # such methods look once, at the side of their recipe
        budget |= {"size": SIDE[found.task.finds_boxes], "epochs": 60, "batch": 16}
    if found.task.finds_boxes:
        budget["recipe"], budget["recipes"] = short_recipes(methods, home / "models")
    write_study(
        name,
        f"my-{name}",
        mirror,
        methods,
        study,
        task=found.task,
        split_seed=seed,
        starts=starts,
        weights_mirror=weights,
        **budget,
    )
    for line in _told_untrained(home, methods, starts or {}):
        tell(line)
    loaded = load_dataset_card(card)
    _make_data(loaded, mirror, data, seed, tell)
    _refuse_parts_of_one_kind(data, seed)
    for line in told_surface(data, seed):
        tell(line)
    tell(
        f"card: {card}, study: {study}, lists and certificate: {parts_folder(data, PROTOCOL, seed)}"
    )
    return Adopted(name, card, study, data)


def light_methods(root: Path, task: str) -> list[str]:
    """Methods of the engine for a task that are not heavy."""
    catalogue = load_catalogue(root / "models")
    return [
        name
        for name, card in catalogue.cards.items()
        if card.family == "engine" and not card.heavy and card.task == task
    ]


def _told_untrained(root: Path, methods: Sequence[str], starts: Mapping[str, str]) -> list[str]:
    """Methods that look once, through a network that has learnt nothing where no published weights are at hand."""
    cards = load_catalogue(root / "models").cards
    return [
        f"{name} looks through a network that has learnt nothing, as a control: give --weights FOLDER with the file of "
        f"its {next(iter(cards[name].weights))} weights, or `defectbench fetch-weights` them (docs/weights.md), and "
        "adopt again"
        for name in methods
        if cards[name].fitted and cards[name].weights and name not in starts
    ]


def _refuse_single(found: Found) -> None:
    if len(found.pictures) < 2:
        fix = "one picture cannot be trained on and tested on: give more, of several pieces of the product"
        raise SplitError(found.folder.top, "pictures", len(found.pictures), fix)


def _make_data(card: DatasetCard, mirror: Path, data: Path, seed: int, tell: Tell) -> None:
    """Raw data, annotations, groups, parts and their certificate; what is there of just this folder stays."""
    _, unchanged = mirror_state(card, str(mirror), data)
    certificate = parts_folder(data, PROTOCOL, seed) / "certificate.json"
    if unchanged and _is_certified(certificate) and _says_the_same(card, data):
        tell("nothing changed since the last time: the split stays as it is")
        return
    acquire(card, data, mirror=str(mirror))
    convert(card, data / "raw", data)
    find_overlaps(data)
    group_images(data)
    try:
        split(data, PROTOCOL, seed)
    except SplitError as error:
        raise _too_small(data, error) from error
    certify(data, PROTOCOL, seed)


def _is_certified(certificate: Path) -> bool:
    try:
        record = read_record(certificate, "certificate")
        inputs = record["inputs"]
        return all(
            sha256_file(certificate.with_name(f"{part}.txt")) == inputs[f"{part}.txt"]["sha256"]
            for part in PARTS
        )
    except (DefectBenchError, OSError):
        return False


def _says_the_same(card: DatasetCard, data: Path) -> bool:
    path = data / "annotations.json"
    return path.is_file() and read_coco(path).classes == list(card.classes)


def _too_small(data: Path, error: SplitError) -> SplitError:
    """What keeps a set from being divided, in pieces of surface, and what would help."""
    coco, groups = read_coco(data / "annotations.json"), read_groups(data)
    task, sizes = task_named(coco.task), Counter(groups.values())
    largest, least = max(sizes.values()), least_groups(task.shares)
    value = (
        f"{len(coco.images)} pictures of {len(sizes)} pieces of surface, the largest with {largest}"
    )
    fix = (
        "pictures of one piece stay in one part, and three parts cannot be filled: take pictures of more pieces "
        f"(sheets, boards, coils), at least {least} with each class; that pictures of one piece are many "
        "does not help"
    )
    if task.learns_defect_free:
        good = len(_good_groups(coco, groups))
        value += f", {good} of them good parts alone"
        fix = (
            f"methods learn from pieces that show no defect in any picture: give at least {least} of these; pictures "
            "of one piece stay in one part, so good ones that share surface with defective ones are not learnt from"
        )
    return SplitError(error.where, error.field, value, fix)


def _refuse_parts_of_one_kind(data: Path, seed: int) -> None:
    """Where good parts alone are learnt from, val sets a threshold by good parts, and test is scored on both kinds."""
    coco = read_coco(data / "annotations.json")
    task = task_named(coco.task)
    if not task.learns_defect_free:
        return
    folder = parts_folder(data, PROTOCOL, seed)
    shown = {part: [*map(coco.shows_defect, read_part(folder, part))] for part in ("val", "test")}
    lacks = [f"no good part in {part}" for part, defects in shown.items() if all(defects)]
    lacks += ["no defective part in test"] * (not any(shown["test"]))
    if lacks:
        groups = read_groups(data)
        good, least = len(_good_groups(coco, groups)), least_groups(task.shares)
        value = f"{', '.join(lacks)}, of {good} good and {len({*groups.values()}) - good} defective pieces of surface"
        fix = f"give at least {least} pieces (sheets, boards, coils) of either kind, or try another --seed"
        raise SplitError(data, PROTOCOL, value, fix)


def _good_groups(coco: Coco, groups: dict[str, int]) -> set[int]:
    """Groups none of whose pictures shows a defect."""
    shown = {groups[name] for name in coco.images if coco.shows_defect(name)}
    return set(groups.values()) - shown


def told_surface(data: Path, seed: int = 0) -> list[str]:
    """Which pictures share surface, how they were divided, and what the division lacks, in lines."""
    coco, groups, overlaps = (
        read_coco(data / "annotations.json"),
        read_groups(data),
        read_overlaps(data),
    )
    kinds = Counter(
        "exact copies"
        if pair.correlation == 1 and not (pair.dx or pair.dy) and pair.kind == "shift"
        else pair.kind
        for pair in overlaps
    )
    words = {
        "symmetry": "mirrored or turned copies",
        "shift": "shifted views of one surface",
        "turned": "turned or mirrored views of one surface",
        "rescaled": "views of one surface at another scale",
    }
    pairs = ", ".join(f"{count} {words.get(kind, kind)}" for kind, count in kinds.most_common())
    sizes = Counter(groups.values())
    largest = max(sizes.values())
    lines = [
        f"pairs of pictures that share surface: {pairs or 'none'}",
        f"{len(coco.images)} pictures are {len(sizes)} groups of their own surface, the largest with {largest}",
    ]
    folder = parts_folder(data, PROTOCOL, seed)
    parts = {part: read_part(folder, part) for part in PARTS}
    counts = {part: len({groups[name] for name in names}) for part, names in parts.items()}
    divided = ", ".join(
        f"{len(names)} {part} ({counts[part]} groups)" for part, names in parts.items()
    )
    lines.append(f"split `{PROTOCOL}`, certified, no part shares surface with another: {divided}")
    return [*lines, *_lacks(coco, groups, parts, counts)]


def _lacks(
    coco: Coco, groups: dict[str, int], parts: dict[str, list[str]], counts: dict[str, int]
) -> list[str]:
    lines, task = [], task_named(coco.task)
    least = least_groups(task.shares)
    free = ["train"] if task.learns_defect_free else []  # of defects, as it is meant
    for number, name in enumerate(coco.classes):
        showing = {
            part: [n for n in names if _shows(coco, n, number)] for part, names in parts.items()
        }
        pieces = {groups[n] for names in showing.values() for n in names}
        bare = [part for part, names in showing.items() if not names and part not in free]
        if bare:
            lines.append(
                f"no picture of {' and '.join(bare)} shows {name}, which {len(pieces)} groups have: "
                f"at least {least} are needed for all parts; its score says nothing"
            )
    if task.learns_defect_free:
        good = sum(not coco.shows_defect(name) for name in parts["val"])
        if good < LEAST_DEFECT_FREE:
            in_all = math.ceil(LEAST_DEFECT_FREE / task.shares[PARTS.index("val")])
            lines.append(
                f"the val part has {good} pictures of good parts: a threshold takes {LEAST_DEFECT_FREE}, about "
                f"{in_all} in all; below that scores are told, and neither escapes nor overkill"
            )
    if counts["test"] < FEW_GROUPS:
        lines.append(
            f"the test part is {counts['test']} groups: intervals will be wide; "
            f"about {5 * FEW_GROUPS} groups in all would give it {FEW_GROUPS}"
        )
    return lines


def _shows(coco: Coco, name: str, number: int) -> bool:
    return any(box["category_id"] == number for box in coco.boxes[coco.images[name]["id"]])
