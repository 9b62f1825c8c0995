"""Runs a long study from a worktree pinned to a commit, cell by cell, and keeps the records of what is finished.

A study of days outlasts the work on the code. It is therefore trained from a worktree of its own below `results/`, at
the commit that stands in the folder of its records: later edits change neither code nor hashes. Cells go by seed and
then in the order of `--first`, and in that in which the study names its methods: the cheapest first, as a rule. A run
that is stopped, by `--until` or by a kill, leaves its checkpoints there and goes on from them. Where they are gone, as
on another machine, it starts from the records: a cell that is kept is not made again.

    make reference STUDY=config/my-study.yaml UNTIL=21:30 MIRRORS=neu-det=path/to/neu-det.zip

With several cores the cells of a seed are made as cores get free, those of `--first` before others. `--commit` commits
the records of each finished cell, and nothing else, to the branch that is checked out. The packages of the environment
are not pinned: `train.json` names their versions.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from defectbench.base.compressions import base_method
from defectbench.base.files import exclusive_lock
from defectbench.base.planning import plan_study
from defectbench.base.records import ABSENT
from defectbench.base.studies import load_study

PINNED = "pinned.txt"
GRACE_S = (
    60  # between being asked to end and being killed; work since the last checkpoint is done again
)
POLL_S = 60  # between looks for cells that are finished while others are made
SETTLED_S = 120  # after its score has been written, a cell's other records are there, too


def git(*arguments, cwd=None):
    """What a git command prints."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def pinned_worktree(records, name):
    """The study's worktree, made where it lacks, at the commit that the records name, or else at today's."""
    pin, folder = records / PINNED, Path("results/pinned") / name
    if not pin.is_file():
        pin.parent.mkdir(parents=True, exist_ok=True)
        pin.write_text(git("rev-parse", "HEAD") + "\n")
    commit = pin.read_text().strip()
    if not folder.is_dir():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(folder), commit)
    lies_at = git("rev-parse", "HEAD", cwd=folder)
    if lies_at != commit:
        raise SystemExit(f"{folder} lies at {lies_at}, {pin} says {commit}: move either away")
    if git("status", "--porcelain", "--untracked-files=no", cwd=folder):
        raise SystemExit(f"{folder} was edited: `git -C {folder} restore .`")
    return folder


def committed(config, records):
    """The study's file below the checkout, as the commit has it that the study is, or will be, pinned to."""
    pin, path = records / PINNED, Path(os.path.relpath(config))
    commit = pin.read_text().strip() if pin.is_file() else "HEAD"
    if path.parts[0] == os.pardir:
        raise SystemExit(f"{config} lies outside of {Path.cwd()}: name a study of the checkout")
    known = ["git", "cat-file", "-e", f"{commit}:{path.as_posix()}"]
    if subprocess.run(known, capture_output=True, check=False).returncode:
        fix = f"remove {pin} and the study's worktree" if pin.is_file() else "commit it first"
        raise SystemExit(f"{path} is not in the commit that the study is pinned to: {fix}")
    if not pin.is_file() and git("status", "--porcelain", "--", str(path)):
        raise SystemExit(f"{path} was edited, and a study is pinned to a commit: commit it first")
    return path.as_posix()


def in_order(folder, config, first=()):
    """Cells of a study, by folder: controls, then seed by seed the first methods, and the others as it names them."""
    study = load_study(folder / config)
    lists = [block.methods for block in study.blocks if block.methods != "all"]
    named = [*first, *itertools.chain.from_iterable(lists)]

    def rank(cell):
        method = base_method(cell.method)
        place = named.index(method) if method in named else len(named)
        return not cell.is_control, cell.seed, place, cell.folder

    plan = plan_study(study, config, folder / "models", folder / "datasets")
    lost = set(first) - {base_method(cell.method) for cell in plan.cells.values()}
    if lost:
        raise SystemExit(f"--first: {', '.join(sorted(lost))}: {config} has no such method")
    return [cell.folder for cell in sorted(plan.cells.values(), key=rank)]


def clock(text):
    """Hour and minute of a time of the clock, for an option."""
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text}: write HH:MM")
    if int(hours) > 23 or int(minutes) > 59:
        raise argparse.ArgumentTypeError(f"{text}: a day ends at 23:59")
    return int(hours), int(minutes)


def mirror(text):
    """Name and absolute path of a dataset's archive or folder, for an option."""
    name, equals, path = text.partition("=")
    place = Path(path).expanduser().resolve()
    if not (name and equals and path and place.exists()):
        raise argparse.ArgumentTypeError(f"{text}: write NAME=PATH of a file or folder")
    return name, str(place)


def seconds_until(time_of_day, now=None):
    """Seconds to the next time that the clock shows an hour and minute; endless without one."""
    if time_of_day is None:
        return float("inf")
    now = now or datetime.datetime.now()
    hours, minutes = time_of_day
    end = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return ((end - now).total_seconds() - 1) % 86400 + 1


def end_by_signal(number, frame):
    """What asks this process to end reaches what it has started, as Ctrl-C does."""
    raise KeyboardInterrupt


def run_until(command, folder, deadline, meanwhile=lambda: None):
    """Run a command in a folder; whether it ended by itself and well. The deadline ends it and its children.

    Args:
        command: The command line.
        folder: Where it runs.
        deadline: In seconds of the monotonic clock.
        meanwhile: Called once a minute while it runs.
    """
    paths = [str(folder.resolve() / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        while (left := deadline - time.monotonic()) > 0:
            try:
                return process.wait(min(left, POLL_S)) == 0
            except subprocess.TimeoutExpired:
                meanwhile()
        return False
    finally:
        if process.poll() is None:
            end_group(process)


def end_group(process):
    """End a process and all that it started; what does not listen is killed."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def commit(records, study):
    """Commit what is new below the records, and nothing else, to the branch that is checked out.

    Other work may hold the repository for a moment, or be in the middle of a merge: then it is said, and tried again
    with the next cell.
    """
    try:
        git("add", "--", str(records))
        if git("status", "--porcelain", "--", str(records)):
            git("commit", "--quiet", "-m", f"Records of {study}", "--only", "--", str(records))
    except SystemExit as error:
        print(f"not committed yet: {error}", file=sys.stderr)


def keep(worktree, study, cell, records):
    """Copy the records of a finished cell."""
    verb = ["defectbench", "keep-reference", "--out", str(records.resolve())]
    runs = f"results/{study}/runs/{cell}"
    if not run_until([*verb, runs], worktree, float("inf")):
        raise SystemExit(f"{worktree / runs} could not be kept; the line above says why")


def try_to(keep_cells):
    """Keep what is finished beside cells that are being made; what cannot be kept ends none of these."""
    try:
        keep_cells()
    except SystemExit as error:
        print(f"not kept yet: {error}", file=sys.stderr)


def make_cells(args, worktree, records, deadline):
    """Make what the records lack, cell by cell."""
    study = load_study(worktree / args.config).study
    snakemake = ["snakemake", "--cores", str(args.cores), "--configfile", args.config]
    if args.mirror:
        snakemake.append(f"--config=mirrors={json.dumps(dict(args.mirror))}")
    cells = in_order(worktree, args.config, args.first)
    lacking = [cell for cell in cells if not (records / cell / "accuracy.json").is_file()]
    lacking = [cell for cell in lacking if not is_absent(worktree / scores(study, cell))]
    for together in handed_over(lacking, args.cores):
        targets = {cell: scores(study, cell) for cell in together}
        first = [targets[c] for c in together if base_method(c.split("/")[-2]) in args.first]
        wanted = ["--prioritize", *first] if first and len(together) > 1 else []

        def keep_settled(least_s=SETTLED_S, targets=targets):
            for cell, target in targets.items():
                path = worktree / target
                is_kept = (records / cell / "accuracy.json").is_file()
                if not is_kept and path.is_file() and time.time() - path.stat().st_mtime > least_s:
                    keep(worktree, study, cell, records)
                    print(f"kept {records / cell}", flush=True)
                    if args.commit:
                        commit(records, study)

        if not run_until([*snakemake, "--unlock"], worktree, float("inf")):
            raise SystemExit(f"{worktree} could not be unlocked; the lines above say why")
        command = [*snakemake, "--keep-going", *wanted, "--", *targets.values()]
        done = run_until(command, worktree, deadline, lambda keep=keep_settled: try_to(keep))
        keep_settled(least_s=-1)
        lacks = [cell for cell, target in targets.items() if not (worktree / target).is_file()]
        unfinished = " and ".join(lacks) or "what comes next"
        if not done and time.monotonic() >= deadline:
            print(f"time is over; {unfinished} goes on from its checkpoint next time")
            return
        if not done:
            raise SystemExit(f"{unfinished} failed; its log lies below {worktree / 'results'}")


def handed_over(cells, cores):
    """Cells that Snakemake gets together: one by one, or with several cores those of a seed, so that no core waits.

    Args:
        cells: Folders of cells, in order.
        cores: How many cells are made at once.
    """
    if cores == 1:
        return [[cell] for cell in cells]
    return [list(some) for _, some in itertools.groupby(cells, lambda cell: cell.split("/")[-1])]


def is_absent(path):
    """Whether a cell was looked into and has no score, as a ceiling of a set that does not allow of one."""
    return path.is_file() and ABSENT in json.loads(path.read_text()).get("figures", {})


def scores(study, cell):
    """The file whose making makes a cell."""
    return f"results/{study}/runs/{cell}/accuracy.json"


def main(arguments=None):
    """Go on with a study until it is made or the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", help="the study, as in the pinned commit")
    text = "stop at this time of the clock, HH:MM"
    parser.add_argument("--until", metavar="HH:MM", type=clock, help=text)
    text = "cores for Snakemake, and so many cells at once; default 1"
    parser.add_argument("--cores", type=int, default=1, help=text)
    text = "methods to begin with, the cheapest first; default: as the study names them"
    parser.add_argument("--first", nargs="+", default=[], metavar="METHOD", help=text)
    text = "NAME=PATH: take a dataset from an archive or folder"
    parser.add_argument("--mirror", action="append", default=[], type=mirror, help=text)
    text = "commit the records of each cell to the branch that is checked out"
    parser.add_argument("--commit", action="store_true", help=text)
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + seconds_until(args.until)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    name = load_study(args.config).study
    records = Path("results/reference") / name
    with exclusive_lock(Path("results/pinned") / f".{name}.lock"):
        args.config = committed(args.config, records)
        worktree = pinned_worktree(records, name)
        if args.commit:
            commit(records, name)
        make_cells(args, worktree, records, deadline)


if __name__ == "__main__":
    main()
