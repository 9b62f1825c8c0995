"""Atomic outputs: whole or not there, also when the disk fills up or a second run starts."""

import errno
import subprocess
import sys

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from defectbench.base import files
from defectbench.base.errors import BusyError, ConfigError, DiskFullError


def leftovers(folder):
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_bytes_are_written_whole(tmp_path):
    files.atomic_write_bytes(tmp_path / "deep" / "a.bin", b"abc")
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"abc"
    assert leftovers(tmp_path / "deep") == []


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError("stopped")
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_full_disk_is_a_named_error(tmp_path):
    with pytest.raises(DiskFullError, match="make room"), files.atomic_path(tmp_path / "a") as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def write_weights(path):
    with files.atomic_path(path) as part:
        save_file({"weights": torch.zeros(1 << 20)}, part)  # 4 MiB


def test_a_full_disk_that_a_library_reports_in_its_own_error_is_named(tmp_path):
    with pytest.raises(DiskFullError, match="make room"), files.atomic_path(tmp_path / "a"):
        raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "write", [write_weights, lambda p: files.atomic_write_bytes(p, bytes(4 << 20))]
)
def test_a_really_full_disk_is_a_named_error(tmp_path, write):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        with pytest.raises(DiskFullError, match="make room"):
            write(tmp_path / "model.safetensors")
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_other_os_errors_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError), files.atomic_path(tmp_path / "a"):
        raise PermissionError("no")


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").write_text("1")
    with files.atomic_directory(target) as part:
        (part / "new").write_text("2")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_failed_folder_keeps_the_old_one(tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").write_text("1")
    with pytest.raises(RuntimeError), files.atomic_directory(target) as part:
        (part / "new").write_text("2")
        raise RuntimeError("stopped")
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_nan_never_reaches_a_record(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.atomic_write_json(tmp_path / "a.json", {"map50": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_lock_names_its_holder_and_dies_with_it(tmp_path):
    lock = tmp_path / "run.lock"
    code = (
        "import sys; from defectbench.base.files import exclusive_lock\n"
        f"with exclusive_lock({str(lock)!r}):\n print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"process {holder.pid}"), files.exclusive_lock(lock):
        pass
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with files.exclusive_lock(lock):
        assert lock.read_text().startswith("process ")


def test_missing_and_broken_json_are_named(tmp_path):
    with pytest.raises(ConfigError, match="run the rule"):
        files.read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match="make it again"):
        files.read_json(tmp_path / "bad.json")


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_file(tmp_path / "a") == digest
