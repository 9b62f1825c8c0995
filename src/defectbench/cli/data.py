"""Verbs of data: from raw archives to packs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Option

from ..base.bounds import LARGEST_SIDE, LAST_SEED
from .options import Card, Dataset, Folder, Protocol, SplitSeed

GroupingCard = Annotated[
    Path | None,
    Option("--card", help="Card of the dataset, whose `grouping` joins images by name."),
]


class Part(StrEnum):
    """Parts of a split."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


def synthesize(
    out: Folder, seed: Annotated[int, Option(help="Seed of every image.", min=0, max=LAST_SEED)] = 0
) -> None:
    """Make the embedded synthetic steel set."""
    from ..data.synthetic import synthesize

    synthesize(out, seed=seed)


def acquire(
    card: Card,
    out: Folder,
    mirror: Annotated[
        str | None, Option(help="Local archive or folder, or an address; tried first.")
    ] = None,
) -> None:
    """Fetch, verify and unpack a dataset."""
    from ..base.cards import load_dataset_card
    from ..data.acquire import acquire

    acquire(load_dataset_card(card), out, mirror=mirror)


def datasets(
    study: Annotated[
        Path | None, Option(help="Study whose `mirrors` may hold some.", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, Option("--json", help="All that the cards say, as JSON.")] = False,
    cards: Annotated[Path, Option(help="Folder of the cards.")] = Path("datasets"),
    results: Annotated[Path, Option(help="Folder of the results.")] = Path("results"),
) -> None:
    """List the datasets: what they are, how they are got, and whether they are here."""
    import json

    from ..base.cards import load_shelf
    from ..base.errors import ConfigError
    from ..base.studies import load_study
    from ..data.shelf import shelf_entries, shelf_lines

    shelf = load_shelf(cards)
    if not shelf:
        raise ConfigError(
            cards, "cards", "none", "run it in the repository's root, or name --cards"
        )
    mirrors = load_study(study).mirrors if study else {}
    entries = shelf_entries(shelf, mirrors, results)
    lines = [json.dumps(entries, indent=1)] if as_json else shelf_lines(entries)
    for line in lines:
        print(line)  # noqa: T201


def convert(
    card: Card,
    raw: Annotated[Path, Option(help="Folder of the raw data.")],
    out: Folder,
) -> None:
    """Turn raw labels into COCO annotations."""
    from ..base.cards import load_dataset_card
    from ..data.convert import convert

    convert(load_dataset_card(card), raw, out)


def find_overlaps(
    dataset: Dataset,
    group: Annotated[bool, Option("--group", help="Join them into groups as well.")] = False,
    card: GroupingCard = None,
) -> None:
    """Find images that show the same surface."""
    from ..base.cards import load_dataset_card
    from ..data.groups import group_images
    from ..data.overlap import find_overlaps

    loaded = None if card is None else load_dataset_card(card)
    find_overlaps(dataset, card=loaded)
    if group:
        group_images(dataset, loaded)


def group(dataset: Dataset, card: GroupingCard = None) -> None:
    """Join overlapping images, and those that a card groups by name."""
    from ..base.cards import load_dataset_card
    from ..data.groups import group_images

    group_images(dataset, None if card is None else load_dataset_card(card))


def draw_lists(
    card: Card,
    out: Annotated[Path, Option(help="CSV of file_name,part to write.")],
    seed: Annotated[int, Option(help="Seed of the draw.", min=0, max=LAST_SEED)] = 0,
    thin: Annotated[
        list[int] | None,
        Option(
            help="Training images of a class; repeat it, in the order of the card's classes.",
            min=1,
        ),
    ] = None,
    thin_out: Annotated[Path | None, Option(help="CSV of file_name,class to write.")] = None,
) -> None:
    """Draw lists to publish for a set for classification, with a thin training list."""
    from ..base.cards import load_dataset_card
    from ..base.errors import ConfigError
    from ..data.published import draw_lists, write_rows

    loaded = load_dataset_card(card)
    if thin and len(thin) != len(loaded.classes):
        fix = f"give --thin once a class, {len(loaded.classes)} times"
        raise ConfigError(card, "--thin", thin, fix)
    counts = dict(zip(loaded.classes, thin or [], strict=False))
    rows, thinned = draw_lists(loaded, counts, seed)
    write_rows(out, ("file_name", "part"), rows)
    if thin_out:
        write_rows(thin_out, ("file_name", "class"), thinned)


def augment_offline(dataset: Dataset, seed: SplitSeed = 0) -> None:
    """Enlarge a set before its split, for the protocol `paper`."""
    from ..data.augment import augment_offline

    augment_offline(dataset, seed=seed)


def split(
    dataset: Dataset,
    protocol: Protocol,
    seed: SplitSeed = 0,
    published: Annotated[
        Path | None, Option(help="CSV of file_name,part to take instead of a draw.")
    ] = None,
    train_list: Annotated[
        Path | None,
        Option(help="CSV of file_name,class: training images that stay, for <protocol>-<list>."),
    ] = None,
    card: Annotated[
        Path | None,
        Option(help="Card of the dataset, whose `official` lists the protocol of that name takes."),
    ] = None,
    certify: Annotated[
        bool, Option("--certify", help="Prove what the parts share as well.")
    ] = False,
) -> None:
    """Divide a dataset into train, val and test."""
    from ..base.cards import load_dataset_card
    from ..data.certificate import certify as prove
    from ..data.split import split
    from .checks import check_protocol

    check_protocol(protocol)
    loaded = None if card is None else load_dataset_card(card)
    split(dataset, protocol, seed, published=published, train_list=train_list, card=loaded)
    if certify:
        prove(dataset, protocol, seed)


def certify(dataset: Dataset, protocol: Protocol, seed: SplitSeed = 0) -> None:
    """Prove from pixels what the parts of a split share."""
    from ..data.certificate import certify
    from .checks import check_protocol

    check_protocol(protocol)
    certify(dataset, protocol, seed)


def pack(
    dataset: Dataset,
    protocol: Protocol,
    size: Annotated[int, Option(help="Side of the images, pixels.", min=8, max=LARGEST_SIDE)],
    part: Annotated[
        list[Part] | None, Option(help="Part to decode; repeat it for more. All by default.")
    ] = None,
    split_seed: SplitSeed = 0,
    out: Annotated[
        Path | None,
        Option(
            help="File to write, of a single part; <part>@<size>.safetensors beside its list by default."
        ),
    ] = None,
    tiles: Annotated[
        str | None,
        Option(
            metavar="JSON|FILE",
            help='Cut images into tiles: a JSON object such as \'{"side": 640, "overlap": 128}\', or a file of it.',
        ),
    ] = None,
) -> None:
    """Decode parts of a split, each into one file."""
    from ..base.commandline import parse_settings
    from ..base.errors import ConfigError
    from ..base.places import parts_folder
    from ..base.tiling import Tiling, pack_name
    from ..data.pack import pack
    from ..data.tile_pack import pack_tiles
    from .checks import check_protocol

    check_protocol(protocol)
    parts = part or list(Part)
    if out is not None and len(parts) > 1:
        raise ConfigError(
            "--out", "parts", [*map(str, parts)], "give one --part, or leave --out away"
        )
    tiling = None if tiles is None else parse_settings(Tiling, tiles)
    folder = parts_folder(dataset, protocol, split_seed)
    for name in parts:
        file = out or folder / pack_name(name, size, tiling)
        if tiling is None:
            pack(dataset, protocol, name, size, file, split_seed)
        else:
            pack_tiles(dataset, protocol, name, size, file, tiling, split_seed)


class Export(StrEnum):
    """Layouts that a split is exported in."""

    YOLO = "yolo"
    COCO = "coco"
    FOLDERS = "folders"


def export_split(
    dataset: Dataset,
    protocol: Protocol,
    out: Folder,
    layout: Annotated[
        Export,
        Option(
            "--format",
            help="Layout: images and labels of YOLO, COCO, or class folders for classification.",
        ),
    ] = Export.YOLO,
    split_seed: SplitSeed = 0,
    copy: Annotated[
        bool, Option("--copy", help="Copy images instead of linking to where they lie.")
    ] = False,
) -> None:
    """Write a certified split as folders for other tools."""
    from ..data.export_split import export_split
    from .checks import check_protocol

    check_protocol(protocol)
    counts = export_split(dataset, protocol, layout.value, out, split_seed, copy)
    told = ", ".join(f"{count} {part}" for part, count in counts.items())
    print(f"{out}: {told} images, {'copied' if copy else 'linked'}")  # noqa: T201


VERBS = {
    "datasets": datasets,
    "synthesize": synthesize,
    "acquire": acquire,
    "convert": convert,
    "find-overlaps": find_overlaps,
    "group": group,
    "augment-offline": augment_offline,
    "draw-lists": draw_lists,
    "split": split,
    "certify": certify,
    "pack": pack,
    "export-split": export_split,
}
