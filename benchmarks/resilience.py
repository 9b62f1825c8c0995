"""A small study, cut at a random moment and finished by an ordinary call: does it end in the bits of one without a cut?

Each cut strikes a run of its own in one of five ways, by turns: all processes are killed; the disk is full; the results
are read-only; the clock is set back while the run goes on; the run is killed and the clock is behind afterwards. Then
disk, rights and power are as before (the clock stays back), the study is called as a user would call it, unlocked
first where Snakemake asks for it, and all that it made is held against the undisturbed run: data, weights, model file,
predictions, records and tables (`same_results.py`, which names what is masked).

    python benchmarks/resilience.py --times 100 --out resilience.json
    python benchmarks/resilience.py --only 17 --out one.json      the seventeenth of them again

A moment is a number of seconds behind the start of a job, drawn evenly over the time of the undisturbed run. A run that
is to be cut in a job starts from the undisturbed one as it was when that job began. Commands are forks of a process
that has its libraries imported (`warm_start.py`). A record that is there is gone on with.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from defectbench.base.errors import ConfigError
from defectbench.base.records import read_record, write_record
from defectbench.data.synthetic import synthesize
from disturbances import (
    KINDS,
    Stage,
    fake_clock,
    faketime,
    inside_own_mounts,
    mount_disk,
    set_offset,
    unmount,
)
from same_results import LEFT_OUT, MASKED, contents, differences, digest

ROOT = Path(__file__).parents[1]
LINKS = ("Snakefile", "workflow", "profiles", "config", "reports")
DATASET, METHOD = "little-steel", "my_net"
CARD = {
    "name": DATASET,
    "title": "little synthetic steel",
    "task": "detection",
    "surface": "procedural rolled steel",
    "classes": [
        "crazing",
        "inclusion",
        "patches",
        "pitted_surface",
        "rolled-in_scale",
        "scratches",
    ],
    "source": {"kind": "archive", "place_here": "it is drawn here"},
    "layout": {"images": ["IMAGES"], "labels": ["ANNOTATIONS"], "format": "voc"},
    "allow_empty": True,
    "licence": "Apache-2.0 (made by this project)",
    "allows": {"research": "allowed", "commercial": "allowed", "redistribution": "allowed"},
}
# a checkpoint is written with each validation: after each epoch
BUDGET = {
    "size": 64,
    "epochs": 6,
    "batch": 8,
    "threads": 1,
    "device": "cpu",
    "recipe": {"validate_every": 1},
}
STUDY = {
    "study": "little",
    "mirrors": {DATASET: "drawn"},
    "blocks": [
        {
            "datasets": [DATASET],
            "protocols": ["clean"],
            "methods": [METHOD],
            "controls": ["oracle", "class_prior"],
            "budget": BUDGET,
        }
    ],
    "latency": {"processes": 2, "rounds": 1, "block_calls": 1, "warmup": 1, "burst_calls": 0},
}
IMAGES, IMAGE_PX = 40, 128
CALL = ("snakemake", "all", "--cores", "1", "--configfile", "study.yaml")
LOGS = Path("results/little/logs")
CELL = Path(f"results/little/runs/{DATASET}/clean/{METHOD}/seed0")
BEFORE = "before the first job"
SLACK_S = 0.03  # a job's first file may be older than its log by as much
LOOK_S = 0.01
PATIENCE_S = 1800
TRIES = 5
SAID_LINES = 40


@dataclass(frozen=True)
class Moment:
    """When a run is cut: seconds behind the start of a job."""

    job: str
    after_s: float


@dataclass(frozen=True)
class Whole:
    """The undisturbed run.

    Attributes:
        folder: Where it lies.
        files: What it made, behind the mask.
        starts: Seconds from the call to the first file of each job, in their order.
        born: Times of these files, ns.
        wall_s: What it took in all.
    """

    folder: Path
    files: dict[str, bytes]
    starts: dict[str, float]
    born: dict[str, int]
    wall_s: float

    def draw(self, rng: random.Random) -> Moment:
        """A moment, evenly over the run."""
        at = rng.uniform(0, self.wall_s)
        job, start = max(
            ((job, start) for job, start in self.starts.items() if start <= at),
            key=lambda pair: pair[1],
        )
        return Moment(job, round(at - start, 3))


class Commands:
    """Commands that start at once, with an ordinary clock or with one that can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.offset = folder / "offset"
        self._servers: dict[Path, subprocess.Popen[bytes]] = {}

    def environment(self, library: Path | None = None) -> dict[str, str]:
        """What a call needs; under a library that gives it a clock of its own, where one is named."""
        home = self.folder / ("own-clock" if library else "ordinary")
        clock = fake_clock(library, self.offset) if library else {}
        variables = {**os.environ, **clock, "OMP_NUM_THREADS": "1"}
        if home not in self._servers:
            self._start(home, variables)
        path = [str(home), str(Path(sys.executable).parent), os.environ["PATH"]]
        return variables | {"PATH": os.pathsep.join(path)}

    def _start(self, home: Path, variables: dict[str, str]) -> None:
        home.mkdir(parents=True)
        script = Path(__file__).with_name("warm_start.py")
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, str(script), str(home)], env=variables, stdout=log, stderr=log
            )
        self._servers[home] = server
        until = time.monotonic() + PATIENCE_S
        while not (home / "link").exists():
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the commands do not start:\n{(home / 'log').read_text()}")
            time.sleep(0.05)

    def close(self) -> None:
        """End what they are forks of."""
        for server in self._servers.values():
            server.kill()
            server.wait()


def lay_out(folder: Path) -> None:
    """A working copy with the little study, its drawn images and a method of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    for shelf in ("datasets", "models"):
        (folder / shelf).mkdir()
    for path in (ROOT / "models").iterdir():
        (folder / "models" / path.name).symlink_to(path)
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples" / METHOD, folder / "models" / METHOD, ignore=skipped)
    (folder / "datasets" / f"{DATASET}.yaml").write_text(yaml.safe_dump(CARD))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    synthesize(folder / "drawn", 0, IMAGES, IMAGE_PX)


def logs_in(folder: Path) -> dict[str, int]:
    """The jobs that have begun, by the log that each opens, and when it was opened, ns."""
    home = folder / LOGS
    times = {}
    for path in home.rglob("*.log"):
        times[path.relative_to(home).with_suffix("").as_posix()] = path.stat().st_mtime_ns
    return times


def start(folder: Path, environment: dict[str, str], said: Path) -> subprocess.Popen[bytes]:
    """Call the study, in a process group of its own."""
    with said.open("wb") as file:
        return subprocess.Popen(
            CALL, cwd=folder, env=environment, stdout=file, stderr=file, process_group=0
        )


def undisturbed(folder: Path, environment: dict[str, str]) -> Whole:
    """Run the study to its end and note when its jobs begin."""
    lay_out(folder)
    begun = time.monotonic()
    said = folder / "said.txt"
    process = start(folder, environment, said)
    starts, born = {BEFORE: 0.0}, {BEFORE: 0}
    with no_orphans(process):
        while process.poll() is None:
            for job, opened in logs_in(folder).items():
                starts.setdefault(job, time.monotonic() - begun)
                born.setdefault(job, opened)
            time.sleep(LOOK_S)
    if process.returncode:
        raise SystemExit(f"the undisturbed run fails:\n{said.read_text()}")
    wall_s = time.monotonic() - begun
    return Whole(folder, contents(folder / "results"), starts, born, wall_s)


def as_it_was(whole: Whole, job: str, folder: Path) -> None:
    """Copy the undisturbed run as it was when a job began."""
    shutil.copytree(whole.folder, folder, symlinks=True, dirs_exist_ok=True)
    jobs = list(whole.starts)
    if jobs.index(job) <= 1:
        for name in ("results", ".snakemake"):
            shutil.rmtree(folder / name, ignore_errors=True)
        return
    began = whole.born[job] - int(SLACK_S * 1e9)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime_ns >= began:
            path.unlink()


def wait_for(moment: Moment, folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a run has come to a moment; False where it ended before."""
    until = time.monotonic() + PATIENCE_S
    opened = folder / LOGS / f"{moment.job}.log"
    while moment.job != BEFORE and not opened.exists():
        if process.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(LOOK_S)
    try:
        process.wait(moment.after_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def is_half_trained(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from, and no weights yet."""
    cell = folder / CELL
    return (cell / "checkpoint").is_dir() and not (cell / "weights.safetensors").exists()


def call(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Call a command; returns its exit status and what it said."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    with no_orphans(process):
        said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


@contextmanager
def no_orphans(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End a call with all that it started where this script is stopped meanwhile."""
    try:
        yield
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def finish(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Finish a study as a user would: call it, and unlock it first where Snakemake asks for that."""
    status, said = call(CALL, folder, environment)
    unlocked = status != 0 and "--unlock" in said
    if unlocked:
        call((*CALL, "--unlock"), folder, environment)
        status, said = call(CALL, folder, environment)
    ended = {"unlocked": unlocked, "status": status}
    return ended if status == 0 else ended | {"said": said.splitlines()[-SAID_LINES:]}


def cut(
    whole: Whole, kind: str, moment: Moment, commands: Commands, disk: Path, library: Path | None
) -> dict[str, Any] | None:
    """One run, cut and finished.

    Returns:
        What became of it; None where it had ended before the moment.
    """
    disturbance = KINDS[kind]
    folder = disk / "run"
    as_it_was(whole, moment.job, folder)
    environment = commands.environment(library if disturbance.needs_clock else None)
    if disturbance.needs_clock:
        set_offset(commands.offset, 0)
    process = start(folder, environment, disk / "said.txt")
    stage = Stage(folder, disk, process.pid, commands.offset)
    with no_orphans(process):
        if not wait_for(moment, folder, process):
            process.wait()
            return None
        begun, goes_on = len(logs_in(folder)), is_half_trained(folder)
        disturbance.happens(stage)
        status = process.wait(PATIENCE_S)
    disturbance.ends(stage)
    ended = finish(folder, commands.environment())
    differing = differences(whole.files, contents(folder / "results"))
    return {
        "kind": kind,
        "job": moment.job,
        "after_s": moment.after_s,
        "jobs_begun": begun,
        "half_trained": goes_on,
        "run_ended_with": status,
        **ended,
        "differing": differing,
        "equal": ended["status"] == 0 and not differing,
    }


@contextmanager
def own_disk(folder: Path, is_mounted: bool) -> Iterator[Path]:
    """A folder that is a disk of its own where this user may have one, and empty afterwards."""
    folder.mkdir()
    if is_mounted:
        mount_disk(folder)
    try:
        yield folder
    finally:
        if is_mounted:
            unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def numbered_cut(
    number: int, kinds: list[str], whole: Whole, commands: Commands, home: Path, options: Any
) -> dict[str, Any]:
    """The cut of a number: its moment follows from it and the seed. One that comes too late is drawn again."""
    rng = random.Random(f"{options.seed}/{number}")
    kind = kinds[(number - 1) % len(kinds)]
    for _ in range(TRIES):
        moment = whole.draw(rng)
        if options.job is not None:
            moment = Moment(options.job, options.after)
        with own_disk(home / "disk", options.has_mounts) as disk:
            ended = cut(whole, kind, moment, commands, disk, options.library)
        if ended is not None:
            return {"number": number, **ended}
    raise SystemExit(
        f"cut {number}: {TRIES} runs ended before their moment; is the machine loaded?"
    )


def figures_of(cuts: list[dict[str, Any]], whole: Whole) -> dict[str, Any]:
    """What all cuts say together."""

    def counted(some: list[dict[str, Any]]) -> dict[str, int]:
        return {
            "n": len(some),
            "equal": sum(item["equal"] for item in some),
            "runs_that_failed": sum(item["run_ended_with"] != 0 for item in some),
        }

    def by(field: str) -> dict[str, dict[str, int]]:
        names = dict.fromkeys(item[field] for item in cuts)
        return {name: counted([i for i in cuts if i[field] == name]) for name in names}

    jobs = {job: n for n, job in enumerate(whole.starts)}
    return {
        "n_cuts": len(cuts),
        "n_equal": sum(item["equal"] for item in cuts),
        "n_half_trained": sum(item["half_trained"] for item in cuts),
        "n_unlocked": sum(item["unlocked"] for item in cuts),
        "files_compared": len(whole.files),
        "compared_sha256": digest(whole.files),
        "by_kind": by("kind"),
        "by_job": dict(sorted(by("job").items(), key=lambda pair: jobs.get(pair[0], 0))),
    }


def kept_cuts(out: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Cuts of a record that is there and was made alike."""
    try:
        record = read_record(out, "resilience")
    except ConfigError:
        return []
    return list(record["cuts"]) if record["settings"] == settings else []


def usable_kinds(asked: list[str], has_mounts: bool, library: Path | None) -> list[str]:
    """The kinds that can happen here; says why others cannot."""
    for kind in asked:
        if KINDS[kind].needs_disk and not has_mounts:
            print(f"left out: {kind}: this user may have no disk of his own", flush=True)
        if KINDS[kind].needs_clock and library is None:
            print(f"left out: {kind}: libfaketime is not installed", flush=True)
    return [
        kind
        for kind in asked
        if (has_mounts or not KINDS[kind].needs_disk)
        and (library is not None or not KINDS[kind].needs_clock)
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=100, help="cuts in all")
    parser.add_argument("--only", type=int, help="the number of the one cut to make again")
    parser.add_argument("--job", help="with --only: cut there instead, see the record")
    parser.add_argument(
        "--after", type=float, default=0.0, help="with --job: seconds behind its start"
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="all by default, by turns")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--until", help="HH:MM; no cut begins behind it")
    parser.add_argument("--out", type=Path, required=True, help="the record to make")
    return parser.parse_args()


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.has_mounts, options.library = inside_own_mounts(), faketime()
    kinds = usable_kinds(options.kind or list(KINDS), options.has_mounts, options.library)
    settings = {
        "study": STUDY,
        "images": IMAGES,
        "image_px": IMAGE_PX,
        "kinds": kinds,
        "seed": options.seed,
        "masked": list(MASKED),
        "left_out": list(LEFT_OUT),
    }
    cuts = [] if options.only else kept_cuts(options.out, settings)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="resilience-") as folder:
        home = Path(folder)
        commands = Commands(home / "commands")
        try:
            whole = undisturbed(home / "whole", commands.environment())
            print(f"undisturbed: {whole.wall_s:.1f} s, {len(whole.files)} files", flush=True)
            made = {item["number"] for item in cuts}
            numbers = [options.only] if options.only else range(1, options.times + 1)
            for number in (n for n in numbers if n not in made):
                if options.until and time.strftime("%H:%M") >= options.until:
                    break
                cuts.append(numbered_cut(number, kinds, whole, commands, home, options))
                print(cuts[-1], flush=True)
                extra = {"settings": settings, "cuts": cuts}
                seconds = time.monotonic() - begun
                write_record(options.out, "resilience", figures_of(cuts, whole), {}, seconds, extra)
        finally:
            commands.close()
    return 0 if cuts and all(item["equal"] for item in cuts) else 1


if __name__ == "__main__":
    sys.exit(main())
