"""Verbs of boards: a bundle of model files, and what it gives on a board that is reached by ssh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .options import Change, Folder, Settings

BoardForms = Annotated[
    list[str] | None,
    Option(
        "--form",
        help="Engine and precision, such as ncnn-fp16 or tensorrt-int8; repeat it for more. onnxruntime by default.",
    ),
]


def pack(
    cells: Annotated[list[Path], Argument(help="Folders of cells, each with its model.onnx.")],
    out: Folder,
    form: BoardForms = None,
    images: Annotated[
        int,
        Option(help="Most images of each test part, spread evenly over it.", min=1, max=100_000),
    ] = 200,
    settings: Settings = None,
    change: Change = None,
) -> None:
    """Pack model files, images and a runner for a board."""
    from ..base.boards import forms_named
    from ..base.commandline import parse_settings
    from ..base.studies import LatencySettings
    from ..measure.edge.packing import pack_cells

    protocol = parse_settings(LatencySettings, settings, change or [])
    bundle = pack_cells(cells, forms_named(form), out, protocol, images)
    print(f"{out}: {len(bundle.plan['entries'])} models, bundle {bundle.key[:12]}")  # noqa: T201


def run(
    host: Annotated[
        str, Argument(metavar="HOST", help="user@host, or a name of your ssh settings.")
    ],
    bundle: Annotated[Path, Option(help="Folder of the bundle.")],
    out: Annotated[
        Path,
        Option(help="Folder of the board, results/<study>/devices/<device>: what came back."),
    ],
    name: Annotated[
        str | None, Option(help="Name of the board in tables; that of the folder by default.")
    ] = None,
    port: Annotated[int | None, Option(help="Port of ssh.", min=1, max=65_535)] = None,
    identity: Annotated[
        Path | None, Option(help="File of the key that ssh logs in with.", dir_okay=False)
    ] = None,
    option: Annotated[
        list[str] | None,
        Option(
            metavar="KEY=VALUE", help="A further option of ssh, as for its -o; repeat it for more."
        ),
    ] = None,
    folder: Annotated[
        str, Option(help="Folder on the board, below the home of the user.")
    ] = "defectbench-edge",
    python: Annotated[str, Option(help="Python of the board, 3.8 or later.")] = "python3",
    longest_call: Annotated[
        float, Option(help="Seconds after which a call without an answer is given up.", min=1)
    ] = 3600.0,
) -> None:
    """Run a bundle on a board; what was interrupted goes on, and the records come to the cells."""
    from ..base.boards import device_name
    from ..deploy.edge.bundle import read_bundle
    from ..deploy.edge.host import Host
    from ..measure.edge.running import run_on_board

    device = device_name(out, name)
    board = Host(host, folder, python, port, identity, tuple(option or ()), longest_call)
    for path in run_on_board(read_bundle(bundle), board, out, device, _tell):
        print(path)  # noqa: T201


def _tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


VERBS = {"edge pack": pack, "edge run": run}
