"""Folders as users have them: pictures of plates with dark boxes, and labels in any format, wherever they like."""

import json

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

WIDTH, HEIGHT = 96, 64
NAMES = ("pit", "scratch")


def plate(number):
    """Pixels of a plate of its own, and its boxes: class and corners."""
    random = np.random.default_rng(1000 + number)
    grain = gaussian_filter(random.normal(size=(HEIGHT, WIDTH)), 1.0)
    pixels = np.clip(150 + 25 * grain / grain.std(), 0, 255).astype(np.uint8)
    boxes = []
    for k in range(1 + number % 2):
        x, y = 4 + 44 * k + int(random.integers(20)), 4 + int(random.integers(30))
        w, h = (14, 12) if (number + k) % 2 == 0 else (24, 6)
        pixels[y : y + h, x : x + w] = 20
        boxes.append(((number + k) % 2, (x, y, x + w, y + h)))
    return pixels, boxes


def write_picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def as_voc(path, boxes, names=NAMES):
    objects = "".join(
        f"<object><name>{names[number]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for number, (x0, y0, x1, y1) in boxes
    )
    write_text(path.with_suffix(".xml"), f"<annotation>{objects}</annotation>")


def as_yolo(path, boxes):
    lines = [
        f"{n} {(a + c) / 2 / WIDTH} {(b + d) / 2 / HEIGHT} {(c - a) / WIDTH} {(d - b) / HEIGHT}\n"
        for n, (a, b, c, d) in boxes
    ]
    write_text(path.with_suffix(".txt"), "".join(lines))


def as_labelme(path, boxes, names=NAMES):
    shapes = [
        {
            "label": names[n],
            "points": [[a, b], [c, b], [c, d], [a, d]],
            "shape_type": "polygon",
        }
        for n, (a, b, c, d) in boxes
    ]
    content = {"version": "5.4.1", "shapes": shapes, "imagePath": f"..\\x\\{path.stem}.png"}
    write_text(path.with_suffix(".json"), json.dumps(content))


def as_mask(path, boxes):
    """Values 1 and 2 in a PNG, whose classes have no names."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for n, (a, b, c, d) in boxes:
        mask[b:d, a:c] = n + 1
    write_picture(path.with_suffix(".png"), mask)


def as_deeppcb(path, boxes):
    lines = [f"{a} {b} {c} {d} {n + 1}\n" for n, (a, b, c, d) in boxes]
    write_text(path.with_suffix(".txt"), "".join(lines))


def coco_of(entries, names=NAMES):
    """COCO of pairs of a file name and its boxes."""
    images = [
        {"id": k, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for k, (name, _) in enumerate(entries, 1)
    ]
    annotations = [
        {"image_id": k, "category_id": n + 7, "bbox": [a, b, c - a, d - b]}
        for k, (_, boxes) in enumerate(entries, 1)
        for n, (a, b, c, d) in boxes
    ]
    for number, entry in enumerate(annotations, 1):
        entry["id"] = number
    categories = [{"id": n + 7, "name": name} for n, name in enumerate(names)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def a_plant(top, count=14):
    """Two lines with a format each, odd names, nested folders; picture 1 is picture 0 mirrored."""
    for number in range(count):
        pixels, boxes = plate(number)
        if number == 1:
            pixels, boxes = np.ascontiguousarray(plate(0)[0][:, ::-1]), [(0, (5, 5, 20, 20))]
        if number % 2:
            path = top / "Line A (old)" / "Bilder" / f"Blech {number}.PNG"
            as_voc(path, boxes)
        else:
            path = top / "line_b" / "2024" / f"{number:04}.png"
            as_yolo(top / "line_b" / "txt" / path.name, boxes)
        write_picture(path, pixels)
    write_text(top / "line_b" / "classes.txt", "pit\nscratch\n")
    write_text(top / "readme.md", "x")
    return top
