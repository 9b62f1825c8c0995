"""The verbs of a board: look, receive, predict, race. The end of the file that runs on boards.

The desktop sends that file with each call, then one line of JSON that says what is wanted, and for ``receive`` files.
The answer is one line of JSON behind a mark on standard output, whatever a login prints before it. Where the connection
ends, the process ends: nothing goes on running on a board that nobody listens to.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gc
import hashlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..nms import answer_of
from .sessions import SESSIONS, Entry, ModelRefusalError, RefusalError
from .state import BoardWatch, identity
from .trtexec_model import BoardTrtexec

MARK = "defectbench-edge-answer "
OURS = ".defectbench-edge"  # in a folder that was made for bundles
REFERENCE_CALLS = 5
SETTLING_CALLS = 1
GAP_SECONDS = 0.2
BLOCK_BYTES = 1 << 16
LOST = 5  # exit status where the connection ended

Request = Any  # a dictionary
Answer = Any


def say(*words: object) -> None:
    """A line for whoever watches."""
    sys.stderr.write(" ".join(map(str, words)) + "\n")
    sys.stderr.flush()


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file; None where it is not there."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            for block in iter(lambda: handle.read(1 << 20), b""):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def folder_of(request: Request) -> Path:
    """The folder for bundles."""
    return Path(request["folder"]).expanduser().absolute()


def path_in(folder: Path, name: str) -> Path:
    """A file of the bundle in its folder; nothing outside."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise RefusalError("file", name, "pack the bundle again")
    return folder / path


def look(request: Request, stream: BinaryIO) -> Answer:
    """What the board is, and which files of the bundle it lacks."""
    folder, files = folder_of(request), request["files"]
    missing = [name for name in files if digest_of(path_in(folder, name)) != files[name]]
    return {**identity(), "missing": missing}


def receive(request: Request, stream: BinaryIO) -> Answer:
    """Take files, each whole or not at all."""
    folder = folder_of(request)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / OURS).is_file():
        fix = "something else is there: name another folder with --folder"
        raise RefusalError("folder", folder, fix)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        for count, line in enumerate(iter(stream.readline, b"")):
            header = json.loads(line)
            if header.get("end"):
                return {"received": count}
            take(path_in(folder, header["path"]), header, stream)
    raise ended()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder for bundles, for this process alone.

    Raises:
        RefusalError: Another one holds it.
    """
    with (folder / OURS).open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusalError("board", "busy", "another run works there: wait for it") from error
        yield


def ended() -> RefusalError:
    """The connection ended; nobody will read it."""
    return RefusalError("connection", "ended", "run again")


def take(path: Path, header: dict[str, Any], stream: BinaryIO) -> None:
    """Take one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left, digest, part = header["bytes"], hashlib.sha256(), path.with_name(path.name + ".part")
    try:
        with part.open("wb") as handle:
            while left:
                block = stream.read(min(left, BLOCK_BYTES))
                if not block:
                    raise ended()
                handle.write(block)
                digest.update(block)
                left -= len(block)
        if digest.hexdigest() != header["sha256"]:
            raise RefusalError("sha256", header["path"], "it was changed on its way: run again")
        part.replace(path)
    finally:
        if part.exists():
            part.unlink()


def checked_model(folder: Path, plan: Request, entry: Entry) -> Path:
    """The model of an entry as it lies there, if it is what was packed."""
    model = entry["model"]
    for name, packed in plan["files"].items():
        is_of_model = name == model or name.startswith(model + "/")
        if is_of_model and digest_of(path_in(folder, name)) != packed:
            raise RefusalError("sha256", name, "it was changed there: run again to send it anew")
    return path_in(folder, model)


def open_entry(folder: Path, plan: Request, entry: Entry) -> Any:
    """A model, ready to run."""
    say("loads", entry["name"])
    path = checked_model(folder, plan, entry)
    try:
        if entry["engine"] == "tensorrt" and plan["by_trtexec"]:
            return BoardTrtexec(path, entry)
        return SESSIONS[entry["engine"]](path, entry, plan["protocol"]["threads"])
    except (RefusalError, MemoryError):
        raise
    except Exception as error:  # engines' errors share no public root
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        fix = "leave this form out"
        raise ModelRefusalError(entry["engine"], first, fix, entry["name"]) from error


def read_images(folder: Path, entry: Entry) -> Any:
    """Images uint8 [N,3,S,S] of an entry."""
    return np.load(path_in(folder, entry["images"]), mmap_mode="r")


def answered(outputs: Any, threshold: float, entry: Entry) -> Any:
    """Boxes, scores and labels of one image that are kept."""
    return answer_of(outputs[0][0], outputs[1][0], threshold, entry["suppression"])


def has_post(entry: Entry) -> bool:
    """Whether something is left to do when the engine has answered: not where boxes need no suppression."""
    return len(entry["outputs"]) == 1 or entry["suppression"] != "none"


def predict(request: Request, stream: BinaryIO) -> Answer:
    """What a model finds in all images; of the first ones also the outputs themselves. Or why its engine refuses it."""
    try:
        return answers_of(request)
    except ModelRefusalError as refusal:
        return {"absent_because": "{field}: {value}".format(**refusal.told)}


def answers_of(request: Request) -> Answer:
    """The answers of one model to all images."""
    folder, plan = folder_of(request), request["plan"]
    entry = plan["entries"][request["entry"]]
    images, session = read_images(folder, entry), open_entry(folder, plan, entry)
    answers, raw = [], []
    for n in range(len(images)):
        outputs = session.run(images[n : n + 1].astype(np.float32) / np.float32(255))
        if not all(np.isfinite(values).all() for values in outputs):
            fix = "the engine computes wrong there: try another version of it, or fp32"
            raise ModelRefusalError("output", f"not finite for image {n}", fix, entry["name"])
        if n < plan["raw_images"]:
            raw.append([packed(values) for values in outputs])
        boxes = len(outputs) > 1
        kept = answered(outputs, plan["score_threshold"], entry) if boxes else outputs[0]
        answers.append([values.tolist() for values in kept])
        if n % 50 == 0:
            say("predicts", entry["name"], n, "of", len(images))
    return {"answers": answers, "raw": raw}


def packed(values: Any) -> dict[str, Any]:
    """An array as text."""
    values = np.ascontiguousarray(values, np.float32)
    return {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode()}


class BoardRunner:
    """A model in the race: its engine and its images."""

    def __init__(self, folder: Path, plan: Request, entry: Entry) -> None:
        self.session, self.images = open_entry(folder, plan, entry), read_images(folder, entry)
        self.threshold, self.turn, size = entry["threshold"], 0, entry["size"]
        self.entry = entry
        self.input = np.empty((1, 3, size, size), np.float32)
        self.calls: list[Any] = []
        self.burst: list[Any] = []

    def call(self) -> list[int]:
        """Run the next image; nanoseconds before, in and behind the engine."""
        image = self.images[self.turn % len(self.images)]
        self.turn += 1
        start = time.perf_counter_ns()
        np.multiply(image, np.float32(1 / 255), out=self.input[0], casting="unsafe")
        ready = time.perf_counter_ns()
        outputs = self.session.run(self.input)
        done = time.perf_counter_ns()
        if len(outputs) > 1:
            answered(outputs, self.threshold, self.entry)
        else:
            outputs[0][0].argmax()
        end = time.perf_counter_ns()
        if not has_post(self.entry):
            done = end
        return [ready - start, done - ready, end - done]

    def run_block(self, calls: int) -> None:
        """Settle, then count some calls back to back."""
        for _ in range(SETTLING_CALLS):
            self.call()
        block = []
        for _ in range(calls):
            before = time.thread_time_ns()
            phases = self.call()
            block.append([*phases, time.thread_time_ns() - before])
        self.calls.append(block)

    def run_burst(self) -> None:
        """One call after a pause, as a camera on a line makes it."""
        time.sleep(GAP_SECONDS)
        self.burst.append(self.call())


class BoardReference:
    """The reference model, in the engine of the others."""

    def __init__(self, folder: Path, plan: Request, entry: Entry) -> None:
        self.session, size = open_entry(folder, plan, entry), entry["size"]
        self.image = np.full((1, 3, size, size), 0.5, np.float32)
        self.blocks: list[Any] = []

    def run_block(self) -> None:
        """Settle, then count some calls."""
        block = []
        for _ in range(SETTLING_CALLS + REFERENCE_CALLS):
            before, start = time.thread_time_ns(), time.perf_counter_ns()
            self.session.run(self.image)
            wall = time.perf_counter_ns() - start
            block.append([wall, time.thread_time_ns() - before])
        self.blocks.append(block[SETTLING_CALLS:])


def turns(count: int, process: int, turn: int) -> list[int]:
    """Order of the models in one round of one process, drawn anew in each."""
    order = list(range(count))
    random.Random(process * 1_000_003 + turn).shuffle(order)
    return order


def race(request: Request, stream: BinaryIO) -> Answer:
    """Let all models of an engine take turns, the reference model between; one process of several."""
    folder, plan, process = folder_of(request), request["plan"], request["process"]
    entries = [plan["entries"][n] for n in request["entries"]]
    reference = plan["references"][entries[0]["engine"]]
    if entries[0]["engine"] == "tensorrt" and plan["by_trtexec"]:
        models = [open_entry(folder, plan, entry) for entry in [*entries, reference]]
        return race_by_trtexec(models, process)
    runners = [BoardRunner(folder, plan, entry) for entry in entries]
    for runner in runners:
        for _ in range(plan["protocol"]["warmup"]):
            runner.call()
    answer = run_rounds(runners, BoardReference(folder, plan, reference), plan["protocol"], process)
    for _ in range(request["burst_calls"]):
        for runner in runners:
            runner.run_burst()
    kept = [{"calls": r.calls, "burst": r.burst, "scoring_post": []} for r in runners]
    # for a GPU the processor only waits: its own time says nothing of the model's
    devices = ["cuda" if entry["engine"] == "tensorrt" else "cpu" for entry in entries]
    images = [len(runner.images) for runner in runners]
    post = [has_post(entry) for entry in entries]
    return {**answer, "runners": kept, "images": images, "devices": devices, "post": post}


def run_rounds(
    runners: list[BoardRunner], reference: BoardReference, protocol: Request, process: int
) -> dict[str, Any]:
    """The rounds of one process."""
    reference.run_block()
    del reference.blocks[:]  # it has warmed up
    orders = [turns(len(runners), process, n) for n in range(protocol["rounds"])]
    watch = BoardWatch()
    gc.disable()
    try:
        reference.run_block()
        for n, order in enumerate(orders):
            for position in order:
                runners[position].run_block(protocol["block_calls"])
                reference.run_block()
            watch.look()
            say("race", process, "round", n + 1, "of", len(orders))
        evidence = watch.evidence()
    finally:
        watch.stop()
        gc.enable()
    return {"orders": orders, "reference": reference.blocks, "evidence": evidence}


def race_by_trtexec(models: list[Any], process: int) -> Answer:
    """Time each model by TensorRT's program, the reference model, the last of them, before each."""
    *models, reference = models
    runs, watch = [], BoardWatch()
    try:
        for n in turns(len(models), process, 0):
            runs.append({"entry": None, **reference.time()})
            runs.append({"entry": n, **models[n].time()})
            watch.look()
        evidence = watch.evidence()
    finally:
        watch.stop()
    return {"trtexec": runs, "evidence": evidence}


def end_with_connection(stream: BinaryIO) -> None:
    """End this process when nobody listens any more."""

    def wait() -> None:
        # of the system itself: a lock of Python's buffer would hang every program that is started meanwhile
        while os.read(stream.fileno(), BLOCK_BYTES):
            pass
        os._exit(LOST)

    threading.Thread(target=wait, daemon=True).start()


VERBS = {"look": look, "receive": receive, "predict": predict, "race": race}


def answer_to(request: Request, stream: BinaryIO) -> Answer:
    """Do what is wanted; what stops it is an answer, too."""
    verb = VERBS[request["verb"]]
    try:
        if request["verb"] in ("look", "receive"):
            return verb(request, stream)
        end_with_connection(stream)
        with held(folder_of(request)):
            return verb(request, stream)
    except RefusalError as refusal:
        return {"refused": refusal.told}
    except MemoryError:
        fix = "end other programs there, or pack fewer models"
        return {"refused": RefusalError("memory", "none left", fix).told}
    except OSError as error:
        told = f"{error.strerror}: {error.filename}"
        return {"refused": RefusalError("system", told, "mend that there, then run again").told}


def main() -> None:
    """Read what is wanted from standard input and print the answer."""
    stream = sys.stdin.buffer
    result = answer_to(json.loads(stream.readline()), stream)
    sys.stdout.write(f"\n{MARK}{json.dumps(result)}\n")
    sys.stdout.flush()
    os._exit(0)  # threads of engines may hang at the end


if __name__ == "__main__":
    main()
