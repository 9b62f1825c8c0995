"""Splits by protocol. Lists are text, one file name a line, the same bytes for the same seed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..base.cards import DatasetCard
from ..base.errors import SplitError
from ..base.files import atomic_write_text
from ..base.places import parts_folder
from ..base.studies import PROTOCOLS, base_protocol, train_share
from ..base.tasks import DETECTION, task_named
from ..base.texts import read_columns, same_text
from .coco import PARTS, Coco, protocol_coco
from .groups import read_groups
from .official import read_official
from .overlap import series

SHARE_DRAW = 1  # beside the seed of a split, that of the order in which shares take groups
DEFECT_DRAW = 2  # the same of the order in which groups with a defect leave the training part
RATIOS = DETECTION.shares
LEAST_SERIES = 10
Split = dict[str, list[str]]


def split(
    dataset_dir: str | Path,
    protocol: str,
    seed: int = 0,
    ratios: tuple[float, ...] | None = None,
    published: str | Path | None = None,
    train_list: str | Path | None = None,
    card: DatasetCard | None = None,
) -> Split:
    """Divide a dataset and write ``<protocol>/split<seed>/{train,val,test}.txt``.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: ``clean`` keeps groups whole; ``random`` and ``paper`` draw images one by one, by
            class; ``sequential`` cuts each series of names by index; ``official`` takes the publisher's lists, and
            draws val from his training part where he has none. ``<protocol>-<list>`` names the folder of the same parts
            with a thinned training part, ``<protocol>-<share>pct`` that with a share of it.
        seed: Seed of the draws; ``sequential`` draws nothing. Each has a folder of its own.
        ratios: Shares of train, val and test, adding up to 1; those of the set's task by default.
        published: CSV of ``file_name,part``; taken as they stand instead of a draw.
        train_list: CSV of ``file_name,class``: images of the training part that stay in it. The others are listed in
            ``left_out.txt``.
        card: The dataset's card; ``official`` needs it.

    Returns:
        File names by part. Where the task learns from images without a defect, the training part holds no others:
        what was drawn for it and shows one, or (``clean``) is of a group that does, goes to the other two parts.

    Raises:
        SplitError: The protocol or a ratio is wrong, a part stays empty, groups or published lists do
            not cover the images, or lists put a defect into the training part of a task that learns without.
    """
    if ratios is not None and (
        len(ratios) != len(PARTS) or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6
    ):
        raise SplitError(dataset_dir, "ratios", ratios, "give three shares that add up to 1")
    share = train_share(protocol)
    is_listed = protocol != base_protocol(protocol) and share is None
    if (train_list is not None) != is_listed:
        fix = "a train list and a protocol that names it belong together: --protocol random-few --train-list few.csv"
        raise SplitError(dataset_dir, "protocol", protocol, fix)
    coco, _ = protocol_coco(dataset_dir, protocol, seed)
    task = task_named(coco.task)
    ratios = ratios or task.shares
    folder = parts_folder(dataset_dir, protocol, seed)
    protocol = base_protocol(protocol)
    if published is not None:
        parts = read_published(published, coco)
    elif protocol == "clean":
        parts = split_groups(coco, read_groups(dataset_dir), seed, ratios)
    elif protocol in ("random", "paper"):
        parts = split_images(coco, seed, ratios)
    elif protocol == "sequential":
        parts = split_series(coco, ratios)
    elif protocol == "official":
        parts = split_officially(coco, card, Path(dataset_dir) / "raw", seed, ratios)
    else:
        fix = f"use {', '.join(PROTOCOLS)}"
        raise SplitError(dataset_dir, "protocol", protocol, fix)
    if task.learns_defect_free:
        if published is not None or protocol == "official":
            _refuse_defects(parts, coco, published or dataset_dir)
        together = read_groups(dataset_dir) if protocol == "clean" else {}
        parts = without_defects(parts, coco, together, seed, ratios)
    for part in PARTS:
        if not parts[part]:
            raise SplitError(dataset_dir, f"{protocol}/{part}", 0, _enough(protocol, ratios))
    lists = parts if train_list is None else thinned(parts, train_list, coco)
    if share is not None:
        together = read_groups(dataset_dir) if protocol == "clean" else {}
        lists = shared_out(parts, share, coco, together, seed)
    for part, names in lists.items():
        text = "".join(f"{file}\n" for file in sorted(names))
        atomic_write_text(folder / f"{part}.txt", text)
    return lists


def without_defects(
    parts: Split, coco: Coco, together: Mapping[str, int], seed: int, ratios: tuple[float, ...]
) -> Split:
    """Parts whose training part shows no defect: its groups that do go to the validation and the test part.

    Each goes, class by class, to that of the two parts that lacks most of its share of the images that leave.

    Args:
        parts: As they were drawn from all images.
        coco: The set.
        together: Group by file name, whose images stay together; images without one stand alone.
        seed: Seed of the order in which groups leave.
        ratios: Shares of train, val and test.
    """
    groups: dict[int | str, list[str]] = defaultdict(list)
    for name in sorted(parts["train"]):
        groups[together.get(name, name)].append(name)
    leaving = [names for names in groups.values() if any(map(coco.shows_defect, names))]
    by_class: dict[int, list[list[str]]] = defaultdict(list)
    for names in leaving:
        defects = [coco.dominant_class(name) for name in names if coco.shows_defect(name)]
        by_class[Counter(defects).most_common(1)[0][0]].append(names)
    rng = np.random.default_rng([seed, DEFECT_DRAW])
    wanted = {"val": ratios[1], "test": ratios[2]}
    taken = dict.fromkeys(wanted, 0)
    made: Split = {part: [*names] for part, names in parts.items()}
    gone = {name for names in leaving for name in names}
    made["train"] = [name for name in parts["train"] if name not in gone]
    for _, of_class in sorted(by_class.items()):
        for index in rng.permutation(len(of_class)):
            part = min(wanted, key=lambda name: taken[name] / wanted[name])
            taken[part] += len(of_class[index])
            made[part] += of_class[index]
    return made


def _refuse_defects(parts: Split, coco: Coco, source: str | Path) -> None:
    """Lists of others are taken as they stand, or not at all."""
    shown = [name for name in parts["train"] if coco.shows_defect(name)]
    if shown:
        fix = f"{coco.task} is learnt from images without a defect: list it in val or test, or take another protocol"
        raise SplitError(source, "train", shown[0], fix)


def thinned(parts: Split, train_list: str | Path, coco: Coco) -> Split:
    """Parts whose training part holds the listed images only; the others are ``left_out``.

    Raises:
        SplitError: The list is missing, empty, names an image twice, by a class that it does not show, or one that is
            not in the training part.
    """
    if not Path(train_list).is_file():
        raise SplitError(train_list, "file", "nothing", "the card's `train_lists` name a file")
    rows = read_columns(train_list, ("file_name", "class"), SplitError)
    wanted = [same_text(name) for name, _ in rows]
    strange = sorted(set(wanted) - set(parts["train"]))
    if strange or not wanted:
        fix = "list images of this protocol's training part; the list was drawn from another split"
        raise SplitError(train_list, "file_name", strange[:1] or 0, fix)
    for name, class_name in rows:
        shown = _classes_of(coco, same_text(name))
        if class_name.strip() and same_text(class_name).strip() not in shown:
            fix = f"the class of {name} is {' or '.join(shown) or 'none'}; mend that line"
            raise SplitError(train_list, "class", class_name, fix)
    twice = [name for name, times in Counter(wanted).items() if times > 1]
    if twice:
        raise SplitError(train_list, "file_name", twice[0], "list each image once")
    left_out = sorted(set(parts["train"]) - set(wanted))
    return {**parts, "train": wanted, "left_out": left_out}


def shared_out(
    parts: Split, percent: int, coco: Coco, together: Mapping[str, int], seed: int
) -> Split:
    """Parts whose training part holds a share of its images; the others are ``left_out``.

    Each class keeps about the same share, and at least one group of those in which it is the commonest, however small
    the share is. A larger share of the same seed holds all images of a smaller one.

    Args:
        parts: The whole parts.
        percent: The share; the nearest that whole groups give.
        coco: The set.
        together: Group by file name, whose images stay together; images without one stand alone.
        seed: Seed of the order in which groups are taken.
    """
    groups: dict[int | str, list[str]] = defaultdict(list)
    for name in sorted(parts["train"]):
        groups[together.get(name, name)].append(name)
    by_class: dict[int, list[list[str]]] = defaultdict(list)
    for members in groups.values():
        (commonest, _), *_ = Counter(map(coco.dominant_class, members)).most_common(1)
        by_class[commonest].append(members)
    rng, placed = np.random.default_rng([seed, SHARE_DRAW]), []
    for number, of_class in sorted(by_class.items()):
        for place, index in enumerate(rng.permutation(len(of_class))):
            share = (
                (place + 0.5) / len(of_class) if place else 0.0
            )  # each class's first group goes first
            placed.append((share, number, of_class[index]))
    placed.sort(key=lambda entry: entry[:2])
    counts = np.cumsum([len(members) for *_, members in placed])
    aim = len(parts["train"]) * percent / 100
    kept = placed[: max(len(by_class), 1 + int(np.abs(counts - aim).argmin()))]
    train = [name for *_, members in kept for name in members]
    left_out = sorted(set(parts["train"]) - set(train))
    return {**parts, "train": train, "left_out": left_out}


def _classes_of(coco: Coco, name: str) -> list[str]:
    """Names of the classes that an image shows."""
    boxes = coco.boxes[coco.images[name]["id"]]
    return [coco.classes[number] for number in sorted({box["category_id"] for box in boxes})]


def read_published(path: str | Path, coco: Coco) -> Split:
    """Read lists that were published: each image of the dataset once.

    Raises:
        SplitError: They are missing, name another part, leave a part empty, or do not hold each image once.
    """
    if not Path(path).is_file():
        raise SplitError(path, "file", "nothing", "the card's `splits` name a file beside it")
    listed = read_columns(path, ("file_name", "part"), SplitError)
    rows = [(same_text(name), part.strip()) for name, part in listed]
    times = Counter(name for name, _ in rows)
    strange, missing = sorted(set(times) - set(coco.images)), sorted(set(coco.images) - set(times))
    misplaced = [f"{name}, which is no image of the set" for name in strange]
    misplaced += [f"{name} {count} times" for name, count in times.items() if count > 1]
    misplaced += [part for _, part in rows if part not in PARTS]
    misplaced += [f"nothing of {name}" for name in missing]
    if misplaced:
        fix = "list each image once, in train, val or test"
        raise SplitError(path, "file name or part", misplaced[0], fix)
    parts = {part: [name for name, assigned in rows if assigned == part] for part in PARTS}
    for part, names in parts.items():
        if not names:
            raise SplitError(path, part, "no image", "each part of a published split has images")
    return parts


def split_groups(
    coco: Coco, groups: dict[str, int], seed: int, ratios: tuple[float, ...] = RATIOS
) -> Split:
    """Whole groups, the largest first, each to the part that lacks most images of its classes."""
    if set(groups) != set(coco.images):
        unmatched = sorted(set(groups) ^ set(coco.images))[0]
        raise SplitError("groups.csv", "file name", unmatched, "run `defectbench group` again")
    members: dict[int, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    order = np.random.default_rng(seed).permutation(sorted(members))
    classes = {name: coco.dominant_class(name) for name in coco.images}
    totals = Counter(classes.values())
    lacking = {(p, c): r * n for p, r in zip(PARTS, ratios, strict=True) for c, n in totals.items()}
    parts: Split = {part: [] for part in PARTS}
    for group in sorted(order, key=lambda g: -len(members[g])):
        inside = Counter(classes[name] for name in members[group])
        part = max(PARTS, key=lambda p: _gain(lacking, p, inside))
        parts[part] += members[group]
        for number, count in inside.items():
            lacking[part, number] -= count
    return parts


def _gain(lacking: dict[tuple[str, int], float], part: str, inside: Counter[int]) -> float:
    """How much of what a part lacks a group fills, minus what it overfills."""
    return sum(
        min(count, lacking[part, c]) - max(0.0, count - lacking[part, c]) + 1e-3 * lacking[part, c]
        for c, count in inside.items()
    )


def _enough(protocol: str, ratios: tuple[float, ...]) -> str:
    """What fills all parts, in words."""
    if protocol == "clean":
        what = f"one class in at least {least_groups(ratios)} groups of like size"
    else:
        what = f"one class of at least {least_images(ratios)} images"
    return f"the set is too small for three parts; add images: {what} would do"


def least_images(ratios: tuple[float, ...] = RATIOS) -> int:
    """From how many images of a class on all parts are filled where images are drawn one by one.

    Example:
        >>> least_images()
        9
    """

    def fills(count: int) -> bool:
        parts: Split = {part: [] for part in PARTS}
        _cut(parts, [str(n) for n in range(count)], ratios)
        return all(parts.values())

    return _from_which_on(fills, ratios)


def least_groups(ratios: tuple[float, ...] = RATIOS) -> int:
    """From how many groups of one class and of like size on all parts are filled.

    Example:
        >>> least_groups()
        6
    """

    def fills(count: int) -> bool:
        lacking = {(part, 0): share * count for part, share in zip(PARTS, ratios, strict=True)}
        filled = set()
        for _ in range(count):
            part = max(PARTS, key=lambda p: _gain(lacking, p, Counter({0: 1})))
            lacking[part, 0] -= 1
            filled.add(part)
        return len(filled) == len(PARTS)

    return _from_which_on(fills, ratios)


def _from_which_on(fills: Callable[[int], bool], ratios: tuple[float, ...]) -> int:
    """The least number from which on every number fills; by rounding, 7 may fill where 8 does not."""
    surely = math.ceil(2 / min(ratios))
    return 1 + max(count for count in range(surely) if not fills(count))


def split_images(coco: Coco, seed: int, ratios: tuple[float, ...] = RATIOS) -> Split:
    """Single images, drawn at random within each dominant class."""
    rng = np.random.default_rng(seed)
    parts: Split = {part: [] for part in PARTS}
    for names in _by_class(coco).values():
        _cut(parts, [names[i] for i in rng.permutation(len(names))], ratios)
    return parts


def split_officially(
    coco: Coco,
    card: DatasetCard | None,
    raw: Path,
    seed: int,
    ratios: tuple[float, ...] = RATIOS,
) -> Split:
    """The publisher's parts; where he lists train and val as one, val is drawn from it by class.

    Its share of that part is that of val in train and val together.

    Raises:
        SplitError: The card names no lists, or they do not hold each image once.
    """
    if card is None or card.official is None:
        where = "--card" if card is None else card.folder / f"{card.name}.yaml"
        fix = "name a card with the publisher's lists, or take another protocol"
        raise SplitError(where, "official", "nothing", fix)
    listed = read_official(card, raw, list(coco.images))
    parts: Split = {part: listed.get(part, []) for part in PARTS}
    if drawn := set(listed.get("trainval", [])):
        rng = np.random.default_rng(seed)
        share = ratios[0] / (ratios[0] + ratios[1])
        for names in _by_class(coco).values():
            inside = [name for name in names if name in drawn]
            order = [inside[i] for i in rng.permutation(len(inside))]
            first = round(len(order) * share)
            parts["train"] += order[:first]
            parts["val"] += order[first:]
    return parts


def split_series(coco: Coco, ratios: tuple[float, ...] = RATIOS) -> Split:
    """Each series of names cut by index: train comes first, then val, the last part is test.

    With NEU-DET's names this is the common split by file index, 241 to 300 of each class for test,
    with 211 to 240 taken from its training part for val. Where names form no series of at least ten
    images, and in sets for classification, whose names may number all classes through, the images of
    a class are cut in the order of their names.
    """
    entries: dict[str | int, list[tuple[str, int, str]]] = defaultdict(list)
    for name in coco.images:
        prefix, index = series(name)
        entries[prefix].append((prefix, index, name))
    shortest = min(len(members) for members in entries.values())
    if not task_named(coco.task).finds_boxes or shortest < LEAST_SERIES:
        listed = [entry for members in entries.values() for entry in members]
        entries.clear()
        for entry in listed:
            entries[coco.dominant_class(entry[2])].append(entry)
    parts: Split = {part: [] for part in PARTS}
    for members in entries.values():
        _cut(parts, [name for _, _, name in sorted(members)], ratios)
    return parts


def _by_class(coco: Coco) -> dict[int, list[str]]:
    by_class: dict[int, list[str]] = defaultdict(list)
    for name in coco.images:
        by_class[coco.dominant_class(name)].append(name)
    return dict(sorted(by_class.items()))


def _cut(parts: Split, names: list[str], ratios: tuple[float, ...]) -> None:
    first = round(len(names) * ratios[0])
    second = round(len(names) * (ratios[0] + ratios[1]))
    for part, members in zip(
        PARTS, (names[:first], names[first:second], names[second:]), strict=True
    ):
        parts[part] += members
