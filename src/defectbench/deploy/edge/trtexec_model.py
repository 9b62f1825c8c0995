"""A model in TensorRT's own program, where its Python module is not there. Part of the file that runs on boards.

What the program prints and the times that it exports go back as they are; the desktop reads them.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .sessions import Entry, ModelRefusalError, Outputs, RefusalError, plan_path
from .state import trtexec_path

TRTEXEC_SECONDS = 15
WARM_UP_MS = 2000


class BoardTrtexec:
    """A model whose plan the program makes, runs and times.

    Args:
        path: The model file.
        entry: What is run.
    """

    def __init__(self, path: Path, entry: Entry) -> None:
        self.path, self.entry = path, entry
        self.program = trtexec_path()
        if self.program is None:
            fix = "install JetPack's TensorRT there"
            raise RefusalError("TensorRT", "neither its module nor trtexec", fix)
        self.help = self.tell("--help")[1]
        banner = self.help.partition("#")[0]  # names the version, not the options
        version = hashlib.sha256(banner.encode()).hexdigest()[:8]
        self.plan = plan_path(path, f"trtexec-{version}", entry["precision"])
        self.shape = "images:1x3x{0}x{0}".format(entry["size"])
        if not self.plan.is_file():
            self.build()

    def tell(self, *options: str) -> tuple[int, str]:
        """Run the program; its status and what it printed."""
        run = subprocess.run(
            [self.program or "trtexec", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return run.returncode, run.stdout.decode("utf-8", "replace")

    def build(self) -> None:
        """Make the plan; the file says in which types it is computed, an old program has to be let use them.

        Raises:
            ModelRefusalError: The program made none.
        """
        sys.stderr.write(f"builds {self.entry['name']}\n")
        named = set(re.findall(r"--\w+", self.help))
        allowing = [f"--{self.entry['precision']}"] if self.entry["precision"] != "fp32" else []
        switches = ["--stronglyTyped"] if "--stronglyTyped" in named else allowing
        shapes = [f"--{kind}Shapes={self.shape}" for kind in ("min", "opt", "max")]
        part = self.plan.with_name(f"{self.plan.name}.part")
        options = [f"--onnx={self.path}", f"--saveEngine={part}", "--skipInference"]
        status, said = self.tell(*options, *shapes, *switches, "--noTF32")
        if status or not part.is_file():
            faults = [line for line in said.splitlines() if "[E]" in line] or said.splitlines()[-1:]
            fix = "leave this form out of the bundle"
            told = "".join(faults[:1]) or status
            raise ModelRefusalError("trtexec", told, fix, self.entry["name"])
        part.replace(self.plan)

    def run(self, images: Any) -> Outputs:
        """The outputs for one image, by way of files.

        Raises:
            ModelRefusalError: The program failed.
        """
        with tempfile.TemporaryDirectory() as name:
            source, target = Path(name) / "images.bin", Path(name) / "outputs.json"
            source.write_bytes(np.ascontiguousarray(images, np.float32).tobytes())
            files = [f"--loadInputs=images:{source}", f"--exportOutput={target}"]
            once = ["--iterations=1", "--duration=0", "--warmUp=0"]
            status, said = self.tell(*self.loading(), *files, *once)
            if status or not target.is_file():
                last = "".join(said.splitlines()[-1:])
                fix = "run it there by hand"
                raise ModelRefusalError("trtexec", last, fix, self.entry["name"])
            outputs = {entry["name"]: entry for entry in json.loads(target.read_text("utf-8"))}
        return [
            np.array(outputs[name]["values"], np.float32).reshape(
                [int(side) for side in outputs[name]["dimensions"].split("x")]
            )
            for name in self.entry["outputs"]
        ]

    def loading(self) -> list[str]:
        """Options that name the plan and the shape of its input."""
        return [f"--loadEngine={self.plan}", f"--shapes={self.shape}"]

    def time(self) -> dict[str, Any]:
        """What the program prints of its timing, and the times of its queries, both as they are.

        Raises:
            RefusalError: The program failed.
        """
        with tempfile.TemporaryDirectory() as name:
            target = Path(name) / "times.json"
            long = [f"--warmUp={WARM_UP_MS}", f"--duration={TRTEXEC_SECONDS}", "--useSpinWait"]
            status, said = self.tell(*self.loading(), *long, f"--exportTimes={target}")
            if status or not target.is_file():
                last = "".join(said.splitlines()[-1:])
                raise RefusalError("trtexec", last, "run again", self.entry["name"])
            return {"status": status, "printed": said, "export_times": target.read_text("utf-8")}
