"""What only a machine with a GPU can show, in six minutes: the most valuable first, each figure written at once.

    PYTHONPATH=src python benchmarks/gpu_check.py --out gpu_check.json
    PYTHONPATH=src python benchmarks/gpu_check.py --out gpu_check.json --train train@192.safetensors
    PYTHONPATH=src python benchmarks/gpu_check.py --out tiny.json --device cpu --tiny

It needs this folder, ``models/`` and ``src/``, Python 3.11 or later, torch, numpy, safetensors, pyyaml and pydantic.
What a GPU machine lacks of them travels as wheels (``pip download pydantic pydantic-core annotated-types
typing-inspection``, then ``pip install --no-index --target``). It asks for no network and no Snakemake. Where no packs
are given the embedded steel is drawn, which takes opencv, or rectangles on noise without it. Whatever else is absent
costs its own figures and one line: ultralytics (``yolo train``), onnx, opencv and onnxruntime-gpu, TensorRT,
faster-coco-eval (mAP).

The record is one JSON file, written anew after every figure, so that a run that is killed leaves what it measured. A
section that fails leaves its error in its place. Sections, in order:

- ``environment``: GPU, driver, memory, versions, and what is absent.
- ``training``: of each light method images a second, one step after the other and replayed as a CUDA graph, their
  ratio, what the loss of a replayed step was held against, operations of a step that waited for the GPU, peak memory.
- ``yolo_train``: images a second of ``yolo train`` on the same images, size and batch, in float32.
- ``latency``: milliseconds of the deployed network by torch (as it is, as a CUDA graph, compiled), batch 1 and 16.
- ``onnxruntime``, ``tensorrt``: the same of the artifact, opened as the suite opens it: float32 is float32, and what
  the provider of the GPU cannot compute runs nowhere else.
- ``study``: one method trained as the reference study does, as far as the time goes.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# the first is the project's own subject, the second the network of `yolo train`
LIGHT = (
    "lidd_net",
    "yolov8n",
    "picodet_s",
    "nanodet_plus_m",
    "yolox_nano",
    "tinydefectnet",
    "nanodet_m",
    "yolo_fastestv2",
    "fastestdet",
    "deimv2_atto",
    "yolov4_thin",
)
PACKAGES = (
    "torch",
    "numpy",
    "pydantic",
    "safetensors",
    "pyyaml",
    "opencv-python",
    "opencv-python-headless",
    "triton",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "ultralytics",
    "faster-coco-eval",
)
NEEDED = ("torch", "numpy", "pydantic", "safetensors", "yaml")
CLASSES = ["a", "b", "c"]
WARM, BATCHES = 5, (1, 16)
# of the seconds that are left when a section starts, what it may take
SHARES = {"training": 0.4, "yolo_train": 0.25, "latency": 0.4, "onnxruntime": 0.3, "tensorrt": 0.4}


class AbsentError(Exception):
    """Something that a section needs is not on this machine."""


class TimeUpError(Exception):
    """A section's seconds are over."""


class Check:
    """One check: its arguments, its clock and its record.

    Args:
        args: Of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.ends = args, time.monotonic() + args.seconds
        self.record: dict[str, Any] = {
            "kind": "gpu_check",
            "seconds": args.seconds,
            "tiny": args.tiny,
        }
        self.section_ends = self.ends

    @property
    def left_s(self) -> float:
        """Seconds of the check that are left."""
        return self.ends - time.monotonic()

    @property
    def section_left_s(self) -> float:
        """Seconds of the section that are left."""
        return min(self.section_ends, self.ends) - time.monotonic()

    def write(self) -> None:
        """Write what there is, so that a kill leaves it."""
        path = self.args.out
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
        part.replace(path)

    def section(self, name: str, run: Callable[[dict[str, Any]], None]) -> None:
        """Run one section; what it raises stands in its place, and the next goes on."""
        figures: dict[str, Any] = {}
        self.record[name] = figures
        if self.left_s <= 0:
            figures["absent"] = "no time was left"
        else:
            started = time.monotonic()
            self.section_ends = started + SHARES.get(name, 1.0) * self.left_s
            self.fenced(figures, lambda: run(figures))
            figures["section_s"] = round(time.monotonic() - started, 2)
        self.write()
        told = figures.get("absent") or figures.get("error") or f"{figures.get('section_s')} s"
        print(f"{name}: {told}", flush=True)

    def fenced(self, figures: dict[str, Any], run: Callable[[], None]) -> None:
        """Run a part of a section; an error becomes a figure of its own."""
        try:
            run()
        except (AbsentError, ModuleNotFoundError) as error:
            figures["absent"] = str(error)
        except TimeUpError:
            figures["stopped"] = "its seconds were over"
        except Exception as error:  # noqa: BLE001 - whatever it is, the other figures are worth having
            lines = traceback.format_exc().splitlines()
            figures["error"] = f"{type(error).__name__}: {error}"
            figures["traceback"] = lines[-12:]
        self.write()

    def each(
        self,
        figures: dict[str, Any],
        names: tuple[str, ...],
        run: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """A part for each name, until the section's time is over."""
        for place, name in enumerate(names):
            if self.section_left_s <= 0:
                figures["left_out"] = list(names[place:])
                return
            figures[name] = {}
            self.fenced(figures[name], lambda name=name: run(name, figures[name]))
            told = {k: v for k, v in figures[name].items() if k != "traceback"}
            print(f"  {name}: {json.dumps(told)}", flush=True)


# --- environment ----------------------------------------------------------------------------------


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment(check: Check, figures: dict[str, Any]) -> None:
    figures |= {"python": platform.python_version(), "cores": os.cpu_count()}
    versions = {package: installed(package) for package in PACKAGES}
    figures["packages"] = {package: number for package, number in versions.items() if number}
    figures["absent_packages"] = [package for package, number in versions.items() if not number]
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            print(f"  {name} is absent: what needs it is left out", flush=True)
    if query := shutil.which("nvidia-smi"):
        fields = "name,driver_version,memory.total,power.limit"
        asked = [query, f"--query-gpu={fields}", "--format=csv,noheader"]
        figures["nvidia_smi"] = subprocess.run(
            asked, capture_output=True, text=True, timeout=20, check=False
        ).stdout.strip()
    import torch

    figures |= {"torch": torch.__version__, "cuda": torch.version.cuda}
    figures["has_gpu"] = torch.cuda.is_available()
    if check.args.device == "cuda":
        if not torch.cuda.is_available():
            raise AbsentError(
                "no GPU is visible to torch: --device cpu --tiny shows that the check runs"
            )
        properties = torch.cuda.get_device_properties(0)
        figures |= {
            "gpu": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "has_bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
        }


# --- packs ----------------------------------------------------------------------------------------


def packs(check: Check, folder: Path) -> dict[str, Path]:
    """The given packs, or drawn ones: embedded steel where opencv is, rectangles elsewhere."""
    args = check.args
    if args.train is not None:
        check.record["pack"] = str(args.train)
        return {"train": args.train, "val": args.val or args.train}
    size, count = (64, 16) if args.tiny else (192, 768)
    kind = "rectangles"
    if importlib.util.find_spec("cv2") and not args.tiny:
        kind = "embedded steel"
    check.record["pack"] = f"{kind}, {count} images of {size} px"
    made = {"train": 0, "val": 1}
    for part, seed in made.items():
        images = count if part == "train" else max(count // 4, 8)
        draw = steel if kind == "embedded steel" else rectangles
        write(folder / f"{part}@{size}.safetensors", part, *draw(seed, images, size))
    return {part: folder / f"{part}@{size}.safetensors" for part in made}


def rectangles(seed: int, count: int, size: int) -> tuple[Any, Any, Any, list[str]]:
    """Bright rectangles on noise, a class by their brightness."""
    import numpy as np

    made = np.random.default_rng(seed)
    images = made.integers(0, 90, (count, 3, size, size), np.uint8)
    boxes, labels = np.zeros((count, 4, 4), np.float32), np.full((count, 4), -1)
    for row in range(count):
        for place in range(1 + row % 4):
            x, y = made.integers(0, size // 2, 2)
            w, h = made.integers(size // 8, size // 2, 2)
            labels[row, place] = made.integers(len(CLASSES))
            boxes[row, place] = x, y, x + w, y + h
            images[row, :, y : y + h, x : x + w] = 120 + 45 * labels[row, place]
    return images, boxes, labels, CLASSES


def steel(seed: int, count: int, size: int) -> tuple[Any, Any, Any, list[str]]:
    """The embedded steel, at the side of its crops or letterboxed to another."""
    import numpy as np

    from defectbench.data.letterbox import letterbox
    from defectbench.data.synthetic import CLASSES as STEEL
    from defectbench.data.synthetic import draw_crops

    crops = list(draw_crops(seed=seed, images=count))
    most = max(len(crop.boxes) for crop in crops)
    images = np.empty((count, 3, size, size), np.uint8)
    boxes, labels = np.zeros((count, most, 4), np.float32), np.full((count, most), -1)
    for row, crop in enumerate(crops):
        view, scale, pad = letterbox(crop.pixels[..., None].repeat(3, 2), size)
        images[row] = view.transpose(2, 0, 1)
        for place, (name, *corners) in enumerate(crop.boxes):
            boxes[row, place] = np.array(corners) * scale + np.tile(pad, 2)
            labels[row, place] = STEEL.index(name)
    return images, boxes, labels, list(STEEL)


def write(path: Path, part: str, images: Any, boxes: Any, labels: Any, classes: list[str]) -> None:
    import numpy as np

    from defectbench.data.pack import write_pack

    count, size = len(images), images.shape[-1]
    tensors = {
        "images": images,
        "boxes": boxes,
        "labels": labels.astype(np.int64),
        "image_ids": np.arange(1, count + 1),
        "scale": np.ones(count, np.float32),
        "pad": np.zeros((count, 2), np.float32),
        "original_size": np.full((count, 2), size),
    }
    said = {"dataset": "drawn", "protocol": "clean", "part": part, "size": str(size)}
    said |= {"classes": json.dumps(classes), "shared_pixels": "0", "certificate_sha256": "0" * 64}
    write_pack(path, tensors, said)


# --- training -------------------------------------------------------------------------------------


def synchronise(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def steps_of(run: Any, epoch: int = 0) -> Iterator[None]:
    """Steps of a run without end, in the order of its first epoch."""
    from defectbench.training import loop

    order = run.batches.order(0)
    for number in itertools.count():
        loop.train_step(run, order, number % run.batches.steps_per_epoch, epoch)
        run.progress.step += 1
        if run.readings.due:
            run.readings.read()
        yield


def images_per_s(check: Check, run: Any, seconds: float) -> float:
    """Images a second of a run's steps, after a warm-up; a part of them is timed at once, none by itself."""
    steps, device = steps_of(run), check.args.device
    for _ in range(2 if check.args.tiny else 2 * WARM + run.batches.steps_per_epoch):
        next(steps)
    synchronise(device)
    started, done = time.perf_counter(), 0
    part = 2 if check.args.tiny else 20
    while True:
        for _ in range(part):
            next(steps)
        synchronise(device)
        done, spent = done + part, time.perf_counter() - started
        if spent > seconds or check.args.tiny:
            break
    run.readings.read()
    images = run.batches.count / run.batches.steps_per_epoch
    return done * images / spent


def waits(run: Any) -> dict[str, int]:
    """Operations of one step that waited for the GPU, by the line that asked for them."""
    import torch

    steps = steps_of(run)
    next(steps)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    asked = [w for w in caught if "synchroniz" in str(w.message)]
    return dict(Counter(f"{Path(w.filename).name}:{w.lineno}" for w in asked))


def prepared(check: Check, name: str, pack: Path, folder: Path, **recipe: Any) -> Any:
    """A run that has done nothing yet, of so many epochs that its first is any of the middle."""
    from defectbench.base.devices import take_device
    from defectbench.base.methods import load_method
    from defectbench.base.settings import TrainingSettings
    from defectbench.data.pack import load_pack
    from defectbench.training.preparation import prepare
    from defectbench.training.sources import Sources

    args = check.args
    take_device(args.device, args.threads)
    fields = {"epochs": 1000, "batch": args.batch, "device": args.device, "recipe": recipe}
    settings = TrainingSettings(**fields)
    method = load_method(name, ROOT / "models")
    return prepare(load_pack(pack), method, settings, Sources(pack), folder)


def training(check: Check, pack: Path, figures: dict[str, Any]) -> None:
    import torch

    each_s = check.section_left_s / len(check.args.methods)

    def time_steps(name: str, row: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            run = prepared(check, name, pack, Path(folder))
            row["batch"], row["size_px"] = run.recipe.batch, int(run.batches.images.shape[-1])
            row["precision"] = run.recipe.precision
            graphs, run.graphs = run.graphs, None
            if check.args.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            row["eager_images_per_s"] = round(images_per_s(check, run, each_s * 0.25), 1)
            check.write()
            if check.args.device != "cuda":
                return
            row["waits_in_a_step"] = waits(run)
            row["peak_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
            check.write()
            run.graphs = graphs
            speed = images_per_s(check, run, each_s * 0.25)
            row["graphs"] = graphs.words()["cuda_graphs"]
            if graphs.off is None:
                row["graph_images_per_s"] = round(speed, 1)
                row["graph_over_eager"] = round(speed / row["eager_images_per_s"], 3)
            del run, graphs
            torch.cuda.empty_cache()

    check.each(figures, check.args.methods, time_steps)


def yolo_train(check: Check, paths: dict[str, Path], figures: dict[str, Any]) -> None:
    args = check.args
    if args.tiny:
        raise AbsentError("yolo train is left out of a tiny check")
    program = shutil.which("yolo")
    if program is None:
        raise AbsentError("ultralytics is absent: no `yolo` on the PATH")
    sys.path.insert(0, str(ROOT / "workflow" / "programs"))
    from train_ultralytics import write_dataset  # type: ignore[import-not-found]
    from yolo_program import environment as around  # type: ignore[import-not-found]
    from yolo_program import read_table  # type: ignore[import-not-found]

    from defectbench.data.pack import load_pack

    pack = load_pack(paths["train"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {
            "model": "yolov8n.yaml",
            "data": write_dataset({"train": pack, "val": pack}, folder / "data").resolve(),
            "epochs": 4,  # the first warms up, the last is validated
            "imgsz": pack.size,
            "batch": args.batch,
            "pretrained": False,
            "val": False,
            "amp": False,
            "plots": False,
            "cache": "ram",
            "workers": min(8, os.cpu_count() or 1),
            "device": "0" if args.device == "cuda" else "cpu",
            "project": folder.resolve(),
            "name": "run",
        }
        command = [program, "detect", "train", *(f"{k}={v}" for k, v in settings.items())]
        around_it = around(folder, args.threads or os.cpu_count() or 1, args.device == "cuda")
        subprocess.run(command, cwd=folder, env=around_it, check=True, timeout=check.section_left_s)
        times = [row["time"] for row in read_table(folder / "run")]
    figures["images_per_s"] = round(len(pack) * 2 / (times[2] - times[0]), 1)
    ours = check.record["training"].get("yolov8n", {})
    best = max(ours.get("graph_images_per_s", 0.0), ours.get("eager_images_per_s", 0.0))
    figures["engine_over_yolo_train"] = round(best / figures["images_per_s"], 3)


# --- latency --------------------------------------------------------------------------------------


def network(name: str, nc: int) -> Any:
    """A method's deployed network, its weights as they start."""
    import torch

    from defectbench.base.methods import build_network, load_method

    torch.manual_seed(0)
    method = load_method(name, ROOT / "models")
    return build_network(method, nc, method.recipe.options).deploy().eval()


def median_ms(check: Check, call: Callable[[], Any]) -> float:
    """Median milliseconds of a call that is waited for."""
    device, tiny = check.args.device, check.args.tiny
    for _ in range(1 if tiny else 20):
        call()
    synchronise(device)
    seconds = []
    for _ in range(3 if tiny else 100):
        started = time.perf_counter()
        call()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return round(1000 * statistics.median(seconds), 4)


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions in float32 as the engines compute them, not with the 10 bits that GPUs take for it by default."""
    from torch.backends import cudnn

    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def latency(check: Check, pack: Path, figures: dict[str, Any]) -> None:
    """As it is and as a graph for all methods first; compiling takes a minute each, so it comes last."""
    import torch

    from defectbench.data.pack import load_pack
    from defectbench.nn.captured import CapturedNetwork

    device, given = check.args.device, load_pack(pack)
    shown = {b: (given.images[:b].float() / 255).to(device) for b in BATCHES}

    def time_network(name: str, row: dict[str, Any]) -> None:
        module = network(name, len(given.classes)).to(device)
        with torch.inference_mode(), whole_float32():
            for batch, images in shown.items():
                row[f"eager_batch_{batch}_ms"] = median_ms(
                    check, lambda images=images: module(images)
                )
                check.write()
        if device == "cuda":
            graphs = CapturedNetwork(module)
            with torch.inference_mode(), whole_float32():
                for batch, images in shown.items():
                    row[f"graph_batch_{batch}_ms"] = median_ms(check, partial(graphs, images))
                    check.write()

    def compiled(name: str, row: dict[str, Any]) -> None:
        module = torch.compile(network(name, len(given.classes)).to(device), dynamic=False)
        with torch.inference_mode(), whole_float32():
            for batch, images in shown.items():
                row[f"compiled_batch_{batch}_ms"] = median_ms(
                    check, lambda images=images: module(images)
                )
                check.write()
                if check.section_left_s <= 0:
                    raise TimeUpError

    check.each(figures, check.args.methods, time_network)
    if device != "cuda":
        figures["compiled"] = {"absent": "compiled networks are timed on a GPU alone"}
        return
    figures["compiled"] = {}
    check.each(figures["compiled"], check.args.methods[:2], compiled)


def artifact(name: str, folder: Path, given: Any) -> Path:
    """The artifact of a method whose weights are as they start."""
    if importlib.util.find_spec("onnx") is None:
        raise AbsentError("onnx is absent: no artifact can be made")
    from defectbench.deploy.export import export_onnx

    path = folder / f"{name}.onnx"
    if not path.is_file():
        said = {"method": name, "dataset": "drawn", "protocol": "clean", "seed": 0}
        said["weights_sha256"] = "0" * 64
        export_onnx(network(name, len(given.classes)), given.size, path, given.classes, said)
    return path


def usable(engine: str) -> None:
    """Stop a section whose engine is not here, or not for this machine."""
    from defectbench.base.errors import ConfigError
    from defectbench.deploy.engines import require_engine

    try:
        require_engine(engine)
    except ConfigError as error:
        raise AbsentError(str(error)) from error


def time_engine(check: Check, engine: str, model: Path, given: Any, told: str) -> dict[str, float]:
    """Milliseconds by number of images of a model in an engine, opened as the suite opens it: images to outputs."""
    import numpy as np

    from defectbench.deploy.engines import load_engine

    opened = load_engine(engine, model, check.args.threads or os.cpu_count() or 1)
    if getattr(opened.session, "starts_processes", False):
        return times_of_program(opened.session, given.images.shape[-1], told)
    figures = {}
    for batch in BATCHES:
        images = np.ascontiguousarray(given.images[:batch].float().numpy() / 255)
        figures[f"{told}batch_{batch}_ms"] = median_ms(check, partial(opened.run, images))
    return figures


def times_of_program(session: Any, side: int, told: str) -> dict[str, float]:
    """What TensorRT's program times by itself, one run a number of images: its Python package is absent."""
    figures = {}
    for batch in BATCHES:
        timed = session.time(side, batch, runs=1)
        figures[f"{told}batch_{batch}_ms_by_trtexec"] = timed["latency_ms_p50"]
    return figures


def onnxruntime_latency(check: Check, pack: Path, folder: Path, figures: dict[str, Any]) -> None:
    from defectbench.data.pack import load_pack

    engine = {"cuda": "onnxruntime_cuda", "cpu": "onnxruntime"}[check.args.device]
    figures["engine"] = engine
    usable(engine)
    given = load_pack(pack)

    def time_artifact(name: str, row: dict[str, Any]) -> None:
        row |= time_engine(check, engine, artifact(name, folder, given), given, "")

    check.each(figures, check.args.methods[: 1 if check.args.tiny else 4], time_artifact)


def tensorrt_latency(check: Check, pack: Path, folder: Path, figures: dict[str, Any]) -> None:
    if check.args.device != "cuda":
        raise AbsentError("TensorRT runs on a GPU alone")
    usable("tensorrt")
    from defectbench.data.pack import load_pack
    from defectbench.deploy.engines.tensorrt import convert

    given = load_pack(pack)

    def time_plans(name: str, row: dict[str, Any]) -> None:
        path = artifact(name, folder, given)
        for precision in ("fp32", "fp16"):
            plan = folder / f"{name}-{precision}"
            started = time.monotonic()
            convert(path, plan, precision)
            row[f"{precision}_build_s"] = round(time.monotonic() - started, 1)
            row |= time_engine(check, "tensorrt", plan, given, f"{precision}_")
            check.write()

    check.each(figures, check.args.methods[:2], time_plans)


# --- one method of the reference study ------------------------------------------------------------


def study(check: Check, paths: dict[str, Path], figures: dict[str, Any]) -> None:
    """The reference study's budget, 30 epochs in batches of 32, scored after every epoch."""
    from defectbench.base.methods import load_method
    from defectbench.base.settings import TrainingSettings
    from defectbench.training import loop
    from defectbench.training.sources import Sources

    args = check.args
    validate: Callable[[Any], float] | None = None
    if importlib.util.find_spec("faster_coco_eval") is not None:
        from defectbench.measure.validation import make_validator

        validate = make_validator(paths["val"])
    else:
        figures["absent_score"] = "faster-coco-eval is absent: no mAP"
    started, history = time.monotonic(), []
    figures |= {"method": args.methods[0], "epochs_wanted": 1 if args.tiny else 30}

    def watched(model: Any) -> float:
        row = {"epoch": len(history) + 1, "seconds": round(time.monotonic() - started, 2)}
        if validate is not None:
            row["val_map50_95"] = round(validate(model), 4)
        history.append(row)
        figures["history"] = history
        check.write()
        if check.section_left_s <= 0:
            raise TimeUpError
        return row.get("val_map50_95", 0.0)

    changes = {"keep": "last", "validate_every": 1}
    settings = TrainingSettings(
        epochs=figures["epochs_wanted"],
        batch=args.batch,
        device=args.device,
        threads=args.threads,
        recipe=changes,
    )
    method = load_method(args.methods[0], ROOT / "models")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop.train(method, settings, Sources(paths["train"]), folder, watched)
        record = json.loads((folder / "train.json").read_text())
    figures["train"] = {k: record["figures"][k] for k in ("train_s", "images_per_s", "final_loss")}
    figures["effective"] = record["effective"]


# --- run ------------------------------------------------------------------------------------------


def run(check: Check) -> None:
    check.section("environment", lambda figures: environment(check, figures))
    blocked = check.record["environment"].get("absent")
    with tempfile.TemporaryDirectory() as name:
        folder, paths = Path(name), {}

        def drawn(figures: dict[str, Any]) -> None:
            if blocked:
                raise AbsentError(blocked)
            paths.update(packs(check, folder))

        check.section("packs", drawn)

        def needing(work: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
            def section(figures: dict[str, Any]) -> None:
                if not paths:
                    raise AbsentError("there is no pack")
                work(figures)

            return section

        sections: dict[str, Callable[[dict[str, Any]], None]] = {
            "training": lambda f: training(check, paths["train"], f),
            "yolo_train": lambda f: yolo_train(check, paths, f),
            "latency": lambda f: latency(check, paths["train"], f),
            "onnxruntime": lambda f: onnxruntime_latency(check, paths["train"], folder, f),
            "tensorrt": lambda f: tensorrt_latency(check, paths["train"], folder, f),
            "study": lambda f: study(check, paths, f),
        }
        for title, work in sections.items():
            check.section(title, needing(work))
    check.record["done"] = True
    check.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=360.0)
    parser.add_argument(
        "--tiny", action="store_true", help="a few steps of one method, to see that it runs"
    )
    parser.add_argument("--methods", nargs="+", help="instead of all light ones")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, help="of the processor; those of torch by default")
    parser.add_argument("--train", type=Path, help="a pack in place of drawn images")
    parser.add_argument("--val", type=Path)
    args = parser.parse_args()
    args.methods = tuple(args.methods or (LIGHT[7:8] if args.tiny else LIGHT))
    args.batch = args.batch or (4 if args.tiny else 32)
    args.threads = args.threads or (1 if args.tiny else None)
    run(Check(args))


if __name__ == "__main__":
    main()
