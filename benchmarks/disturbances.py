"""What can happen to a run of a workflow at any moment, done to a run for real, and taken back.

Disks are those of a mount namespace of this process's own (`inside_own_mounts`), so that nothing of them is left.
The clock of the machine stays as it is. That of a run is set back by libfaketime, and all files that it has made get
later times by as much: to the run, and to every call behind it, that is what a clock set back looks like.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOM_MIB = 512
BACK_S = 3 * 3600
OWN_MOUNTS = "DEFECTBENCH_OWN_MOUNTS"  # set where this process has been started inside them
WAYS = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
PATIENCE_S = 20
MADE = ("results", ".snakemake")  # by a run
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
FAKETIME = "faketime/libfaketime.so.1"
OWN_CLOCK = "FAKETIME_TIMESTAMP_FILE"  # names the file that says what a clock is off by


@dataclass(frozen=True)
class Stage:
    """Where a run is disturbed.

    Attributes:
        folder: Where the workflow is called.
        disk: The disk that this folder is on.
        group: Process group of the call.
        offset: File that says to a run under libfaketime what its clock is off by.
    """

    folder: Path
    disk: Path
    group: int
    offset: Path


def inside_own_mounts() -> bool:
    """Start this process anew where it may mount disks that nobody else sees.

    Returns:
        Whether it is there. False where this user may not have mounts of his own.
    """
    if OWN_MOUNTS in os.environ:
        return True
    for way in WAYS if shutil.which("unshare") else ():
        probe = [*way, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
        if not subprocess.run(probe, check=False, capture_output=True).returncode:
            os.environ[OWN_MOUNTS] = "1"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
    return False


def faketime() -> Path | None:
    """The library that gives a program a clock of its own; None where it is not installed."""
    patterns = (FAKETIME, f"*/{FAKETIME}")
    files = (file for home in LIBRARIES for p in patterns for file in Path(home).glob(p))
    return next(files, None)


def fake_clock(library: Path, offset: Path) -> dict[str, str]:
    """Environment of a process whose clock is off by what a file says."""
    set_offset(offset, 0)
    return {
        "LD_PRELOAD": str(library),
        OWN_CLOCK: str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_offset(offset: Path, seconds: int) -> None:
    """Say what the clock is off by, in seconds."""
    part = offset.with_suffix(".part")
    part.write_text(f"{seconds:+d}\n")
    part.replace(offset)


def mount_disk(folder: Path) -> None:
    """Put a small disk in the place of a folder."""
    _mount("-t", "tmpfs", "-o", f"size={ROOM_MIB}m", "tmpfs", str(folder))


def unmount(folder: Path) -> None:
    """Take a disk away."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def kill(stage: Stage) -> None:
    """End all processes of a run at once, as a loss of power would."""
    os.killpg(stage.group, signal.SIGKILL)
    until = time.monotonic() + PATIENCE_S
    while _alive(stage.group) and time.monotonic() < until:
        time.sleep(0.02)


def fill_disk(stage: Stage) -> None:
    """Make the disk as small as what is on it."""
    for _ in range(1000):  # what is written meanwhile makes it too small, which is refused
        state = os.statvfs(stage.disk)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        size = ["mount", "-o", f"remount,size={used}", str(stage.disk)]
        if not subprocess.run(size, check=False, capture_output=True).returncode:
            return
    raise RuntimeError(f"{stage.disk} cannot be made smaller")


def make_room(stage: Stage) -> None:
    """Give the disk its size back."""
    _mount("-o", f"remount,size={ROOM_MIB}m", str(stage.disk))


def write_protect(stage: Stage) -> None:
    """Let nothing new be written below `results`; a file that is open stays open."""
    results = str(stage.folder / "results")
    Path(results).mkdir(exist_ok=True)
    _mount("--bind", results, results)
    _mount("-o", "remount,bind,ro", results)


def allow_writing(stage: Stage) -> None:
    """Let `results` be written again."""
    unmount(stage.folder / "results")


def set_clock_back(stage: Stage) -> None:
    """Set the clock of a run back, while it goes on."""
    set_offset(stage.offset, -BACK_S)
    _make_later(stage.folder)


def kill_and_set_clock_back(stage: Stage) -> None:
    """End a run; the machine comes up again with a clock that is behind."""
    kill(stage)
    _make_later(stage.folder)


def nothing(stage: Stage) -> None:
    """What it takes where nothing is to be taken back."""


@dataclass(frozen=True)
class Disturbance:
    """A thing that can happen.

    Attributes:
        happens: Does it.
        ends: Takes it back, behind the run.
        needs_disk: Whether it takes a disk of its own.
        needs_clock: Whether it takes libfaketime.
    """

    happens: Callable[[Stage], None]
    ends: Callable[[Stage], None] = nothing
    needs_disk: bool = False
    needs_clock: bool = False


KINDS = {
    "killed": Disturbance(kill),
    "disk full": Disturbance(fill_disk, make_room, needs_disk=True),
    "results read-only": Disturbance(write_protect, allow_writing, needs_disk=True),
    "clock set back": Disturbance(set_clock_back, needs_clock=True),
    "killed, clock set back": Disturbance(kill_and_set_clock_back),
}


def _make_later(folder: Path) -> None:
    """Move the times of all that a run has made into the future, which is the present set back."""
    for path in (path for name in MADE for path in (folder / name).rglob("*")):
        try:
            state = path.lstat()
            later = [stamp + BACK_S * 10**9 for stamp in (state.st_atime_ns, state.st_mtime_ns)]
            os.utime(path, ns=(later[0], later[1]), follow_symlinks=False)
        except FileNotFoundError:
            continue  # a part of a file, which has its name by now


def _alive(group: int) -> bool:
    for process in psutil.process_iter(["status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                return True
        except ProcessLookupError:
            continue
    return False


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)
