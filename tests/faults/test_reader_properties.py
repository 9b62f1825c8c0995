"""Properties of the readers: what is written comes back, whatever its names, order and encoding; or it is named."""

import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from defectbench.base.cards import DatasetCard, load_dataset_card
from defectbench.base.errors import ConfigError, ConversionError, DefectBenchError, SplitError
from defectbench.base.tasks import TASKS
from defectbench.base.texts import read_columns, same_text
from defectbench.data.convert import convert
from defectbench.data.formats.coco_json import label_of, listed_in
from defectbench.data.formats.deeppcb import read_corners
from defectbench.data.formats.labelme import read_labelme
from defectbench.data.formats.lists import list_entries
from defectbench.data.formats.voc import read_voc
from defectbench.data.formats.yolo import read_yolo
from defectbench.data.pairing import Decoded

CLASSES = ["pit", "Lücke", "划痕", "rolled-in scale"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "gb18030", "declared utf-8"]
SIDE = 20
FILES = {"images": ["IMAGES"], "labels": ["LABELS"]}
LEVELS = {name: 40 * number for number, name in enumerate(CLASSES, 1)}
LAYOUTS = {
    "voc": FILES | {"format": "voc"},
    "yolo": FILES | {"format": "yolo", "names": CLASSES},
    "coco": FILES | {"format": "coco"},
    "labelme": FILES | {"format": "labelme"},
    "deeppcb": FILES | {"format": "deeppcb", "first_pixel": 1, "names": CLASSES},
    "masks": FILES | {"format": "masks", "mask": {"values": LEVELS}},
    "folders": {"images": ["IMAGES"], "format": "folders"},
    "names": {"images": ["IMAGES"], "format": "names"},
    "lists": {"images": ["IMAGES"], "labels": ["LABELS"], "format": "lists"},
}
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

letters = st.characters(
    categories=["Lu", "Ll", "Lo", "Nd", "No", "Pd", "Ps", "Pe", "Po", "Sc", "Mn"]
)
stems = (
    st.text(st.one_of(letters, st.sampled_from(" _0123456789")), min_size=1, max_size=12)
    .filter(lambda stem: not set(stem) & set("/\\,;:") and stem[0] != ".")
    .filter(lambda stem: stem.isprintable() and same_text(stem).isprintable())
)
corner = st.integers(1, SIDE)
boxes = st.tuples(st.sampled_from(CLASSES), corner, corner, corner, corner).map(
    lambda box: (
        box[0],
        min(box[1], box[3]),
        min(box[2], box[4]),
        max(box[1], box[3]),
        max(box[2], box[4]),
    )
)
sets = st.lists(st.lists(boxes, max_size=4), min_size=1, max_size=5)


def fault_of(call, *arguments):
    """What a call says is wrong, by a named error; nothing where it ends."""
    try:
        call(*arguments)
    except DefectBenchError as error:
        return error
    return None


def unlike(names):
    folded = [same_text(Path(name).stem).lower() for name in names]
    return len(set(folded)) == len(folded)


def card(form):
    task = next(task.name for task in TASKS.values() if form in task.label_formats)
    return DatasetCard.model_validate(
        {
            "name": "set",
            "title": "set",
            "surface": "steel",
            "task": task,
            "classes": CLASSES,
            "source": {"kind": "archive"},
            "layout": LAYOUTS[form],
            "allow_empty": task == "detection",
            "licence": "own",
        }
    )


def write_image(path, number):
    """An image that no other number has; its grey level says which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE), number + 1, np.uint8)).save(path, "PNG")


def voc_bytes(objects, encoding):
    """A label; a box is a name and 1-based inclusive corners."""
    content = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    )
    codec = encoding.removeprefix("declared ")
    head = (
        f'<?xml version="1.0" encoding="{codec}"?>'
        if codec != encoding or codec == "gb18030"
        else ""
    )
    return f"{head}<annotation>{content}</annotation>".encode(codec)


def read(out):
    """What was converted, by the grey level of the images: name, and class and corners of each box."""
    coco = json.loads((out / "annotations.json").read_text("utf-8"))
    levels = {}
    for entry in coco["images"]:
        with Image.open(out / "images" / entry["file_name"]) as image:
            levels[entry["id"]] = image.getpixel((0, 0)) - 1
    found = {number: [] for number in levels.values()}
    for box in coco["annotations"]:
        x, y, w, h = box["bbox"]
        found[levels[box["image_id"]]].append(
            (CLASSES[box["category_id"]], x + 1, y + 1, x + w, y + h)
        )
    return {number: sorted(read_boxes) for number, read_boxes in found.items()}


def converted(home, form, write):
    """Write a set in a folder of its own and convert it."""
    with tempfile.TemporaryDirectory(dir=home) as name:
        folder = Path(name)
        write(folder / "raw")
        convert(card(form), folder / "raw", folder / "out")
        report = json.loads((folder / "out" / "conversion.json").read_text("utf-8"))
        return read(folder / "out"), report


@few
@given(
    truth=sets,
    names=st.lists(stems, min_size=5, max_size=5).filter(unlike),
    encodings=st.lists(st.sampled_from(ENCODINGS), min_size=5, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_boxes_come_back_whatever_names_order_and_encoding(
    tmp_path, truth, names, encodings, order
):
    def write(raw):
        numbers = list(range(len(truth)))
        order.shuffle(numbers)
        for number in numbers:
            write_image(raw / "IMAGES" / f"{names[number]}.png", number)
            label = raw / "LABELS" / f"{names[number]}.xml"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_bytes(voc_bytes(truth[number], encodings[number]))

    found, report = converted(tmp_path, "voc", write)
    assert found == {number: sorted(set(of_image)) for number, of_image in enumerate(truth)}
    kept, labelled = sum(map(len, found.values())), sum(map(len, truth))
    assert (report["boxes_labelled"], report["boxes"]) == (labelled, kept)
    assert report["duplicates"] == labelled - kept


@few
@given(
    truth=sets,
    moves=st.lists(st.integers(-30, 30), min_size=4, max_size=4),
    drop=st.sampled_from([[], ["dust"]]),
)
def test_every_box_comes_out_or_stands_in_the_report(tmp_path, truth, moves, drop):
    """Boxes anywhere, even outside, and names that the card drops: converted with a full account, or refused by name."""
    moved = [
        [("dust" if drop and x0 % 3 == 0 else name, x0 + moves[0], y0 + moves[1], x1 + moves[2], y1 + moves[3])
         for name, x0, y0, x1, y1 in of_image]
        for of_image in truth
    ]  # fmt: skip

    def write(raw):
        for number, of_image in enumerate(moved):
            write_image(raw / "IMAGES" / f"{number}.png", number)
            (raw / "LABELS").mkdir(parents=True, exist_ok=True)
            (raw / "LABELS" / f"{number}.xml").write_bytes(voc_bytes(of_image, "utf-8"))

    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        write(Path(name) / "raw")
        the_card = card("voc").model_copy(update={"drop": drop})
        fault = fault_of(convert, the_card, Path(name) / "raw", Path(name) / "out")
        if fault:
            assert "a box needs an area inside the image" in str(fault)
            return
        report = json.loads((Path(name) / "out" / "conversion.json").read_text("utf-8"))
    dropped = len(report["labels_dropped"])
    assert sum(map(len, moved)) == report["boxes"] + report["duplicates"] + dropped
    outside = sum(
        name not in drop and not (x0 >= 1 and y0 >= 1 and x1 <= SIDE and y1 <= SIDE)
        for of_image in moved
        for name, x0, y0, x1, y1 in of_image
    )
    assert len(report["boxes_clipped"]) == outside


# Each format of boxes, written from boxes as VOC has them: 1-based and inclusive


def yolo_bytes(objects, name):
    lines = [
        f"{CLASSES.index(kind)} {(x0 - 1 + x1) / 2 / SIDE:.6f} {(y0 - 1 + y1) / 2 / SIDE:.6f} "
        f"{(x1 - x0 + 1) / SIDE:.6f} {(y1 - y0 + 1) / SIDE:.6f}\n"
        for kind, x0, y0, x1, y1 in objects
    ]
    return "".join(lines).encode()


def corner_bytes(objects, name):
    lines = [f"{x0} {y0}, {x1} {y1} {CLASSES.index(kind)}" for kind, x0, y0, x1, y1 in objects]
    return "\r\n".join(lines).encode()


def labelme_bytes(objects, name):
    shapes = [
        {"label": kind, "shape_type": "polygon", "points": [[x0 - 1, y0 - 1], [x1, y0 - 1], [x1, y1], [x0 - 1, y1]]}
        for kind, x0, y0, x1, y1 in objects
    ]  # fmt: skip
    content = {
        "shapes": shapes,
        "imagePath": f"..\\x\\{name}",
        "imageHeight": SIDE,
        "imageWidth": SIDE,
    }
    return json.dumps(content, ensure_ascii=False).encode("utf-8-sig")


def coco_bytes(objects, name):
    content = {
        "images": [{"id": 3, "file_name": f"some/{name}", "width": SIDE, "height": SIDE}],
        "categories": [{"id": 10 * n, "name": kind} for n, kind in enumerate(CLASSES)],
        "annotations": [
            {"image_id": 3, "category_id": 10 * CLASSES.index(kind), "bbox": [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]}
            for kind, x0, y0, x1, y1 in objects
        ],
    }  # fmt: skip
    return json.dumps(content).encode()


WRITERS = {
    "yolo": (yolo_bytes, ".txt"),
    "coco": (coco_bytes, ".json"),
    "labelme": (labelme_bytes, ".json"),
    "deeppcb": (corner_bytes, ".txt"),
}


@pytest.mark.parametrize("form", WRITERS)
@few
@given(truth=sets, names=st.lists(stems, min_size=5, max_size=5).filter(unlike))
def test_boxes_come_back_from_every_format(tmp_path, form, truth, names):
    names = [name.strip() for name in names]
    assume(all(names) and unlike(names))
    write_label, suffix = WRITERS[form]

    def write(raw):
        (raw / "LABELS").mkdir(parents=True)
        for number, objects in enumerate(truth):
            write_image(raw / "IMAGES" / f"{names[number]}.png", number)
            label = raw / "LABELS" / f"{names[number]}{suffix}"
            label.write_bytes(write_label(objects, f"{names[number]}.png"))

    found, report = converted(tmp_path, form, write)
    assert found == {number: sorted(set(objects)) for number, objects in enumerate(truth)}
    labelled = sum(map(len, truth))
    assert report["boxes_labelled"] == labelled == report["boxes"] + report["duplicates"]
    assert report["boxes_clipped"] == []


@few
@given(
    points=st.lists(st.tuples(st.floats(0, SIDE), st.floats(0, SIDE)), min_size=2, max_size=5),
    least=st.floats(0.5, 9),
)
def test_a_line_is_widened_about_its_middle_and_listed(tmp_path, points, least):
    shape = {"label": "pit", "shape_type": "linestrip", "points": points}
    (tmp_path / "line.json").write_text(json.dumps({"shapes": [shape]}))
    label = read_labelme(tmp_path / "line.json", least)
    corners = np.array(label.boxes[0].corners).reshape(2, 2)
    drawn = np.array([np.min(points, axis=0), np.max(points, axis=0)])
    sides = np.diff(drawn, axis=0)
    assert np.allclose(corners.mean(axis=0), drawn.mean(axis=0))
    assert np.allclose(np.diff(corners, axis=0), np.maximum(sides, least))
    assert len(label.repairs["lines_widened"]) == int((sides < least).any())


@few
@given(truth=sets)
def test_boxes_apart_come_back_from_masks(tmp_path, truth):
    """Boxes are drawn in turn, where they touch none of their class and cover none of another."""
    kept = []
    for objects in truth:
        pixels, drawn = np.zeros((SIDE + 2, SIDE + 2), np.uint8), []
        for kind, x0, y0, x1, y1 in objects:
            if not pixels[y0 - 1 : y1 + 2, x0 - 1 : x1 + 2].any():
                pixels[y0 : y1 + 1, x0 : x1 + 1] = LEVELS[kind]
                drawn.append((kind, x0, y0, x1, y1))
        kept.append((pixels[1:-1, 1:-1], drawn))

    def write(raw):
        (raw / "LABELS").mkdir(parents=True)
        for number, (pixels, _) in enumerate(kept):
            write_image(raw / "IMAGES" / f"{number}.png", number)
            Image.fromarray(pixels).save(raw / "LABELS" / f"{number}.bmp")

    found, _ = converted(tmp_path, "masks", write)
    assert found == {number: sorted(drawn) for number, (_, drawn) in enumerate(kept)}


@pytest.mark.parametrize("form", ["folders", "names", "lists"])
@few
@given(
    truth=st.lists(st.sampled_from(CLASSES), min_size=1, max_size=5),
    names=st.lists(stems, min_size=5, max_size=5).filter(unlike),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_classes_come_back_in_every_format(tmp_path, form, truth, names, encoding, ending):
    names = [name.strip() if form == "lists" else name for name in names]
    assume(all(names) and unlike(names) and not any('"' in name for name in names))

    def write(raw):
        for number, name in enumerate(truth):
            stem = names[number]
            place = {"folders": f"{name}/{stem}", "names": f"{name}_{number}", "lists": stem}[form]
            write_image(raw / "IMAGES" / f"{place}.png", number)
        if form == "lists":
            (raw / "LABELS").mkdir()
            rows = [f"{names[number]}.png, {name}" for number, name in enumerate(truth)]
            (raw / "LABELS" / "all.csv").write_bytes(ending.join(rows).encode(encoding))

    found, report = converted(tmp_path, form, write)
    assert {number: read_boxes[0][0] for number, read_boxes in found.items()} == dict(
        enumerate(truth)
    )
    assert report["images"] == len(truth)


# Damage


def damaged(data, draws):
    """Bytes with some of them changed, taken out or put in."""
    content = bytearray(data)
    for _ in range(draws.randint(1, 6)):
        at = draws.randrange(len(content) + 1)
        if draws.random() < 0.5 and at < len(content):
            content[at] = draws.randrange(256)
        elif draws.random() < 0.5:
            del content[at : at + draws.randint(1, 8)]
        else:
            content[at:at] = draws.choice(
                [b"\xff\xfe", b"\0", b"<", b"&", b'"', b"\x93", b"\n", b": ", b"-"]
            )
    return bytes(content)


SEEDS = {
    "a.xml": [
        voc_bytes([("划痕", 1, 2, 3, 4), ("pit", 1, 1, 2, 2)], encoding) for encoding in ENCODINGS
    ],
    "yolo.txt": [
        yolo_bytes([("pit", 1, 2, 3, 4), ("划痕", 1, 1, 9, 9)], "a"),
        b"1 0.1 0.1 0.5 0.2 0.3 0.9\n",
    ],
    "deeppcb.txt": [corner_bytes([("pit", 1, 2, 3, 4), ("划痕", 1, 1, 9, 9)], "a")],
    "labelme.json": [labelme_bytes([("划痕", 1, 2, 3, 4), ("pit", 1, 1, 2, 2)], "a.png")],
    "coco.json": [coco_bytes([("划痕", 1, 2, 3, 4), ("pit", 1, 1, 2, 2)], "a.png")],
    "a.csv": [
        b'file_name,part\n"a, b.png",train\nc.png,val\n',
        "file_name,part\nü.png,test".encode("utf-16"),
    ],
    "a.txt": [b"a.png pit\nb.png, rolled-in scale\n"],
    "set.yaml": [(Path(__file__).parents[2] / "datasets" / "neu-det.yaml").read_bytes()],
}
READERS = {
    "a.xml": read_voc,
    "yolo.txt": lambda path: read_yolo(path, Decoded(SIDE, SIDE, 1), dict(enumerate(CLASSES))),
    "deeppcb.txt": lambda path: read_corners(path, dict(enumerate(CLASSES))),
    "labelme.json": read_labelme,
    "coco.json": lambda path: [label_of(listed) for listed in listed_in(path)],
    "a.csv": lambda path: read_columns(path, ("file_name", "part"), SplitError),
    "a.txt": lambda path: list_entries(card("lists"), path),
    "set.yaml": load_dataset_card,
}


@pytest.mark.parametrize("name", READERS)
@settings(few, max_examples=150)
@given(seed=st.integers(0, 2**32), which=st.integers(0, 9))
def test_damaged_text_is_read_or_named(tmp_path, name, seed, which):
    path = tmp_path / name
    path.write_bytes(damaged(SEEDS[name][which % len(SEEDS[name])], random.Random(seed)))
    fault = fault_of(READERS[name], path)
    assert fault is None or str(path) in str(fault)


@few
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_named(tmp_path, content):
    for name, reader in READERS.items():
        (tmp_path / name).write_bytes(content)
        fault = fault_of(reader, tmp_path / name)
        assert fault is None or isinstance(fault, (ConfigError, ConversionError, SplitError))
