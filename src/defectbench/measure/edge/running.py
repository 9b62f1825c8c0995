"""A bundle on a board, from first look to records: what is there is not sent, what came back is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...base.boards import TENSORRT
from ...base.errors import ConfigError, HostError, MeasurementError
from ...base.files import atomic_write_json, exclusive_lock, read_json
from ...deploy.edge.bundle import PLAN, Bundle, entries_of_engine
from ...deploy.edge.host import Host
from .identity import board_card, power_mode
from .joining import join_entry, write_board

Told = Callable[[str], None]
LOOK, ANSWERS, BOARD = "look.json", "answers", "board.json"


def run_on_board(
    bundle: Bundle, host: Host, out: str | Path, device: str, told: Told
) -> list[Path]:
    """Send what a board lacks, run all models that it has an engine for, and write their records.

    Args:
        bundle: What is run.
        host: The board.
        out: Folder of the board, ``results/<study>/devices/<device>``; holds what came back, so that a run that was
            interrupted goes on.
        device: Name of the board in tables.
        told: Gets a line on each step.

    Returns:
        Folders of the records, one a model: ``<cell>/devices/<device>/<form>``.

    Raises:
        HostError: The board cannot be reached, lacks what is needed, or vanished; a later call goes on.
        MeasurementError: A float32 engine answers otherwise than here, or the power mode was changed meanwhile.
        ConfigError: Another board has this name already.
        BusyError: Another run works on this board.
    """
    folder = Path(out)
    with exclusive_lock(folder / ".lock"):
        look = _look(bundle, host, folder, device)
        engines = usable_engines(bundle, look)
        for engine in bundle.engines:
            if engine not in engines:
                told(f"{host.name} has no {engine}: its models are left out")
        if not engines:
            names = ", ".join(bundle.engines)
            fix = f"install one there, such as python3 -m pip install {bundle.engines[0]}"
            raise HostError(host.name, "engine", f"none of {names}", fix)
        _send(bundle, host, look, told)
        by_trtexec = look["modules"][TENSORRT] is None
        kept = folder / ANSWERS / f"{bundle.key[:12]}-{state_key(look)}"
        answers = {}
        for unit, request in units(bundle, engines).items():
            path = kept / f"{unit}.json"
            if not path.is_file():
                told(f"{unit} on {host.name}")
                request["plan"] = {**bundle.plan, "by_trtexec": by_trtexec}
                atomic_write_json(path, host.call(bundle, request, told=told))
            answers[unit] = read_json(path)
        _check_power(look, answers, host)
        return _join(bundle, engines, answers, look, folder, device)


def _look(bundle: Bundle, host: Host, folder: Path, device: str) -> dict[str, Any]:
    """What the board is; it must be the one that has this name already."""
    look = host.call(bundle, {"verb": "look", "files": bundle.files})
    known = read_json(folder / LOOK) if (folder / LOOK).is_file() else look
    if known["machine"] != look["machine"]:
        fix = f"its records would stand among those of another board: remove {folder}, or give it another --name"
        raise ConfigError("--name", "board", device, fix)
    atomic_write_json(folder / LOOK, {name: look[name] for name in look if name != "missing"})
    return look


def usable_engines(bundle: Bundle, look: Mapping[str, Any]) -> list[str]:
    """Engines of a bundle that a board has."""
    there = {name for name, version in look["modules"].items() if version is not None}
    there |= {TENSORRT} if look["trtexec"] else set()
    return [engine for engine in bundle.engines if engine in there]


def _send(bundle: Bundle, host: Host, look: Mapping[str, Any], told: Told) -> None:
    missing = look["missing"]
    if missing:
        told(f"{len(missing)} of {len(bundle.files)} files are sent to {host.name}")
        host.call(bundle, {"verb": "receive"}, files=missing)


def state_key(look: Mapping[str, Any]) -> str:
    """What answers depend on beside the bundle: in another power mode, or with other versions, all is run anew."""
    mode = power_mode(look["programs"]["power_mode"])
    state = [look["machine"], mode, look["modules"], look["trtexec"], look["emulated"]]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:8]


def units(bundle: Bundle, engines: list[str]) -> dict[str, dict[str, Any]]:
    """What is asked of a board, call by call: the answers of one model, or one process of the race of an engine."""
    asked: dict[str, dict[str, Any]] = {}
    protocol = bundle.plan["protocol"]
    processes, burst = protocol["processes"], protocol["burst_calls"]
    for engine in engines:
        entries = entries_of_engine(bundle.plan["entries"], engine)
        for n in entries:
            asked[f"predict-{n}"] = {"verb": "predict", "entry": n}
        for process in range(processes):
            share = burst // processes + (process < burst % processes)
            asked[f"race-{engine}-{process}"] = {
                "verb": "race",
                "entries": entries,
                "process": process,
                "burst_calls": share,
            }
    return asked


def _check_power(look: Mapping[str, Any], answers: Mapping[str, Any], host: Host) -> None:
    """All that is compared was measured in one power mode."""
    mode = power_mode(look["programs"]["power_mode"])
    for unit, answer in answers.items():
        if "evidence" in answer:
            seen = power_mode(answer["evidence"]["power_mode"])
            if seen != mode:
                fix = f"it was {mode} at first; leave it alone and run again"
                raise MeasurementError(host.name, f"power mode in {unit}", seen, fix)


def _join(
    bundle: Bundle,
    engines: list[str],
    answers: Mapping[str, Any],
    look: Mapping[str, Any],
    folder: Path,
    device: str,
) -> list[Path]:
    card, made = board_card(look), []
    for engine in engines:
        entries = entries_of_engine(bundle.plan["entries"], engine)
        processes = range(bundle.plan["protocol"]["processes"])
        races = [answers[f"race-{engine}-{process}"] for process in processes]
        for position, n in enumerate(entries):
            predicted = answers[f"predict-{n}"]
            made.append(join_entry(bundle, n, device, card, predicted, races, position))
    write_board(folder / BOARD, card, bundle.folder / PLAN, made)
    return made
