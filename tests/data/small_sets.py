"""Small datasets for the tests of splits: textures, crops of them, and their COCO annotations."""

import json

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter


def texture(seed, height=200, width=200):
    """Steel-like texture, uint8: grain on soft clouds."""
    rng = np.random.default_rng(seed)
    grain = gaussian_filter(rng.normal(size=(height, width)), 1.0)
    clouds = gaussian_filter(rng.normal(size=(height, width)), 12.0)
    values = 128 + 25 * grain / grain.std() + 20 * clouds / clouds.std()
    return values.clip(0, 255).round().astype(np.uint8)


def write_dataset(folder, images, boxes=None, classes=("pit", "scale")):
    """Write ``images`` (pixels by file name) and annotations; one box of class 0 each by default."""
    (folder / "images").mkdir(parents=True)
    entries, annotations = [], []
    for number, name in enumerate(sorted(images), 1):
        pixels = images[name]
        assert cv2.imwrite(str(folder / "images" / name), pixels)
        height, width = pixels.shape[:2]
        entries.append({"id": number, "file_name": name, "width": width, "height": height})
        for label, box in (boxes or {}).get(name, [(0, [1.0, 2.0, 3.0, 4.0])]):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(classes)]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def blank_images(count, side=8):
    """``count`` different images without any texture to match."""
    return {
        f"pit_{k}.png": np.full((side, side, 3), k % 250, np.uint8) + k // 250 for k in range(count)
    }


def write_overlaps(folder, pairs):
    """Write ``overlaps.csv`` of (image_a, image_b, dx, dy, shared_area) rows."""
    rows = [f"{a},{b},{dx},{dy},0.9,{area},shift\n" for a, b, dx, dy, area in pairs]
    head = "image_a,image_b,dx,dy,correlation,shared_area,kind\n"
    (folder / "overlaps.csv").write_text(head + "".join(rows))
