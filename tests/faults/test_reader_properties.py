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
from defectbench.base.texts import read_columns, same_text
from defectbench.data.convert import convert
from defectbench.data.formats.lists import list_entries
from defectbench.data.formats.voc import read_voc

CLASSES = ["pit", "Lücke", "划痕", "rolled-in scale"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "gb18030", "declared utf-8"]
SIDE = 20
LAYOUTS = {
    "voc": {"images": ["IMAGES"], "labels": ["LABELS"], "format": "voc"},
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
    task = "detection" if form == "voc" else "classification"
    return DatasetCard.model_validate(
        {
            "name": "set",
            "title": "set",
            "surface": "steel",
            "task": task,
            "classes": CLASSES,
            "source": {"kind": "archive"},
            "layout": LAYOUTS[form],
            "allow_empty": form == "voc",
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
    "a.csv": [
        b'file_name,part\n"a, b.png",train\nc.png,val\n',
        "file_name,part\nü.png,test".encode("utf-16"),
    ],
    "a.txt": [b"a.png pit\nb.png, rolled-in scale\n"],
    "set.yaml": [(Path(__file__).parents[2] / "datasets" / "neu-det.yaml").read_bytes()],
}
READERS = {
    "a.xml": read_voc,
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
