"""A Python for aarch64 with onnxruntime, ncnn and numpy, run by qemu: made once, below results/envs.

Debian's packages are unpacked into a folder; nothing is installed into the system. Of onnxruntime 1.28 and later the
import crashes under qemu, 1.24 to 1.27 are ten times as slow, and 1.20 computes wrong.
"""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / "results" / "envs" / "aarch64"
QEMU = "qemu-aarch64"
PACKAGES = [
    *("libc6", "libstdc++6", "libgcc-s1", "libgomp1"),
    *("python3.11", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *(
        "zlib1g",
        "libexpat1",
        "libssl3",
        "libffi8",
        "libbz2-1.0",
        "liblzma5",
        "libcrypt1",
        "libuuid1",
    ),
    *(
        "libsqlite3-0",
        "libncursesw6",
        "libtinfo6",
        "libreadline8",
        "libdb5.3",
        "libnsl2",
        "libtirpc3",
    ),
]
WHEELS = ["ncnn", "numpy<2.3", "onnxruntime==1.23.2"]
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
SETTINGS = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
Dir::State "{part}/state";
Dir::State::status "{part}/state/status";
Dir::Cache "{part}/cache";
Acquire::Languages "none";
"""


class NotHereError(Exception):
    """Why there is no such Python."""


def python():
    """The program that runs Python for aarch64; makes what it lacks.

    Raises:
        NotHereError: qemu, Debian's packages or the wheels cannot be had.
    """
    if shutil.which(QEMU) is None:
        raise NotHereError(f"no {QEMU}: apt-get install qemu-user")
    program = HOME / "python"
    if not program.is_file():
        part = HOME.with_name("aarch64.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            _unpack_system(part)
            _unpack_wheels(part)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            last = " ".join(said.decode(errors="replace").splitlines()[-1:])
            raise NotHereError(f"the parts for aarch64 cannot be had: {error} {last}") from error
        shutil.rmtree(HOME, ignore_errors=True)
        part.rename(HOME)
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH="{HOME}/site" exec {QEMU} -L "{HOME}/root" '
            f'"{HOME}/root/usr/bin/python3.11" "$@"\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def _call(*command, **more):
    subprocess.run(command, check=True, capture_output=True, timeout=300, **more)


def _unpack_system(part):
    for name in ("root", "deb", "state/lists/partial", "cache/archives/partial"):
        (part / name).mkdir(parents=True)
    (part / "state" / "status").touch()
    (part / "apt.conf").write_text(SETTINGS.format(part=part))
    settings = {**os.environ, "APT_CONFIG": str(part / "apt.conf")}
    _call("apt-get", "update", env=settings)
    _call("apt-get", "download", *PACKAGES, env=settings, cwd=part / "deb")
    for package in sorted((part / "deb").glob("*.deb")):
        _call("dpkg-deb", "-x", str(package), str(part / "root"))
    for name in ("deb", "state", "cache"):
        shutil.rmtree(part / name)


def _unpack_wheels(part):
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(part / "whl")]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    target = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    _call(*pip, "--only-binary=:all:", *platforms, *target, *WHEELS)
    _call(*pip, "flatbuffers")
    for wheel in sorted((part / "whl").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part / "site")
    shutil.rmtree(part / "whl")
