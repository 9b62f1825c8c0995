"""Runs a long study from a worktree pinned to a commit, cell by cell, and keeps the records of what is finished.

A study of days outlasts the work on the code. It is therefore trained from a worktree of its own below `results/`, at
the commit that stands in the folder of its records: later edits change neither code nor hashes. Cells go by seed and
then in the order in which the study names its methods, so put the cheapest first. A run that is stopped, by `--until`
or by a kill, leaves its checkpoints there and goes on from them. Where they are gone, as on another machine, it starts
from the records: a cell that is kept is not made again.

    make reference STUDY=config/my-study.yaml UNTIL=21:30 MIRRORS=neu-det=path/to/neu-det.zip

`--commit` commits the records of each finished cell, and nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from defectbench.base.planning import plan_study
from defectbench.base.studies import load_study

PINNED = "pinned.txt"
GRACE_S = 60  # a training writes its checkpoint every half minute


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


def in_order(folder, config):
    """Cells of a study, by folder: controls, then seed by seed the methods as the study names them."""
    study = load_study(folder / config)
    named = [method for block in study.blocks for method in block.methods if method != "all"]

    def rank(cell):
        place = named.index(cell.method) if cell.method in named else len(named)
        return not cell.is_control, cell.seed, place, cell.folder

    plan = plan_study(study, config, folder / "models", folder / "datasets")
    return [cell.folder for cell in sorted(plan.cells.values(), key=rank)]


def seconds_until(clock, now=None):
    """Seconds to the next time that the clock shows HH:MM; endless without one."""
    if clock is None:
        return float("inf")
    now = now or datetime.datetime.now()
    hours, minutes = map(int, clock.split(":"))
    end = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return ((end - now).total_seconds() - 1) % 86400 + 1


def run_until(command, folder, deadline):
    """Run a command in a folder; whether it ended by itself and well. The deadline ends it and its children."""
    paths = [str(folder.resolve() / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        left = None if deadline == float("inf") else max(deadline - time.monotonic(), 0)
        return process.wait(left) == 0
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return False


def keep(worktree, study, cell, records, commits):
    """Copy the records of a finished cell; commit them if asked."""
    verb = ["defectbench", "keep-reference", "--out", str(records.resolve())]
    runs = f"results/{study}/runs/{cell}"
    if not run_until([*verb, runs], worktree, float("inf")):
        raise SystemExit(
            f"the records of {worktree / runs} could not be kept; the line above says why"
        )
    if commits:
        git("add", "--", str(records))
        git("commit", "--quiet", "-m", f"Records of {study}: {cell}", "--only", "--", str(records))


def main(arguments=None):
    """Make what the records lack, until the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", help="the study, as in the pinned commit")
    parser.add_argument("--until", metavar="HH:MM", help="stop at this time of the clock")
    parser.add_argument("--cores", type=int, default=1, help="cores for Snakemake; default 1")
    text = "NAME=PATH: take a dataset from an archive or folder"
    parser.add_argument("--mirror", action="append", default=[], help=text)
    parser.add_argument("--commit", action="store_true", help="commit the records of each cell")
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + seconds_until(args.until)
    name = load_study(args.config).study
    records = Path("results/reference") / name
    worktree = pinned_worktree(records, name)
    mirrors = {
        key: str(Path(path).expanduser().resolve())
        for key, _, path in (mirror.partition("=") for mirror in args.mirror)
    }
    snakemake = ["snakemake", "--cores", str(args.cores), "--configfile", args.config]
    more = [f"--config=mirrors={json.dumps(mirrors)}"] if mirrors else []
    for cell in in_order(worktree, args.config):
        if (records / cell / "accuracy.json").is_file():
            continue
        run_until([*snakemake, "--unlock", *more], worktree, float("inf"))
        target = f"results/{name}/runs/{cell}/accuracy.json"
        if not run_until([*snakemake, *more, "--", target], worktree, deadline):
            if time.monotonic() >= deadline:
                print(f"time is over; {cell} goes on from its checkpoint next time")
                return
            raise SystemExit(f"{cell} failed; its log lies below {worktree / 'results'}")
        keep(worktree, name, cell, records, args.commit)
        print(f"kept {records / cell}", flush=True)


if __name__ == "__main__":
    main()
