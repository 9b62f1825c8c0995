"""The README of a folder to deploy: what the model is, what this very file scored, how fast it was, how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..nms import NONE
from .content import Deployment, Measured

_NOT_COMPILED = "not compiled where this folder was made"
_COMPILED = "how to compile it is in its first lines"


def readme_of(deployment: Deployment, model: str, checked: str) -> str:
    """The text.

    Args:
        deployment: What the folder holds.
        model: Name of the model's file or folder.
        checked: What the check said when the folder was made.
    """
    told = deployment.model
    form = f"{told.form.engine}, {told.form.precision}"
    parts = [
        f"# {told.title} on {told.dataset}: {form}",
        _use(deployment),
        "## What it scored\n\n" + "\n".join(_score(deployment)),
        "## How fast it was\n\n" + "\n".join(_speed(deployment.speed)),
        f"## Threshold\n\nBoxes score above **{deployment.threshold:.6g}**: {deployment.why}. It stands in "
        "`operating_point.json`; another one there is taken from then on.",
        "## Check\n\n" + _check(deployment, checked),
        "## Files\n\n" + _files(deployment, model),
        "## Licences\n\n"
        + "\n".join(f"- {part}: {licence}" for part, licence in deployment.licences.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _use(deployment: Deployment) -> str:
    return (
        f"```sh\npip install numpy pillow {deployment.model.form.engine}\npython run_model.py picture.png\n```\n\n"
        "prints class, score and corners (x0, y0, x1, y1 in pixels) of each box as JSON. The script fits a picture "
        f"into the input of {deployment.model.size} x {deployment.model.size} pixels and {_chooses(deployment)} as "
        f"the suite did that scored the model.{_tiles(deployment.model.tiles)}"
    )


def _chooses(deployment: Deployment) -> str:
    if deployment.model.suppression == NONE:
        return "takes the best boxes, which need no suppression,"
    return "suppresses boxes"


def _tiles(tiles: Mapping[str, Any] | None) -> str:
    if tiles is None:
        return ""
    return (
        f" Pictures are cut into tiles of {tiles['side']} pixels that overlap by {tiles['overlap']} or more, and the "
        "boxes of tiles are joined."
    )


def _score(deployment: Deployment) -> list[str]:
    measured, model = deployment.score, deployment.model
    if measured.record is None:
        return [f"Not said: {measured.missing}."]
    figures = measured.record["figures"]
    lines = ["| figure | test part | 95 % interval |", "|---|---:|---:|"]
    for name, title in (("map50", "mAP50"), ("map50_95", "mAP50-95")):
        low, high = figures[f"{name}_low"], figures[f"{name}_high"]
        lines.append(
            f"| {title}, % | {100 * figures[name]:.1f} | {100 * low:.1f} to {100 * high:.1f} |"
        )
    which = (
        "It is of the file with the SHA-256 `{}`, which is written here as the engine is given it (see Files)."
        if model.is_rewritten
        else "The SHA-256 of the model here is that of the scored one: `{}`."
    )
    lines += [
        "",
        f"Of {figures['n_images']} images in {figures['n_groups']} groups, over which the interval is; given this "
        f"trained network, seed {model.seed}. {which.format(model.sha256)}",
    ]
    return lines


def _speed(measured: Measured) -> list[str]:
    if measured.record is None:
        return [f"Not said: {measured.missing}."]
    figures, processor = measured.record["figures"], measured.record["hardware"]["cpu"]
    lines = ["| figure | value | 95 % interval |", "|---|---:|---:|"]
    names = (
        ("ratio_to_reference", "time, as a multiple of the reference model's"),
        ("latency_ms_p50", "median time of an image, ms"),
    )
    for name, title in names:
        if name in figures:
            low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
            interval = f"{low:.3g} to {high:.3g}" if low is not None and high is not None else "-"
            lines.append(f"| {title} | {figures[name]:.3g} | {interval} |")
    threads = measured.threads
    lines += [
        "",
        f"On {processor or 'a processor that does not tell its name'}, {threads} "
        f"{'thread' if threads == 1 else 'threads'}, as many as the script takes (`threads` in deployment.json); "
        "fitting and the choice of boxes included. On another processor the ratio tells more than the milliseconds.",
    ]
    if not figures.get("valid", True):
        reasons = "; ".join(figures.get("invalid_because", [])) or "no reason is recorded"
        lines.append(f"**This timing is marked invalid** ({reasons}): do not cite it.")
    return lines


def _check(deployment: Deployment, checked: str) -> str:
    check = deployment.check
    where = "`python run_model.py --check`"
    if not check.packed:
        where = (
            "`python run_model.py --check FOLDER`, with the folder of the dataset's images (known by their SHA-256; "
            f"giving them on is {check.redistribution} in the dataset's terms),"
        )
    return (
        f"{where} holds the script against {check.stored} of {len(check.pictures)} test pictures, stored in "
        f"`check.json` with the bound. When this folder was made: {checked}."
    )


def _files(deployment: Deployment, model: str) -> str:
    engine = deployment.model.form.engine
    compiled = _COMPILED if engine == "openvino" else _NOT_COMPILED
    rows = {
        model: _of_model(deployment),
        "run_model.py, boxes/": "the script; how boxes are chosen and joined are the suite's own lines",
        "deployment.json": "engine, input, classes, hashes, and the records of score and speed",
        "operating_point.json": "the threshold and what it costs on the validation part",
        "classes.txt": "class names in the order of the score columns",
        "check.json": "what the script is held against",
        "cpp/run_model.cpp": f"the same model from C++, with one thread; {compiled}",
        "LICENCES.txt": "what may be done with what",
    }
    if deployment.check.packed:
        rows["check/"] = "pictures of the check"
    return "\n".join(f"- `{name}`: {what}" for name, what in rows.items())


def _of_model(deployment: Deployment) -> str:
    model = deployment.model
    if model.is_rewritten:
        return (
            "the model as OpenVINO is given it in scoring: activations are rounded to unsigned numbers with a zero "
            f"point of 128, which stand for the same values as those of the file `{model.sha256}`"
        )
    return "the model, byte for byte what was scored"
