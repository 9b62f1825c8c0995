"""A cell to pack, and a host to run it on: an sshd of our own on loopback, with keys and settings of its own."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from defectbench.base.studies import LatencySettings
from defectbench.deploy.edge.host import Host
from defectbench.deploy.predict import predict
from defectbench.measure.cell import Truth, evaluate_predictions, measure_cell
from tests.class_packs import write_class_pack
from tests.free_packs import write_brightest, write_free_pack
from tests.measure.race_cases import write_classifier
from tests.small_models import SIDE, write_images, write_model

SHORT = LatencySettings(processes=2, rounds=10, block_calls=1, warmup=1, burst_calls=1)
SSHD = shutil.which("sshd") or next(filter(os.path.exists, ["/usr/sbin/sshd"]), None)
WITHOUT_SSHD = "no sshd on this machine: apt-get install openssh-server"
IMAGES = 6


def make_cell(root, method="four", write=write_model):
    """A cell that was scored: model file, packs of noise, truth."""
    cell = root / "runs" / "steel" / "clean" / method / "seed0"
    cell.mkdir(parents=True)
    write(cell / "model.onnx")
    test = root / "test.safetensors"
    if not test.exists():
        write_images(test, "test", IMAGES)
        _write_truth(root)
    truth = Truth(root / "annotations.json", root / "test.txt", root / "groups.csv")
    measure_cell(cell / "model.onnx", test, truth)
    return cell


def _write_truth(root):
    names = [f"image{n}.png" for n in range(IMAGES)]
    images = [
        {"id": n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(names)
    ]
    boxes = [
        {
            "id": n,
            "image_id": n,
            "category_id": 0,
            "bbox": [2, 2, 20, 20],
            "area": 400,
            "iscrowd": 0,
        }
        for n in range(IMAGES)
    ]
    kinds = [{"id": 0, "name": "pit"}, {"id": 1, "name": "scratch"}]
    content = {"images": images, "annotations": boxes, "categories": kinds}
    (root / "annotations.json").write_text(json.dumps(content))
    (root / "test.txt").write_text("".join(f"{name}\n" for name in names))
    rows = "".join(f"{n},{name},{n}\n" for n, name in enumerate(names))
    (root / "groups.csv").write_text("image_id,file_name,group\n" + rows)


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Board:
    """An sshd on loopback.

    Args:
        home: Folder of its keys and settings.
    """

    def __init__(self, home):
        self.home, self.port, self.process = Path(home), _free_port(), None
        self.home.mkdir(parents=True)
        for name in ("host_key", "user_key"):
            self.new_key(name)
        shutil.copy(self.home / "user_key.pub", self.home / "authorized_keys")
        self.know()
        told = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.home / "host_key",
            "AuthorizedKeysFile": self.home / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
        }
        lines = [f'{key} "{value}"' for key, value in told.items()]
        (self.home / "sshd_config").write_text("\n".join(lines) + "\n")

    def new_key(self, name):
        for old in self.home.glob(f"{name}*"):
            old.unlink()
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / name)]
        subprocess.run(command, check=True)

    def know(self):
        """Note the host's key, as a user does at the first login."""
        key = (self.home / "host_key.pub").read_text()
        (self.home / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")

    def start(self):
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)  # asked for where sshd is run by root
        log = (self.home / "sshd.log").open("ab")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.home / "sshd_config")], stderr=log
        )
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise AssertionError((self.home / "sshd.log").read_text())

    def vanish(self):
        """End the server and all that it holds open, as a board does that loses its power."""
        if self.process is None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        for process in [self.process, *[p for p in family if p.name().startswith("sshd")]]:
            process.kill()
        self.process.wait()
        self.process = None

    def host(self, folder, **more):
        options = (
            f'UserKnownHostsFile="{self.home}/known_hosts"',
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
        )
        name = f"{getpass.getuser()}@127.0.0.1"
        told = {"port": self.port, "identity": self.home / "user_key", "options": options}
        told["python"] = sys.executable
        return Host(name, **{"folder": str(folder), **told, **more})


def make_class_cell(root):
    """A cell of a classifier: the means of two colours."""
    cell = root / "runs" / "stripes" / "clean" / "colours" / "seed0"
    write_classifier(cell / "model.onnx")
    kinds = ["pit", "scratch"]
    pack = write_class_pack(root / "test.safetensors", 8, (3, 3), classes=json.dumps(kinds))
    return _scored(root, cell, pack, "classification", kinds)


def make_free_cell(root):
    """A cell of what tells how bright an image is at most, on images three of which show a bright square."""
    cell = root / "runs" / "squares" / "clean" / "brightest" / "seed0"
    write_brightest(cell / "model.onnx", 8)
    pack = write_free_pack(root / "test.safetensors", 8, 3, 3, part="test")
    return _scored(root, cell, pack, "anomaly", ["square"])


def _scored(root, cell, pack, task, kinds):
    """Six images of 8 px, the last three of the last kind, the first of the first or, alone, of none; predicted."""
    shown = [0] * 3 + [1] * 3 if len(kinds) > 1 else [None] * 3 + [0] * 3
    names = [f"image{n}.png" for n in range(1, 7)]
    content = {
        "info": {"task": task},
        "images": [
            {"id": n, "file_name": name, "width": 8, "height": 8} for n, name in enumerate(names, 1)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": kind, "bbox": [0, 0, 8, 8], "area": 64}
            | {"iscrowd": 0}
            for n, kind in enumerate(shown, 1)
            if kind is not None
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(kinds)],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    (root / "test.txt").write_text("".join(f"{name}\n" for name in names))
    rows = "".join(f"{n},{name},{n}\n" for n, name in enumerate(names, 1))
    (root / "groups.csv").write_text("image_id,file_name,group\n" + rows)
    truth = Truth(root / "annotations.json", root / "test.txt", root / "groups.csv")
    predict(cell / "model.onnx", pack, cell / "predictions.json")
    evaluate_predictions(cell / "predictions.json", truth, cell / "accuracy.json")
    return cell
