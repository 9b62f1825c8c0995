"""Mutate every text and image format that the suite reads: the only outcomes are a result or a named error.

``make fuzz`` runs it for ten minutes (``FUZZ_S=60 make fuzz`` for one). Each case is drawn from its number alone, so
that ``python tests/fuzz.py --format model --first 1234 --cases 1`` repeats it. Cases run in processes of their own,
since a library of C may end its process.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BATCH = 40  # cases a process
CASE_S = 20  # of the processor; longer is a find
WAIT_S = 300  # by the clock, on which a loaded machine may let a case wait
MEMORY_GIB = 8
CLASSES = ("pit", "scratch")
Seeds = dict[str, bytes]  # files of a valid input, by name


# --- mutations -------------------------------------------------------------------------------------------------------

ODD = (
    *(None, True, False, 0, -1, 1, 3.5, 1e308, -1e308, 10**30, float("nan"), float("inf"), "", " "),
    *(
        "0",
        "-1",
        "NaN",
        "null",
        "é划🔥",
        "../../x",
        "a\nb",
        "$(x)",
        "x" * 400,
        "\x00",
        "\ufeff",
        [],
        {},
    ),
    *([0], [None], {"": 0}, {"a": [1]}, [[1, 2], [3]]),
)
TOKENS = (
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\xff",
        b"\x80",
        b"-1",
        b"0",
        b"99999999999999999999",
    ),
    *(
        b"NaN",
        b"1e400",
        b"Infinity",
        b"<",
        b">",
        b"&",
        b"]]>",
        b"<!--",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
    ),
    *(
        b"<?xml version='1.0' encoding='utf-7'?>",
        b'encoding="gb2312"',
        b'encoding="none"',
        b"<object/>",
        b"<bndbox>",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b":",
        b",",
        b";",
        b"\n",
        b"\r",
        b"\t",
        b" ",
        b"\xc2\xa0",
        b"\\u0000",
    ),
    *(
        b"\\ud800",
        b"!!python/object:os.system",
        b"&a [*a]",
        b"*a",
        b"<<: {}",
        b"~",
        b"- ",
        b"? ",
        b"|",
        b"%",
        b"\xe5\x88\x92",
    ),
)


def mutate_bytes(data: bytes, draw: random.Random) -> bytes:
    """A few small damages: bits, bytes, pieces cut out, doubled, moved or put in; or another encoding."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(out) + 1)
        end = min(len(out), at + draw.choice((1, 2, 4, 16, 64, 300)))
        match draw.randrange(8):
            case 0 if out:
                out[min(at, len(out) - 1)] ^= 1 << draw.randrange(8)
            case 1 if out:
                out[min(at, len(out) - 1)] = draw.randrange(256)
            case 2:
                del out[at:end]
            case 3:
                out[at:at] = out[at:end] * draw.choice((1, 2, 50))
            case 4:
                out[at:end] = draw.choice(TOKENS)
            case 5:
                out[at:at] = draw.choice(TOKENS)
            case 6:
                del out[at:]
            case _:
                out[at:at] = draw.randbytes(draw.choice((1, 4, 32)))
    if draw.random() < 0.1:
        out = bytearray(_recoded(bytes(out), draw))
    return bytes(out)


def _recoded(data: bytes, draw: random.Random) -> bytes:
    encoding = draw.choice(
        ("utf-16", "utf-8-sig", "latin-1", "gbk", "utf-32", "cp1252", "utf-16-be")
    )
    try:
        return data.decode().encode(encoding)
    except UnicodeError:
        return data


def mutate_value(value: Any, draw: random.Random) -> Any:
    """A nested value with one or two places changed: removed, doubled, renamed, or of another type."""
    content = json.loads(json.dumps(value))
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(_places(content))
        if not places:
            return draw.choice(ODD)
        holder, key = draw.choice(places)
        match draw.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(holder[key])
            case 1:
                holder[draw.choice(("x", "", "id", "划痕", f"{key}s", key.upper()))] = holder.pop(
                    key
                )
            case 2:
                other_holder, other = draw.choice(places)
                try:
                    holder[key] = json.loads(json.dumps(other_holder[other]))
                except (KeyError, IndexError):
                    holder[key] = None
            case _:
                holder[key] = draw.choice(ODD)
    return content


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def mutate_xml(data: bytes, draw: random.Random) -> bytes:
    """A tag, a text or a part of the tree; or the bytes."""
    if draw.random() < 0.4:
        return mutate_bytes(data, draw)
    root = ElementTree.fromstring(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        above = draw.choice([node for node in root.iter() if len(node)] or [root])
        node = draw.choice(list(above) or [root])
        match draw.randrange(6):
            case 0 if node in list(above):
                above.remove(node)
            case 1 if node is not root:
                above.append(node)
            case 2:
                node.tag = draw.choice(
                    (node.tag.upper(), node.tag.title(), "object", "polygon", "x", "划痕")
                )
            case 3 if node is not root:
                other = draw.choice([n for n in root.iter() if n is not root])
                node.extend([ElementTree.Element(other.tag)])
            case _:
                words = (
                    "7.5",
                    "-3",
                    "1e9",
                    "5 ",
                    "",
                    "nan",
                    "0x10",
                    "７",
                    "pit",
                    "Pit",
                    "é",
                    "1,5",
                    "99999999999999999999",
                )
                leaf = draw.choice([n for n in root.iter() if not len(n)] or [root])
                leaf.text = draw.choice(words)
    encoding = draw.choice(("utf-8", "utf-8", "utf-16", "latin-1", "gbk"))
    try:
        return ElementTree.tostring(root, encoding=encoding, xml_declaration=draw.random() < 0.5)
    except (UnicodeError, TypeError):
        return ElementTree.tostring(root)


def mutate_image(data: bytes, draw: random.Random) -> bytes:
    """Another mode, size or orientation; a damaged chunk with its sum mended; or the bytes."""
    chance = draw.random()
    if chance < 0.4 and data.startswith(b"\x89PNG"):
        return _mended_png(mutate_bytes(data, draw))
    if chance < 0.7:
        return mutate_bytes(data, draw)
    with Image.open(io.BytesIO(data)) as image:
        kind, changed = (
            image.format or "PNG",
            image.convert(draw.choice(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F"))),
        )
    if draw.random() < 0.3:
        changed = changed.resize(draw.choice(((1, 1), (1, 3000), (3000, 1), (31, 24))))
    exif = Image.Exif()
    exif[274] = draw.randrange(10)
    out = io.BytesIO()
    try:
        changed.save(out, draw.choice((kind, "GIF", "WEBP", "PPM", "TIFF")), exif=exif)
    except (OSError, ValueError, KeyError, TypeError):
        return mutate_bytes(data, draw)
    return out.getvalue()


def _mended_png(data: bytes) -> bytes:
    """Chunks of a PNG with the sums that their content has, so that a reader looks further."""
    out, at = data[:8], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        content = data[at + 4 : at + 8 + length]
        if len(content) < 4 + length:
            break
        out += data[at : at + 4] + content + zlib.crc32(content).to_bytes(4, "big")
        at += 12 + length
    return out + data[at:]


def mutate_zip(data: bytes, draw: random.Random) -> bytes:
    """Names and members of other kinds; or the bytes."""
    if draw.random() < 0.5:
        return mutate_bytes(data, draw)
    names = (
        "../x.png",
        "/etc/x.png",
        "a\\b.png",
        "C:/x.png",
        "",
        "x" * 300,
        "é.png",
        "IMAGES/",
        "IMAGES",
        "\ud83d.png",
        "a\nb.png",
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        members = source.infolist()
        hit = draw.randrange(len(members))
        for n, member in enumerate(members):
            content = source.read(member)
            if n == hit:
                member.external_attr = draw.choice((0, 0o120777 << 16, 0o010777 << 16, 0xFFFFFFFF))
                content = draw.choice(
                    (content, b"", b"../../etc/passwd", data, mutate_bytes(content, draw))
                )
                member.filename = draw.choice((member.filename, *names, members[0].filename))
            try:
                target.writestr(member, content)
            except (UnicodeError, ValueError):
                continue
    return out.getvalue()


def mutate_pack(data: bytes, draw: random.Random) -> bytes:
    """The head of the file, which says what lies where; or any bytes."""
    length = int.from_bytes(data[:8], "little")
    if draw.random() < 0.4:
        return mutate_bytes(data, draw)
    if draw.random() < 0.5:
        return (
            data[:8]
            + mutate_bytes(data[8 : 8 + length], draw)[:length].ljust(length)
            + data[8 + length :]
        )
    head = json.dumps(mutate_value(json.loads(data[8 : 8 + length]), draw)).encode()
    return len(head).to_bytes(8, "little") + head + data[8 + length :]


def mutate_json(data: bytes, draw: random.Random) -> bytes:
    """A place of the content, or the bytes."""
    if draw.random() < 0.25:
        return mutate_bytes(data, draw)
    changed = mutate_value(json.loads(data), draw)
    return json.dumps(changed, ensure_ascii=draw.random() < 0.5).encode(errors="surrogatepass")


def mutate_yaml(data: bytes, draw: random.Random) -> bytes:
    """A place of the content, or the bytes."""
    if draw.random() < 0.4:
        return mutate_bytes(data, draw)
    changed = mutate_value(yaml.safe_load(data), draw)
    return yaml.safe_dump(changed, allow_unicode=draw.random() < 0.5).encode(errors="surrogatepass")


def mutate_model(data: bytes, draw: random.Random) -> bytes:
    """A field of the graph, a node or the metadata; or the bytes."""
    import onnx

    if draw.random() < 0.4:
        return mutate_bytes(data, draw)
    model = onnx.load_from_string(data)
    graph, node = model.graph, draw.choice(model.graph.node)
    for _ in range(draw.choice((1, 1, 2))):
        match draw.randrange(10):
            case 0:
                node.op_type = draw.choice(
                    ("Conv", "Gemm", "MatMul", "If", "Loop", "Relu", "Einsum", "NoSuch", "")
                )
            case 1 if node.input:
                node.input[draw.randrange(len(node.input))] = draw.choice(
                    ("", "images", "no", "boxes")
                )
            case 2:
                node.domain = draw.choice(("com.microsoft", "ai.onnx.ml", "x"))
            case 3 if graph.initializer:
                tensor = draw.choice(graph.initializer)
                tensor.dims[:] = [draw.choice((0, 1, -1, 2**40, 3)) for _ in tensor.dims]
            case 4 if graph.initializer:
                draw.choice(graph.initializer).data_type = draw.randrange(-1, 25)
            case 5:
                prop = draw.choice(model.metadata_props)
                prop.value = str(draw.choice(ODD))
            case 6:
                value = draw.choice([*graph.input, *graph.output])
                value.type.tensor_type.elem_type = draw.randrange(25)
            case 7:
                value = draw.choice([*graph.input, *graph.output])
                for dim in value.type.tensor_type.shape.dim:
                    dim.dim_value = draw.choice((0, 1, 2, -5, 10**9))
            case 8:
                model.opset_import[0].version = draw.choice((0, 1, 7, 13, 17, 18, 21, 99, 2**40))
            case _ if len(graph.node) > 1:
                graph.node.remove(node)
                node = draw.choice(graph.node)
    return model.SerializeToString()


# --- formats ---------------------------------------------------------------------------------------------------------


@dataclass
class Format:
    """A kind of input: its valid files, which of them are mutated and how, and what reads them."""

    make: Callable[[Path], None]
    mutated: tuple[str, ...]
    mutate: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], object]
    seeds: Seeds = field(default_factory=dict)


def _card(**fields: Any) -> bytes:
    content = {
        "name": "s",
        "title": "Steel",
        "surface": "plates",
        "classes": list(CLASSES),
        "source": {"kind": "archive", "place_here": "ask"},
        "layout": {"images": ["IMAGES"], "labels": ["ANNOTATIONS"], "format": "voc"},
        "allow_empty": True,
        "licence": "own",
    }
    return yaml.safe_dump(content | fields).encode()


CLASSED = {"task": "classification", "allow_empty": False}


def draw_plates(home: Path, suffix: str = "png", count: int = 3) -> None:
    """Images with a dark box, their labels and a card."""
    for folder in ("plates/IMAGES", "plates/ANNOTATIONS"):
        (home / folder).mkdir(parents=True)
    for n in range(count):
        pixels = np.random.default_rng(n).integers(60, 180, (24, 32), np.uint8)
        pixels[4:12, 6:20] = 20
        Image.fromarray(pixels).save(home / f"plates/IMAGES/plate_{n}.{suffix}")
        corners = "<xmin>7</xmin><ymin>5</ymin><xmax>20</xmax><ymax>12</ymax>"
        label = (
            f"<annotation><filename>plate_{n}.{suffix}</filename><size><width>32</width><height>24</height>"
            f"<depth>1</depth></size><object><name>{CLASSES[n % 2]}</name><bndbox>{corners}</bndbox></object>"
            "</annotation>"
        )
        (home / f"plates/ANNOTATIONS/plate_{n}.xml").write_text(label)
    (home / "s.yaml").write_bytes(_card())


def yolo_label(n: int) -> bytes:
    outline = "" if n else "1 0.2 0.2 0.6 0.2 0.4 0.5\n"
    return f"{n % 2} 0.40625 0.333333 0.4375 0.333333\n{outline}".encode()


def corner_label(n: int) -> bytes:
    return f"6 4 20 12 {n % 2}\n1,2,3,4,1\n".encode()


def labelme_label(n: int) -> bytes:
    shapes = [
        {"label": CLASSES[n % 2], "points": [[6, 4], [20, 12]], "shape_type": "rectangle", "flags": {}},
        {"label": "pit", "points": [[6, 4], [20, 4], [9, 12]], "shape_type": "polygon", "group_id": None},
        {"label": "scratch", "points": [[2, 4], [9, 4]], "shape_type": "linestrip"},
        {"label": "pit", "points": [[9, 9], [9, 12]], "shape_type": "circle", "flags": {"hard": True}},
    ]  # fmt: skip
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"..\\x\\plate_{n}.png",
    }
    size = {"imageData": None, "imageHeight": 24, "imageWidth": 32}
    return json.dumps(content | size).encode()


def coco_label(n: int) -> bytes:
    objects = [
        {"bbox": [6, 4, 14, 8], "area": 112, "iscrowd": 0, "id": 1},
        {"segmentation": [[6, 4, 20, 4, 9, 12]], "id": 2},
        {"segmentation": {"size": [24, 32], "counts": [100, 20, 648]}, "id": 3},
        {"segmentation": {"size": [24, 32], "counts": "S36b00]c0"}, "iscrowd": 1, "id": 4},
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": f"plate_{n}.png", "width": 32, "height": 24}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)],
        "annotations": [{"image_id": 1, "category_id": n % 2} | entry for entry in objects],
    }
    return json.dumps(content).encode()


def mask_label(n: int) -> bytes:
    pixels = np.zeros((24, 32), np.uint8)
    pixels[4:12, 6:20], pixels[20, 3] = n % 2 + 1, 2
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


LABELS: dict[str, tuple[Callable[[int], bytes], str, dict[str, Any]]] = {
    "yolo": (yolo_label, ".txt", {"names": list(CLASSES)}),
    "deeppcb": (corner_label, ".txt", {"names": list(CLASSES), "first_pixel": 0}),
    "labelme": (labelme_label, ".json", {}),
    "coco": (coco_label, ".json", {"difficult": "ignore"}),
    "masks": (mask_label, ".png", {"mask": {"values": {"pit": 1, "scratch": 2}, "tolerance": 2}}),
}


def draw_labels(layout: str) -> Callable[[Path], None]:
    """The plates with labels of another format."""

    def make(home: Path) -> None:
        draw_plates(home)
        write, suffix, fields = LABELS[layout]
        for n, path in enumerate(sorted((home / "plates/ANNOTATIONS").iterdir())):
            path.unlink()
            path.with_suffix(suffix).write_bytes(write(n))
        if layout == "yolo":
            (home / "plates/data.yaml").write_text(f"nc: 2\nnames: [{', '.join(CLASSES)}]\n")
        folders = {"images": ["IMAGES"], "labels": ["ANNOTATIONS"], "format": layout}
        (home / "s.yaml").write_bytes(_card(layout=folders | fields))

    return make


def convert_plates(home: Path, mirror: str = "plates") -> None:
    """Acquire and convert what lies in a mirror."""
    from defectbench.base.cards import load_dataset_card
    from defectbench.data.acquire import acquire
    from defectbench.data.convert import convert

    card = load_dataset_card(home / "s.yaml")
    acquire(card, home / "data", home / mirror)
    convert(card, home / "data/raw", home / "data")


def convert_and_pack(home: Path) -> None:
    """Convert, and decode all images as a pack does."""
    from defectbench.data.coco import read_grey
    from defectbench.data.pack import read_rgb

    convert_plates(home)
    for path in sorted((home / "data/images").iterdir()):
        read_grey(path)
        read_rgb(path)


def draw_archive(kind: str) -> Callable[[Path], None]:
    """A mirror that is one archive."""

    def make(home: Path) -> None:
        draw_plates(home)
        files = sorted(path for path in (home / "plates").rglob("*") if path.is_file())
        if kind == "zip":
            with zipfile.ZipFile(home / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for path in files:
                    archive.write(path, path.relative_to(home / "plates"))
        else:
            with tarfile.open(home / f"m.{kind}", "w:gz" if kind == "tar.gz" else "w") as archive:
                for path in files:
                    archive.add(path, path.relative_to(home / "plates").as_posix())
        shutil.rmtree(home / "plates")

    return make


def draw_classes(layout: str) -> Callable[[Path], None]:
    """Images with one class each."""

    def make(home: Path) -> None:
        names = [f"{CLASSES[n % 2]}_{n}.png" for n in range(4)]
        (home / "plates/IMAGES/pit").mkdir(parents=True)
        (home / "plates/IMAGES/scratch").mkdir()
        for n, name in enumerate(names):
            folder = home / "plates/IMAGES" / (CLASSES[n % 2] if layout == "folders" else "")
            pixels = np.random.default_rng(n).integers(0, 255, (16, 16), np.uint8)
            Image.fromarray(pixels).save(folder / name)
        fields: dict[str, Any] = {"images": ["IMAGES"], "format": layout}
        if layout == "lists":
            fields["labels"] = ["LISTS"]
            (home / "plates/LISTS").mkdir()
            lines = "".join(f"{name} {name.partition('_')[0]}\n" for name in names)
            (home / "plates/LISTS/labels.txt").write_text(lines)
        (home / "s.yaml").write_bytes(_card(**CLASSED, layout=fields))

    return make


def draw_dataset(home: Path) -> None:
    """A converted set of twelve images with groups, a split, overlaps, lists and predictions."""
    images = [{"id": n, "file_name": f"p{n}.png", "width": 32, "height": 24} for n in range(1, 13)]
    boxes = [
        {
            "id": n,
            "image_id": n,
            "category_id": n % 2,
            "bbox": [6, 4, 14, 8],
            "area": 112,
            "iscrowd": 0,
        }
        for n in range(1, 13)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (home / "annotations.json").write_text(json.dumps(content))
    whole = {"info": {"task": "classification"}, **content}
    (home / "classes.json").write_text(json.dumps(whole))
    (home / "groups.csv").write_text(
        "image_id,file_name,group\n" + "".join(f"{n},p{n}.png,{n // 2}\n" for n in range(1, 13))
    )
    (home / "test.txt").write_text("".join(f"p{n}.png\n" for n in range(1, 7)))
    rows = [
        {"image_id": n, "category_id": n % 2, "bbox": [6, 4, 13, 9], "score": 0.9}
        for n in range(1, 7)
    ]
    (home / "predictions.json").write_text(json.dumps(rows))
    said = [{"image_id": n, "probabilities": [0.25, 0.75]} for n in range(1, 7)]
    (home / "classified.json").write_text(json.dumps(said))
    parts = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    text = io.StringIO()
    csv.writer(text).writerows(
        [["file_name", "part"], *([f"p{n}.png", p] for n, p in enumerate(parts, 1))]
    )
    (home / "published.csv").write_text(text.getvalue())
    (home / "chosen.csv").write_text(
        "file_name,class\n" + "".join(f"p{n}.png,{CLASSES[n % 2]}\n" for n in range(1, 4))
    )
    (home / "overlaps.csv").write_text(
        "image_a,image_b,dx,dy,correlation,shared_area,kind\np1.png,p2.png,3,0,0.9,0.5,shift\n"
    )


def score_boxes(home: Path) -> None:
    """What ``evaluate`` does."""
    from defectbench.measure.cell import Truth, evaluate_predictions

    truth = Truth(home / "annotations.json", home / "test.txt", home / "groups.csv")
    evaluate_predictions(home / "predictions.json", truth, home / "accuracy.json")


def score_classes(home: Path) -> None:
    """What ``evaluate`` does of a classifier."""
    from defectbench.measure.cell import Truth, evaluate_predictions

    truth = Truth(home / "classes.json", home / "test.txt", home / "groups.csv")
    evaluate_predictions(home / "classified.json", truth, home / "accuracy.json")


def read_lists(home: Path) -> None:
    """Splits by published lists; groups and overlaps as they are read back."""
    from defectbench.data.groups import read_groups
    from defectbench.data.overlap import read_overlaps
    from defectbench.data.split import split

    split(home, "random", published=home / "published.csv")
    split(home, "random-few", published=home / "published.csv", train_list=home / "chosen.csv")
    read_groups(home)
    read_overlaps(home)


def draw_study(home: Path) -> None:
    """A study of the repository, a recipe and a card of a method."""
    shutil.copyfile(ROOT / "config/demo.yaml", home / "study.yaml")
    shutil.copytree(ROOT / "models/yolo_fastestv2", home / "yolo_fastestv2")


def read_study(home: Path) -> None:
    """The study and its grid, against the repository's shelves."""
    from defectbench.base.methods import method_names
    from defectbench.base.studies import load_study

    study = load_study(home / "study.yaml")
    method_names(ROOT / "models")
    for block in study.blocks:
        block.model_dump_json()


def read_method(home: Path) -> None:
    """The card and the recipe of a method."""
    from defectbench.base.methods import load_card, load_recipe

    load_card(home / "yolo_fastestv2")
    load_recipe(home / "yolo_fastestv2")


def draw_records(home: Path) -> None:
    """Two kept cells and their certificate."""
    folder = ROOT / "results/reference/neu-det-own-recipes/neu-det/clean"
    methods = sorted(path for path in folder.iterdir() if (path / "seed0/accuracy.json").is_file())
    for method in methods[:2]:
        target = home / "runs/steel/clean" / method.name / "seed0"
        target.mkdir(parents=True)
        for path in sorted((method / "seed0").rglob("*.json")):
            below = target / path.relative_to(method / "seed0")
            below.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, below)
    shutil.copyfile(folder / "certificate.json", home / "runs/steel/clean/certificate.json")


def read_records(home: Path) -> None:
    """The tables of kept cells."""
    from defectbench.report.render import make_report, write_tables

    report = make_report([home / "runs/steel"], ROOT / "models", is_kept=True)
    write_tables(report.tables, home / "report")


def draw_model(home: Path) -> None:
    """A small detector as a model file, and a pack of its size."""
    sys.path.insert(0, str(ROOT / "tests/deploy"))
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from defectbench.deploy.artifact import make_metadata, set_metadata

    drawn = np.random.default_rng(0)
    held = {
        "w": drawn.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "b": np.zeros(6, np.float32),
        "shape": np.array([0, 6, -1]),
        "cut": np.array([4, 2]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["c", "shape"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Split", ["t", "cut"], ["boxes", "raw"], axis=2),
        helper.make_node("Sigmoid", ["raw"], ["scores"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("images", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [value(n, TensorProto.FLOAT, ["N", 64, k]) for n, k in (("boxes", 4), ("scores", 2))],
        [numpy_helper.from_array(v, n) for n, v in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    origin = dict.fromkeys(("method", "dataset", "protocol", "weights_sha256"), "x") | {"seed": 0}
    set_metadata(model, make_metadata(list(CLASSES), 32, origin))
    onnx.save(model, str(home / "model.onnx"))


def read_model(home: Path) -> None:
    """All that verbs read of a model file, within this process."""
    from defectbench.deploy.artifact import load_model, validate_artifact
    from defectbench.deploy.checked import open_checked
    from defectbench.measure.complexity import count_params, declared_macs, executed_macs, inlined

    path = home / "model.onnx"
    open_checked(path)
    model = inlined(load_model(path), path)
    info = validate_artifact(path, model)
    declared_macs(model, info.size, path)
    count_params(model)
    executed_macs(model, info.size, home / "probed.onnx")


def draw_pack(home: Path) -> None:
    """A pack of three images."""
    from defectbench.data.pack import write_pack

    drawn = np.random.default_rng(0)
    tensors = {
        "images": drawn.integers(0, 256, (3, 3, 32, 32), np.uint8),
        "boxes": np.tile(np.array([4, 4, 20, 20], np.float32), (3, 1, 1)),
        "labels": np.array([[0], [1], [-1]]),
        "image_ids": np.arange(3) + 1,
        "scale": np.ones(3, np.float32),
        "pad": np.zeros((3, 2), np.float32),
        "original_size": np.full((3, 2), 32),
    }
    write_pack(home / "p.safetensors", tensors, {"classes": json.dumps(CLASSES), "part": "val"})


def read_pack(home: Path) -> None:
    """The pack as predictions and timings read it."""
    from defectbench.data.pack import load_arrays
    from defectbench.measure.operating_point import pack_truth
    from defectbench.measure.race_worker import read_images

    pack_truth(load_arrays(home / "p.safetensors"))
    read_images(home / "p.safetensors", 2)


def images(suffix: str) -> Format:
    """Images of one kind, the first of which is mutated."""
    name = f"plates/IMAGES/plate_0.{suffix}"
    return Format(lambda home: draw_plates(home, suffix), (name,), mutate_image, convert_and_pack)


FORMATS = {
    "voc": Format(draw_plates, ("plates/ANNOTATIONS/plate_0.xml",), mutate_xml, convert_plates),
    **{
        name: Format(
            draw_labels(name), (f"plates/ANNOTATIONS/plate_0{suffix}",), mutate, convert_plates
        )
        for name, suffix, mutate in (
            ("yolo", ".txt", mutate_bytes),
            ("deeppcb", ".txt", mutate_bytes),
            ("labelme", ".json", mutate_json),
            ("coco", ".json", mutate_json),
            ("masks", ".png", mutate_image),
        )
    },
    "yolo-names": Format(draw_labels("yolo"), ("plates/data.yaml",), mutate_yaml, convert_plates),
    "mask-card": Format(draw_labels("masks"), ("s.yaml",), mutate_yaml, convert_plates),
    "corner-card": Format(draw_labels("deeppcb"), ("s.yaml",), mutate_yaml, convert_plates),
    **{suffix: images(suffix) for suffix in ("png", "jpg", "bmp", "tif")},
    "class-lists": Format(
        draw_classes("lists"), ("plates/LISTS/labels.txt",), mutate_bytes, convert_plates
    ),
    "class-images": Format(
        draw_classes("folders"), ("plates/IMAGES/pit/pit_0.png",), mutate_image, convert_plates
    ),
    "zip": Format(
        draw_archive("zip"), ("m.zip",), mutate_zip, lambda h: convert_plates(h, "m.zip")
    ),
    "tar": Format(
        draw_archive("tar"), ("m.tar",), mutate_bytes, lambda h: convert_plates(h, "m.tar")
    ),
    "tar.gz": Format(
        draw_archive("tar.gz"), ("m.tar.gz",), mutate_bytes, lambda h: convert_plates(h, "m.tar.gz")
    ),
    "card": Format(draw_plates, ("s.yaml",), mutate_yaml, convert_plates),
    "annotations": Format(draw_dataset, ("annotations.json",), mutate_json, score_boxes),
    "class-annotations": Format(draw_dataset, ("classes.json",), mutate_json, score_classes),
    "predictions": Format(draw_dataset, ("predictions.json",), mutate_json, score_boxes),
    "probabilities": Format(draw_dataset, ("classified.json",), mutate_json, score_classes),
    "part": Format(draw_dataset, ("test.txt",), mutate_bytes, score_boxes),
    "groups": Format(draw_dataset, ("groups.csv",), mutate_bytes, score_boxes),
    "lists": Format(
        draw_dataset,
        ("published.csv", "chosen.csv", "overlaps.csv", "groups.csv"),
        mutate_bytes,
        read_lists,
    ),
    "study": Format(draw_study, ("study.yaml",), mutate_yaml, read_study),
    "method": Format(
        draw_study,
        ("yolo_fastestv2/card.yaml", "yolo_fastestv2/recipe.yaml"),
        mutate_yaml,
        read_method,
    ),
    "records": Format(draw_records, (), mutate_json, read_records),
    "pack": Format(draw_pack, ("p.safetensors",), mutate_pack, read_pack),
    "model": Format(draw_model, ("model.onnx",), mutate_model, read_model),
}


# --- running ---------------------------------------------------------------------------------------------------------


def prepare(name: str) -> Format:
    """A format with its valid files, which are read once to be sure that they are valid."""
    kind = FORMATS[name]
    if not kind.seeds:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            kind.make(home)
            files = sorted(path for path in home.rglob("*") if path.is_file())
            kind.seeds = {path.relative_to(home).as_posix(): path.read_bytes() for path in files}
        if name == "records":
            kind.mutated = tuple(file for file in kind.seeds if file.startswith("runs/"))
    return kind


def lay_out(kind: Format, home: Path, number: int | None) -> None:
    """The files of a case: valid but for one, which is mutated by the number."""
    draw = random.Random(number)
    chosen = draw.choice(kind.mutated)
    for file, data in kind.seeds.items():
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        is_hit = number is not None and file == chosen
        path.write_bytes(kind.mutate(data, draw) if is_hit else data)


def outcome(kind: Format, number: int | None) -> str:
    """``result``, ``refused``, or what went wrong and where."""
    from defectbench.base.errors import DefectBenchError

    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    signal.alarm(WAIT_S)
    try:
        lay_out(kind, home, number)
        with quiet():
            kind.read(home)
    except DefectBenchError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - what must not come
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "defectbench" in frame.filename] or list(frames)
        last = ours[-1]
        words = " ".join(str(error).split())[:160]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.name}|{words}"
    else:
        return "result"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is printed by what is tried."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def run_batch(name: str, first: int, count: int, until: float) -> dict[int, str]:
    """Outcomes by number, from a process of their own; the last one may say that the process ended."""
    kind = prepare(name)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB << 30, MEMORY_GIB << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        with os.fdopen(write_end, "w", buffering=1) as told:
            for number in range(first, first + count):
                told.write(f"{number}\n")
                told.write(json.dumps(outcome(kind, number)) + "\n")
                if time.monotonic() > until:
                    break
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as told:
        lines = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    numbers, outcomes = lines[::2], lines[1::2]
    seen = {int(n): json.loads(text) for n, text in zip(numbers, outcomes, strict=False)}
    if len(numbers) > len(outcomes):
        ended = os.waitstatus_to_exitcode(status)
        hung = ended in (-signal.SIGALRM, -signal.SIGPROF)
        seen[int(numbers[-1])] = (
            f"no end in {CASE_S} s" if hung else f"the process ended with {ended}"
        )
    return seen


def fuzz(names: list[str], first: int, seconds: float, cases: int | None) -> dict[str, Any]:
    """Try formats in turn.

    Args:
        names: Formats.
        first: Number of the first case of each.
        seconds: For how long.
        cases: Cases of each format; as many as there is time for by default.

    Returns:
        By format ``cases``, ``results``, ``refused`` and ``finds``: what went wrong, how often, and the first number.
    """
    until = time.monotonic() + seconds
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    examples: dict[str, dict[str, tuple[int, str]]] = {name: {} for name in names}
    following = dict.fromkeys(names, first)
    while time.monotonic() < until and names:
        for name in list(names):
            room = BATCH if cases is None else min(BATCH, first + cases - following[name])
            if room <= 0 or time.monotonic() > until:
                names = [other for other in names if other != name] if room <= 0 else names
                continue
            seen = run_batch(name, following[name], room, until)
            following[name] += max(len(seen), 1)
            for number, words in seen.items():
                said, _, example = words.partition("|")
                counts[name][said] += 1
                examples[name].setdefault(said, (number, example))
    return {
        name: {
            "cases": sum(said.values()),
            "results": said["result"],
            "refused": said["refused"],
            "finds": [
                {"what": what, "times": times}
                | dict(zip(("first", "example"), examples[name][what], strict=True))
                for what, times in sorted(said.items())
                if what not in ("result", "refused")
            ],
        }
        for name, said in counts.items()
    }


def main() -> int:
    """Fuzz, print what was tried and found, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--format", action="append", choices=list(FORMATS), help="all by default")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, help="cases of each format")
    parser.add_argument("--out", type=Path, help="record to write")
    given = parser.parse_args()
    start = time.monotonic()
    found = fuzz(given.format or list(FORMATS), given.first, given.seconds, given.cases)
    seconds = time.monotonic() - start
    for name, seen in found.items():
        print(
            f"{name:18} {seen['cases']:6} cases {seen['results']:6} results {seen['refused']:6} named errors"
        )
        for find in seen["finds"]:
            print(
                f"  FOUND {find['times']}x, first {find['first']}: {find['what']} {find['example']}"
            )
    finds = sum(len(seen["finds"]) for seen in found.values())
    total = sum(seen["cases"] for seen in found.values())
    print(f"{total} cases in {seconds:.0f} s, {finds} finds")
    if given.out:
        from defectbench.base.records import write_record

        figures = {"cases": total, "n_finds": finds, "formats": found}
        write_record(given.out, "fuzz", figures, {}, seconds, {"first_case": given.first})
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
