"""Commands that start at once: forks of a process that has imported what each of them takes seconds to import.

`python warm_start.py DIR` lays `defectbench` and `snakemake` down in a folder, to be put before PATH, and stays behind
to be forked. What a command does, its arguments, files, folder, environment and process group are those of an ordinary
call; so is that it can be killed with its group.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from disturbances import OWN_CLOCK

PROGRAMS = ("defectbench", "snakemake")
LINK = "link"  # the socket that commands call, beside them
# -S and -E: it starts in 10 ms
LAUNCHER = """#!{python} -SE
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({link!r})
order = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ), os.getpgrp()]).encode()
socket.send_fds(link, [b"."], [0, 1, 2])
link.sendall(order)
link.shutdown(socket.SHUT_WR)
status = link.recv(1)
sys.exit(status[0] if status else 128 + 9)
"""


def lay_down(folder: Path) -> None:
    """Write the commands."""
    for name in PROGRAMS:
        path = folder / name
        path.write_text(LAUNCHER.format(python=sys.executable, link=str(folder / LINK), name=name))
        path.chmod(0o755)


def forgiving(sleep: Callable[[float], None]) -> Callable[[float], None]:
    """A sleep that ends where its end has passed before it began.

    libfaketime takes the time of day from the end that it is given; what is left is then negative, and refused.
    """

    def sleep_on(seconds: float) -> None:
        try:
            sleep(seconds)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    return sleep_on


def warm_up() -> None:
    """Import what the commands import, the exporter by a first export."""
    if OWN_CLOCK in os.environ:
        time.sleep = forgiving(time.sleep)
    import pandas  # noqa: F401
    import torch
    import torch._inductor.config
    from snakemake import cli  # noqa: F401

    from defectbench.measure import race  # noqa: F401
    from defectbench.report import render  # noqa: F401

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        example = (torch.zeros(1, 3, 8, 8),)
        file = f"{folder}/first.onnx"
        torch.onnx.export(torch.nn.Conv2d(3, 3, 1), example, file, dynamo=True, verbose=False)


def run(name: str, arguments: list[str]) -> int:
    """Run a command in this process; returns its exit status."""
    try:
        if name == "snakemake":
            from snakemake import cli

            sys.argv = [name, *arguments]
            cli.main(arguments)
            return 0
        from defectbench.cli import main

        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        traceback.print_exc()
        return 1


def become(link: socket.socket) -> None:
    """Do in a fork what was ordered, with the files of who ordered it."""
    _, files, _, _ = socket.recv_fds(link, 1, 3)
    order = b"".join(iter(lambda: link.recv(1 << 16), b""))
    name, arguments, folder, environment, group = json.loads(order)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.setpgid(0, group)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
    status = run(name, arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or 1
    link.sendall(bytes([status % 256]))


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    warm_up()
    lay_down(folder)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / LINK))
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks here
    while True:
        link, _ = listener.accept()
        if not os.fork():
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                become(link)
            finally:
                os._exit(0)
        link.close()


if __name__ == "__main__":
    main()
