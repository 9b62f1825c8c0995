"""Truths and result lists for the tests of the measures."""

import numpy as np


def make_truth(boxes_by_image, classes=2, width=200, height=200):
    """COCO annotations; one list of (class, [x, y, w, h]) an image; ids from 1."""
    images, annotations = [], []
    for number, boxes in enumerate(boxes_by_image, start=1):
        name = f"image{number}.png"
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for label, box in boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [float(v) for v in box],
                    "area": float(box[2] * box[3]),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": n, "name": f"class{n}"} for n in range(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def make_box(image_id, category_id, bbox, score):
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [float(v) for v in bbox],
        "score": score,
    }


def random_case(seed, images=15, classes=3, detections=30, tied_scores=False):
    """A truth and a result list in which about half of the detections lie near true boxes."""
    random = np.random.default_rng(seed)
    layout, results = [], []
    for number in range(images):
        count = int(random.integers(0, 5))
        corner = random.uniform(0, 100, (count, 2))
        sides = random.choice([12, 40, 98], (count, 2)) + random.uniform(0, 9, (count, 2))
        labels = random.integers(0, classes, count)
        boxes = np.concatenate([corner, sides], 1).round(2)
        layout.append(list(zip(labels.tolist(), boxes.tolist(), strict=True)))
        for _ in range(int(random.integers(0, detections + 1))):
            if count and random.random() < 0.5:
                pick = int(random.integers(count))
                box = boxes[pick] + random.normal(0, 4, 4)
                label = int(labels[pick])
            else:
                box = random.uniform(5, 90, 4)
                label = int(random.integers(0, classes))
            box[2:] = np.maximum(box[2:], 1)
            value = float(random.integers(1, 6) / 6 if tied_scores else random.random())
            results.append(make_box(number + 1, label, box.tolist(), value))
    return make_truth(layout, classes), results
