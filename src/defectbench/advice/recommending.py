"""The recommendation: plan within a time, run the workflow, read its report, write the folder to deploy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base.cards import DatasetCard, load_dataset_card
from ..base.catalogue import load_catalogue
from ..base.engines import REFERENCE, Form
from ..base.errors import ConfigError, ProgramError
from ..base.files import atomic_write_text, read_json
from ..base.places import RESULTS, parts_folder
from ..base.records import usable_cores
from ..base.studies import Study, expand_cells, load_study
from ..base.tasks import task_named
from ..data.adoption.adopting import PROTOCOL, light_methods
from ..data.adoption.writing import MARK, SHORT, short_recipes, write_study
from ..data.pack import pack
from ..report.render import make_report
from ..report.topics.detection import compared
from ..report.writers.stored import stored_tables
from ..report.writers.terminal import print_tables
from ..weights.available import starts_at_hand, told_starts
from .budget import TimePlan, Timing, plan_time
from .deploying import Shelves, deploy
from .on_validation import choose_on_validation, validated
from .threshold import check_overkill
from .timing import time_method
from .verdict import choice_words, defect_sides, paragraph, time_of

LATENCY = {"processes": 3, "rounds": 8, "block_calls": 4, "warmup": 3, "burst_calls": 0}
TIMING_SHARE = 0.1  # of the time, that is spent on timing steps
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Attributes:
        minutes: Time for all of it.
        overkill: Share of good parts that may be rejected.
        size: Side of the input, pixels; that of the set's study by default.
        cores: Trainings side by side; all usable cores by default.
        weights: Folder that holds files of published weights, from which methods then start; that of the set's study
            by default. Weights that were fetched before need none.
        from_scratch: Whether no method starts from published weights, also where some are at hand.
    """

    minutes: float = 60.0
    overkill: float = 0.05
    size: int | None = None
    cores: int | None = None
    weights: Path | None = None
    from_scratch: bool = False


def recommend(name: str, tell: Tell, asked: Asked | None = None, root: str | Path = ".") -> Path:
    """Train the light methods on an adopted set within a time, and say which to take.

    Args:
        name: Name of the set, as ``adopt`` wrote its card and study.
        tell: Is told each line that a user should see.
        asked: The time, and what else is asked for.
        root: The checkout, in which ``datasets/``, ``config/``, ``models/`` and ``results/`` lie.

    Returns:
        The folder to deploy.

    Raises:
        ConfigError: There is no such set, it is none for detection, or what is asked for is out of range.
        ProgramError: The workflow stops; names its log.
        MeasurementError: The script to deploy does not find what was scored.
    """
    begun = time.monotonic()
    asked, home = asked or Asked(), Path(root)
    card, base = _adopted(name, home)
    _check_asked(asked)
    cores = asked.cores or usable_cores() or 1
    weights, starts = starts_asked(asked, base, home, tell)
    budget = base.blocks[0].budget
    size, batch = asked.size or budget.size or 320, budget.batch or 16
    limit_s = TIMING_SHARE * 60 * asked.minutes
    timings, per_epoch = _time_all(card, home, size, batch, base.split_seed, limit_s, tell)
    left = 60 * asked.minutes - (time.monotonic() - begun)
    plan = plan_time(timings, per_epoch, left, cores)
    for line in told_plan(plan, asked.minutes, per_epoch):
        tell(line)
    if line := told_starts(plan.methods, starts):
        tell(line)
    study_name = f"my-{name}-recommend"
    study = home / "config" / f"{study_name}.yaml"
    warmup = {"schedule.warmup_steps": max(1, plan.epochs * per_epoch // 10)}
    recipe, recipes = short_recipes(plan.methods, home / "models", **warmup)
    fields = {"size": size, "epochs": plan.epochs, "batch": batch, "threads": 1, "recipe": recipe}
    mirror = Path(base.mirrors[name])
    write_study(
        name,
        study_name,
        mirror,
        plan.methods,
        study,
        seeds=plan.seeds,
        latency=LATENCY,
        split_seed=base.split_seed,
        recipes=recipes,
        starts=starts,
        weights_mirror=weights,
        **fields,
    )
    _run_workflow(study, home, cores, home / RESULTS / study_name / "recommend.log", tell)
    return _answer(card, home, study_name, size, asked, begun, tell)


def starts_asked(
    asked: Asked, base: Study, home: Path, tell: Tell
) -> tuple[Path | None, dict[str, str]]:
    """The folder of published weights, and what each method starts from; neither where scratch is asked for."""
    if asked.from_scratch:
        return None, {}
    weights = asked.weights or mirror_at_hand(base, tell)
    return weights, starts_at_hand(home, weights)


def mirror_at_hand(base: Study, tell: Tell) -> Path | None:
    """The folder of published weights that a study names; none where it is gone, as a medium that was taken out."""
    if base.weights_mirror is None:
        return None
    folder = Path(base.weights_mirror).expanduser()
    if not folder.is_dir():
        tell(
            f"{folder} (weights_mirror of study {base.study}) is not here: weights that were fetched before count"
        )
        return None
    return folder


def _adopted(name: str, home: Path) -> tuple[DatasetCard, Study]:
    card, study = home / "datasets" / f"{name}.yaml", home / "config" / f"my-{name}.yaml"
    for path in (card, study):
        if not path.is_file():
            adopted = sorted(
                file.stem.removeprefix("my-")
                for file in (home / "config").glob("my-*.yaml")
                if file.read_text(encoding="utf-8").startswith(MARK)
                and not file.stem.endswith("-recommend")
            )
            there = f"; adopted are {', '.join(adopted)}" if adopted else ""
            fix = f"run `defectbench adopt` on the folder first{there}"
            raise ConfigError(path, "file", "nothing", fix)
    loaded = load_dataset_card(card)
    if not task_named(loaded.task).finds_boxes:
        fix = f"only detectors are recommended; run the study: snakemake all --cores 2 --configfile {study}"
        raise ConfigError(card, "task", loaded.task, fix)
    return loaded, load_study(study)


def _check_asked(asked: Asked) -> None:
    if not 0 < asked.minutes <= 60 * 24 * 30:
        raise ConfigError("--minutes", "minutes", asked.minutes, "give a time above 0, such as 60")
    check_overkill(asked.overkill)
    if asked.from_scratch and asked.weights is not None:
        fix = "no method starts from them with --from-scratch: leave one of the two out"
        raise ConfigError("--weights", "folder", str(asked.weights), fix)
    if asked.size is not None and (asked.size % 32 or not 32 <= asked.size <= 4096):
        raise ConfigError("--size", "side", asked.size, "give a multiple of 32 pixels, up to 4096")


def _time_all(
    card: DatasetCard,
    home: Path,
    size: int,
    batch: int,
    split_seed: int,
    limit_s: float,
    tell: Tell,
) -> tuple[list[Timing], int]:
    """Seconds of the light methods, those of fewest multiply-adds first, and the steps of an epoch.

    At least one is timed; behind a share of the time no further one is.
    """
    data = home / RESULTS / "data" / card.name
    timings, per_epoch, begun = [], 1, time.monotonic()
    methods = _by_cost(home, card.task)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "train.safetensors"
        pack(data, PROTOCOL, "train", size, part, split_seed)
        for method in methods:
            if timings and time.monotonic() - begun > limit_s:
                break
            timing, per_epoch = time_method(method, home / "models", part, batch, SHORT)
            timings.append(timing)
    told = ", ".join(f"{t.method} {t.step_s:.2f}" for t in sorted(timings, key=lambda t: t.step_s))
    tell(f"seconds a step of {batch} pictures at {size} pixels: {told}")
    if len(timings) < len(methods):
        rest = ", ".join(methods[len(timings) :])
        tell(f"left out, since a short time is not spent on timing them: {rest}")
    return timings, per_epoch


def _by_cost(home: Path, task: str) -> list[str]:
    """The light methods, those of fewest multiply-adds a pixel first, by their cards."""
    cards = load_catalogue(home / "models").cards

    def per_pixel(name: str) -> float:
        return min(
            (macs / side**2 for side, macs in cards[name].golden.macs_m.items()), default=1.0
        )

    return sorted(light_methods(home, task), key=per_pixel)


def told_plan(plan: TimePlan, minutes: float, steps_per_epoch: int) -> list[str]:
    """What fits into the time and what does not, in lines."""
    steps = plan.epochs * steps_per_epoch
    lines = [
        f"in {minutes:g} minutes: {', '.join(plan.methods)}; {plan.epochs} epochs ({steps} steps), "
        f"{len(plan.seeds)} {'seed' if len(plan.seeds) == 1 else 'seeds'}, about {plan.expected_s / 60:.1f} minutes"
    ]
    if plan.is_short:
        lines.append(
            "this is too short for any method to learn: take the answer as a trial of the way, and name a longer time"
        )
    for method, seconds in plan.left_out.items():
        lines.append(f"left out: {method}, which {seconds / 60:.0f} minutes would take in")
    return lines


def _run_workflow(study: Path, home: Path, cores: int, log: Path, tell: Tell) -> None:
    """Run the study; what it prints goes to a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "all", "--cores", str(cores)]
    command += ["--configfile", str(study.relative_to(home)), "--rerun-incomplete"]
    tell(f"training: snakemake all --cores {cores} --configfile {study}, its output in {log}")
    with log.open("w", encoding="utf-8") as handle:
        run = subprocess.run(
            command, cwd=home, stdout=handle, stderr=subprocess.STDOUT, check=False
        )
    if run.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.strip() for line in lines if "Error: " in line]
        fix = f"{(named or lines or ['no word'])[0]}; the whole is in {log}"
        raise ProgramError(study, "exit status of snakemake", run.returncode, fix)


def _answer(
    card: DatasetCard, home: Path, study: str, size: int, asked: Asked, begun: float, tell: Tell
) -> Path:
    """Print the table, say what it says, and write and check the folder to deploy."""
    runs = home / RESULTS / study / "runs"
    made = load_study(home / "config" / f"{study}.yaml")
    planned = expand_cells(made, [*made.blocks[0].methods])
    cells = [runs / cell.folder for cell in planned if not cell.is_control]
    cells += [
        path.parent
        for path in sorted((runs / card.name / PROTOCOL).glob("control_*/seed0/accuracy.json"))
    ]
    report = make_report(cells, home / "models")
    rows, pairs = report.study.share(compared)
    tables = stored_tables(home / RESULTS / study / "report")
    print_tables([table for table in tables if table.name == "comparison"])
    data = home / RESULTS / "data" / card.name
    truth = read_json(data / "annotations.json")
    sides = defect_sides(truth["images"], truth["annotations"])
    answer = paragraph(rows, pairs, sides, size)
    parts = parts_folder(data, PROTOCOL, made.split_seed)
    val = parts / f"val@{size}.safetensors"
    of_methods = {
        row.method: [cell for cell in cells if cell.parent.name == row.method]
        for row in rows
        if not row.is_control
    }
    times = {row.method: time_of(row) for row in rows}
    choice = choose_on_validation(validated(of_methods, val, data), times)
    row = next(row for row in rows if row.method == choice.method)
    cell = runs / card.name / PROTOCOL / row.method / f"seed{choice.seed}"
    answer += " " + choice_words(choice, rows)
    tell(answer)
    shelves = Shelves(home / "datasets", home / "models")
    out = home / RESULTS / study / "deploy"
    for line in deploy(cell, Form(REFERENCE), asked.overkill, out, val, shelves).told():
        tell(line)
    tell(f"on new pictures: defectbench predict FOLDER --model {out}/model.onnx")
    minutes = (time.monotonic() - begun) / 60
    tell(
        f"{minutes:.1f} of {asked.minutes:g} minutes; report: {home / RESULTS / study / 'report' / 'index.html'}"
    )
    atomic_write_text(home / RESULTS / study / "recommendation.txt", f"{answer}\n")
    return out
