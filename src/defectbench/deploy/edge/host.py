"""A board that is reached by ssh: one call, one answer.

Each call sends the bundle's runner to a Python of the board and runs nothing else there. What is wanted travels as JSON
behind it, so that no name or path meets a shell. The host's key is always checked.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import IO, Any

from ...base.errors import ConfigError, HostError, ProgramError
from .board import MARK
from .bundle import RUNNER, Bundle

BOOT = (
    "import sys; v = sys.version_info[:2]; "
    'v >= (3, 8) or sys.exit("defectbench needs 3.8, not %d.%d" % v); b = sys.stdin.buffer; '
    'exec(compile(b.read(int(sys.argv[1])), "runner.py", "exec"), globals())'
)
ALWAYS = (
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
)
OURS = {option.partition("=")[0].lower() for option in ALWAYS}
# A program that names keys may name any; old clients do not know the option, so that it cannot be set always.
OF_KEYS = {"stricthostkeychecking", "nohostauthenticationforlocalhost", "knownhostscommand"}
HOST = re.compile(
    r"([^\s\"'`$<>|;&(){}!*?~#-][^\s\"'`$<>|;&(){}!*?~#]*@)?[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]*"
)
SSH_FAILED, NOT_FOUND, NOT_RUNNABLE = 255, 127, 126
LONGEST_CALL_S = 3600.0


@dataclass(frozen=True)
class Host:
    """A board and how it is reached.

    Attributes:
        name: ``user@host``, or a name of the user's ssh settings.
        folder: Folder there; below the user's home where it is relative.
        python: Its Python.
        port: Port of ssh; that of the user's settings by default.
        identity: File of the key; those of the user's settings by default.
        options: Further ``Key=value`` of ssh.
        longest_call_s: After so many seconds without an answer a call is given up.
    """

    name: str
    folder: str = "defectbench-edge"
    python: str = "python3"
    port: int | None = None
    identity: Path | None = None
    options: Sequence[str] = field(default_factory=tuple)
    longest_call_s: float = LONGEST_CALL_S

    def __post_init__(self) -> None:
        if not HOST.fullmatch(self.name):
            raise ConfigError(
                "HOST", "name", self.name, "write user@host, or a name of ~/.ssh/config"
            )
        if not self.folder or "\0" in self.folder:
            raise ConfigError("--folder", "folder", self.folder, "name a folder of the board")
        for option in self.options:
            name, sign, _ = option.partition("=")
            if not sign or not name.isalnum():
                raise ConfigError("--option", "option", option, "write Key=value, as for ssh -o")
            if name.lower() in OURS | OF_KEYS:
                fix = "leave it out: "
                fix += (
                    "the host's key is always checked; add it to known_hosts once, by ssh itself"
                    if name.lower() in OF_KEYS
                    else "it is set already"
                )
                raise ConfigError("--option", name, option, fix)

    def command(self, *words: str) -> list[str]:
        """The call of ssh that runs some words on the board."""
        told = ["ssh", "-T", "-x"]
        for option in (*ALWAYS, *self.options):
            told += ["-o", option]
        told += ["-p", str(self.port)] if self.port is not None else []
        told += ["-i", str(self.identity)] if self.identity is not None else []
        return [*told, "--", self.name, " ".join(map(quote, words))]

    def call(
        self,
        bundle: Bundle,
        request: dict[str, Any],
        files: Sequence[str] = (),
        told: Callable[[str], None] = lambda line: None,
    ) -> dict[str, Any]:
        """Let the runner do something there.

        Args:
            bundle: Its runner is what runs.
            request: What is wanted; the folder is added.
            files: Files of the bundle that are sent behind it.
            told: Gets each line that it says meanwhile.

        Returns:
            The answer.

        Raises:
            HostError: The board cannot be reached, refuses, lacks something, or vanished.
            ProgramError: The runner failed.
        """
        runner = (bundle.folder / RUNNER).read_bytes()
        line = json.dumps({"folder": self.folder, **request}).encode() + b"\n"
        process = subprocess.Popen(
            self.command(self.python, "-c", BOOT, str(len(runner))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said: list[str] = []
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        feeding = threading.Thread(
            target=_feed, args=(process.stdin, runner + line, bundle, files), daemon=True
        )
        listening = threading.Thread(target=_listen, args=(process.stderr, said, told), daemon=True)
        alarm = threading.Timer(self.longest_call_s, process.kill)
        for thread in (feeding, listening, alarm):
            thread.start()
        try:
            output = process.stdout.read()
            status = process.wait()
        finally:
            in_time = alarm.is_alive()
            alarm.cancel()
            process.kill()
            process.wait()
            listening.join(5)
            process.stdin.close() if not feeding.is_alive() else None
        if not in_time:
            fix = "look what the board does; what came back is kept: run again"
            raise HostError(self.name, "answer", f"nothing in {self.longest_call_s:.0f} s", fix)
        return self._answer(status, output, said)

    def _answer(self, status: int, output: bytes, said: list[str]) -> dict[str, Any]:
        for line in reversed(output.decode("utf-8", "replace").splitlines()):
            if line.startswith(MARK):
                try:
                    answer = json.loads(line[len(MARK) :])
                except ValueError:  # the connection ended within it
                    break
                if "refused" not in answer:
                    return answer
                told = answer["refused"]
                where = f"{self.name}, {told['where']}" if told["where"] else self.name
                raise HostError(where, told["field"], told["value"], told["fix"])
        raise self._failure(status, said)

    def _failure(self, status: int, said: list[str]) -> HostError | ProgramError:
        """What ssh or the board said, as a named error."""
        text, last = "\n".join(said), said[-1] if said else ""
        for words, name, fix in _FAULTS:
            line = next((line for line in said if re.search(words, line)), None)
            if status == SSH_FAILED and line is not None:
                return HostError(self.name, name, line, fix)
        if status in (NOT_FOUND, NOT_RUNNABLE):
            fix = "install Python 3.8 or later there, or name it with --python"
            return HostError(self.name, "python", last or f"no {self.python}", fix)
        if old := re.search(r"defectbench needs 3.8, not ([\d.]+)", text):
            fix = "name a Python 3.8 or later of the board with --python"
            return HostError(self.name, "python", f"version {old[1]}", fix)
        if "Traceback" in text:
            fix = "the engine or the runner failed there; the last line of it is shown"
            return ProgramError(self.name, "runner", last, fix)
        fix = (
            "the board vanished or ended the program; what came back is kept: run again. If it ends at the same "
            "place again, its memory is full: pack fewer models"
        )
        return HostError(self.name, "connection", last or f"ended with status {status}", fix)


_FAULTS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|No .* host key is known",
        "host key",
        "check the key with who keeps the board, then note it by connecting once with ssh itself",
    ),
    (r"Permission denied", "login", "log in by ssh with a key first, or name it with --identity"),
    (
        r"Could not resolve|Connection refused|No route|Connection timed out|Network is unreachable|port \d+: ",
        "connection",
        "switch the board on, and check its name and --port; what came back before is kept: run again",
    ),
)


def _feed(pipe: IO[bytes], first: bytes, bundle: Bundle, files: Sequence[str]) -> None:
    """Write the runner, what is wanted, and files. The pipe stays open: its end tells the board that nobody listens."""
    try:
        pipe.write(first)
        pipe.flush()
        for name in files:
            path = bundle.folder / name
            header = {"path": name, "bytes": path.stat().st_size, "sha256": bundle.files[name]}
            pipe.write(json.dumps(header).encode() + b"\n")
            with path.open("rb") as handle:
                while block := handle.read(1 << 16):
                    pipe.write(block)
        if files:
            pipe.write(json.dumps({"end": True}).encode() + b"\n")
        pipe.flush()
    except (OSError, ValueError):  # the other end is gone, which its status tells
        return


def _listen(pipe: IO[bytes], said: list[str], told: Callable[[str], None]) -> None:
    """Gather what is said on the way; the last lines are enough."""
    for line in pipe:
        text = line.decode("utf-8", "replace").strip()
        if text:
            said.append(text)
            del said[:-40]
            told(text)
