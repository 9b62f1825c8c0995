"""A bundle on a board, from first look to records: what is there is not sent, what came back is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.boards import TENSORRT
from ...base.errors import ConfigError, HostError, MeasurementError
from ...base.files import atomic_write_json, exclusive_lock, read_json
from ...base.records import ABSENT
from ...deploy.edge.bundle import PLAN, Bundle, entries_of_engine
from ...deploy.edge.host import Host
from .identity import board_card, power_mode
from .joining import join_entry, join_refusal, write_board
from .trtexec_times import doubts_of

Told = Callable[[str], None]
LOOK, ANSWERS, BOARD = "look.json", "answers", "board.json"


def run_on_board(
    bundle: Bundle, host: Host, out: str | Path, device: str, told: Told
) -> list[Path]:
    """Send what a board lacks, run all models that it has an engine for, and write their records, engine by engine.

    A model that its engine refuses there has records that say why, in the place of figures.

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
        kept = folder / ANSWERS / f"{bundle.key[:12]}-{state_key(look)}"
        asking = Asking(bundle, host, look, kept, told)
        card, made, refused = board_card(look), [], 0
        for engine in engines:
            entries = entries_of_engine(bundle.plan["entries"], engine)
            answers = {n: asking.predictions(n) for n in entries}
            able = [n for n in entries if ABSENT not in answers[n]]
            races = asking.races(engine, able)
            for n in entries:
                if n in able:
                    position = able.index(n)
                    path = join_entry(bundle, n, device, card, answers[n], races, position)
                else:
                    path = join_refusal(bundle, n, device, card, answers[n][ABSENT])
                    told(f"{bundle.plan['entries'][n]['name']}: {answers[n][ABSENT]}")
                    refused += 1
                made.append(path)
        write_board(folder / BOARD, card, bundle.folder / PLAN, made, refused)
        return made


def _look(bundle: Bundle, host: Host, folder: Path, device: str) -> dict[str, Any]:
    """What the board is; it must be the one that has this name already."""
    look = host.call(bundle, {"verb": "look", "files": bundle.files})
    before = read_json(folder / LOOK) if (folder / LOOK).is_file() else look
    if before["machine"] != look["machine"]:
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


@dataclass(frozen=True)
class Asking:
    """What a board is asked, call by call; an answer that can be used is kept, and not asked for again.

    Attributes:
        bundle: What is run.
        host: The board.
        look: What it said of itself at first.
        kept: Folder of the answers.
        told: Gets a line on each step.
    """

    bundle: Bundle
    host: Host
    look: Mapping[str, Any]
    kept: Path
    told: Told

    def predictions(self, entry: int) -> dict[str, Any]:
        """The answers of one model to all images, or ``absent_because``: what its engine said when it refused it."""
        return self._ask(f"predict-{entry}", {"verb": "predict", "entry": entry})

    def races(self, engine: str, entries: Sequence[int]) -> list[dict[str, Any]]:
        """What each process of the race of some models of an engine saw."""
        if not entries:
            return []
        protocol = self.bundle.plan["protocol"]
        processes, burst = protocol["processes"], protocol["burst_calls"]
        left_out = set(entries_of_engine(self.bundle.plan["entries"], engine)).difference(entries)
        without = f"-without-{'-'.join(map(str, sorted(left_out)))}" if left_out else ""
        answers = []
        for process in range(processes):
            share = burst // processes + (process < burst % processes)
            request = {"verb": "race", "entries": list(entries), "process": process}
            name = f"race-{engine}-{process}{without}"
            answers.append(self._ask(name, {**request, "burst_calls": share}))
        return answers

    def _ask(self, unit: str, request: Mapping[str, Any]) -> dict[str, Any]:
        path = self.kept / f"{unit}.json"
        if path.is_file():
            return read_json(path)
        self.told(f"{unit} on {self.host.name}")
        plan = {**self.bundle.plan, "by_trtexec": self.look["modules"][TENSORRT] is None}
        answer = self.host.call(self.bundle, {**request, "plan": plan}, told=self.told)
        if ABSENT in answer:  # a later run asks again: it may have been memory
            return answer
        self._check(unit, answer)
        atomic_write_json(path, answer)
        return answer

    def _check(self, unit: str, answer: Mapping[str, Any]) -> None:
        """Stop at an answer that no record can be made of, before it is kept.

        Raises:
            MeasurementError: The power mode was changed meanwhile, or ``trtexec`` gave no whole figures.
            ProgramError: ``trtexec`` failed.
        """
        if "evidence" in answer:
            mode = power_mode(self.look["programs"]["power_mode"])
            seen = power_mode(answer["evidence"]["power_mode"])
            if seen != mode:
                fix = f"it was {mode} at first; leave it alone and run again"
                raise MeasurementError(self.host.name, f"power mode in {unit}", seen, fix)
        for run in answer.get("trtexec", ()):
            doubts_of(run)
