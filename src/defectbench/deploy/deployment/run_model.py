"""Boxes of pictures, by the model in this folder. Needs numpy, Pillow and the engine that deployment.json names.

python run_model.py PICTURE ...              prints class, score and corners x0, y0, x1, y1 in pixels, as JSON
python run_model.py --check [FOLDER]         holds it against stored predictions; FOLDER has the pictures, or check/
python run_model.py --tensor PICTURE FILE    writes what the network is given, float32 [3, S, S], for programs in C++

Licence: Apache-2.0, see LICENCES.txt.
"""

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from boxes.merge import merge_tiles  # pyright: ignore[reportMissingImports]
from boxes.nms import answer_of  # pyright: ignore[reportMissingImports]
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
GREY = 114  # around a picture that is no square
LEAST = 0.001  # score of the boxes that are suppressed and joined, as in scoring


def read(name: str) -> Any:
    """A JSON file of this folder."""
    return json.loads((HERE / name).read_text(encoding="utf-8"))


SETTINGS = read("deployment.json")["settings"]
THRESHOLD = read("operating_point.json")["figures"]["threshold"]
SIZE, NAMES, TILES = (SETTINGS[key] for key in ("size", "classes", "tiles"))
THREADS = SETTINGS["threads"]  # of the engine, as it was timed


def open_onnxruntime(path: Path) -> Any:
    """The model in ONNX Runtime: a function of [3, S, S] in 0..1 that returns boxes [P, 4] and scores [P, C]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: [
        out[0] for out in session.run(["boxes", "scores"], {"images": image[None]})
    ]


def open_openvino(path: Path) -> Any:
    """The same in OpenVINO."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    request = openvino.compile_model(path, "CPU", settings).create_infer_request()

    def run(image: np.ndarray) -> list[np.ndarray]:
        request.infer({"images": image[None]})
        return [request.get_tensor(name).data[0].copy() for name in ("boxes", "scores")]

    return run


def open_ncnn(path: Path) -> Any:
    """The same in ncnn, of a folder with its two files."""
    ncnn: Any = importlib.import_module("ncnn")  # a compiled module that tells no types
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = THREADS, False
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, SETTINGS["precision"] == "fp16")
    for load, name in ((net.load_param, "model.param"), (net.load_model, "model.bin")):
        if load(str(path / name)):
            sys.exit(f"{path / name}: not a file that this ncnn reads")

    def run(image: np.ndarray) -> list[np.ndarray]:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        answers = [extractor.extract(name) for name in ("out0", "out1")]
        if any(code for code, _ in answers):
            sys.exit(f"{path}: ncnn gives no boxes and scores of it; its memory may be full")
        return [np.array(values) for _, values in answers]

    return run


def shrink(values: np.ndarray, new: int) -> np.ndarray:
    """Pixels along the first axis as means of areas."""
    old = len(values)
    edges = np.arange(new + 1) * (old / new)
    below = np.minimum(edges.astype(int), old - 1)
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
    part = (edges - below)[:, None, None]
    return np.diff(sums[below] + part * values[below], axis=0) * (new / old)


def enlarge(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels [H, W, 3] as the nearest two weighed along each axis, in whole numbers as OpenCV computes it."""

    def weigh(old: int, new: int) -> tuple[np.ndarray, ...]:
        at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
        low = at.astype(int)
        share = np.rint((at - low) * 2048).astype(int)
        return low, np.minimum(low + 1, old - 1), 2048 - share, share

    whole = pixels.astype(int)
    left, right, near, far = weigh(whole.shape[1], width)
    rows = (whole[:, left] * near[:, None] + whole[:, right] * far[:, None]) >> 4
    above, below, near, far = weigh(len(whole), height)
    upper, lower = rows[above] * near[:, None, None], rows[below] * far[:, None, None]
    return ((upper >> 16) + (lower >> 16) + 2) >> 2


def fit(pixels: np.ndarray) -> tuple[np.ndarray, float, int, int]:
    """What the network is given, [3, S, S] in 0..1; pixels of it a pixel of the picture; what is left and above it."""
    height, width = pixels.shape[:2]
    scale = SIZE / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (SIZE - w) // 2, (SIZE - h) // 2
    if scale < 1:
        rows = shrink(pixels.astype(np.float64), h).swapaxes(0, 1)
        pixels = np.rint(shrink(rows, w).swapaxes(0, 1))
    elif scale > 1:
        pixels = enlarge(pixels, w, h)
    square = np.full((SIZE, SIZE, 3), GREY, np.float32)
    square[y : y + h, x : x + w] = pixels
    return np.ascontiguousarray(square.transpose(2, 0, 1) / np.float32(255)), scale, x, y


def look(model: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of a picture or of a tile [H, W, 3]: corners in its pixels, scores, numbers of classes."""
    image, scale, x, y = fit(pixels)
    boxes, scores, labels = answer_of(*model(image), LEAST, SETTINGS["suppression"])
    height, width = pixels.shape[:2]
    corners = (boxes.astype(np.float64) - [x, y, x, y]) / scale
    return np.clip(corners, 0, [width, height, width, height]), scores, labels


def look_at_tiles(model: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of a picture that is cut into tiles, as the pictures were that the model learnt from."""
    height, width = pixels.shape[:2]
    side, overlap = TILES["side"], TILES["overlap"]

    def starts(length: int) -> list[int]:
        count = 1 + -(-max(0, length - side) // (side - overlap))
        return [
            round(n * (length - side) / max(1, count - 1)) if count > 1 else 0 for n in range(count)
        ]

    low = np.array([(x, y) for y in starts(height) for x in starts(width)])
    windows = np.concatenate([low, np.minimum(low + side, [width, height])], axis=1)
    seen = []
    for x0, y0, x1, y1 in windows:
        tile = np.full((side, side, 3), GREY, np.uint8)
        tile[: y1 - y0, : x1 - x0] = pixels[y0:y1, x0:x1]
        seen.append(look(model, tile))
    return merge_tiles(windows, (width, height), seen, LEAST)


def pixels_of(path: Path) -> np.ndarray:
    """A picture as RGB, [H, W, 3], upright."""
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            sys.exit(f"{path}: it has more than 8 bits a channel; save it with 8")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def detect(model: Any, path: Path, threshold: float) -> list[tuple[str, float, list[float]]]:
    """Class, score and corners of each box of a picture that scores above a threshold, the best first."""
    pixels = pixels_of(path)
    boxes = (look_at_tiles if TILES else look)(model, pixels)
    return [
        (NAMES[label], float(score), box.tolist())
        for box, score, label in zip(*boxes, strict=True)
        if score > threshold and (box[2:] > box[:2]).all()
    ]


def check(model: Any, folder: Path) -> str:
    """Hold the pictures of the check against what is stored of them; say what was compared, or end with what differs.

    Boxes whose score lies within the bound of the threshold may be on either side of it.
    """
    for name, digest in read("deployment.json")["files"].items():
        if hashlib.sha256((HERE / name).read_bytes()).hexdigest() != digest:
            sys.exit(f"{HERE / name}: it is another file than the one that was deployed")
    stored = read("check.json")
    threshold, bound = stored["threshold"], stored["bound"]
    worst, count, alone = np.zeros(2), 0, []
    for picture in stored["pictures"]:
        path = folder / picture["file_name"]
        if not path.is_file():
            sys.exit(
                f"{path}: there is no such picture; name the folder that holds it: --check FOLDER"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != picture["sha256"]:
            sys.exit(f"{path}: it is another picture than the one that was checked")
        mine, theirs = detect(model, path, threshold), picture["boxes"]
        allowed = np.array([bound["score"], max(1.0, bound["corner"] * max(picture["size"]))])
        for some, others in ((mine, theirs), (theirs, mine)):
            for name, score, box in some:
                apart = nearest(name, score, box, others, allowed)
                if (apart <= allowed).all():
                    worst = np.maximum(worst, apart)
                elif score >= threshold + bound["score"]:
                    at = [round(value, 1) for value in box]
                    alone.append(
                        f"{path}: {name} {score:.3f} at {at} has no like among the stored ones"
                    )
        count += len(theirs)
    if len(alone) > bound["alone"] * 2 * count:
        sys.exit(alone[0])
    words = f"{len(stored['pictures'])} pictures, {count} boxes: scores differ by {worst[0]:.4f} and corners by "
    return f"{words}{worst[1]:.2f} pixels at most" + (
        f"; {len(alone)} have no like" if alone else ""
    )


def nearest(
    name: str, score: float, box: list[float], others: list[Any], allowed: np.ndarray
) -> np.ndarray:
    """By how much the score and the corners of the most alike of other boxes of its class differ."""
    apart = [
        np.array([abs(score - s), np.abs(np.subtract(box, b)).max()])
        for other, s, b in others
        if other == name
    ]
    return min(apart, key=lambda pair: (pair / allowed).max(), default=np.full(2, np.inf))


def main(words: list[str]) -> None:
    """Do what the command line asks."""
    if not words or words[0] in ("-h", "--help"):
        sys.exit(__doc__)
    if words[0] == "--tensor":
        fit(pixels_of(Path(words[1])))[0].tofile(words[2])
        return
    openers = {"onnxruntime": open_onnxruntime, "openvino": open_openvino, "ncnn": open_ncnn}
    engine = SETTINGS["engine"]
    try:
        model = openers[engine](HERE / SETTINGS["model"])
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: pip install numpy pillow {engine}")
    if words[0] == "--check":
        print(check(model, Path(words[1]) if words[1:] else HERE / "check"))  # noqa: T201
        return
    told = {path: detect(model, Path(path), THRESHOLD) for path in words}
    print(json.dumps(told, indent=1, ensure_ascii=False))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
