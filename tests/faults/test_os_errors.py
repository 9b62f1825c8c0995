"""What the operating system refuses is one named line, whatever the verb; errors of the program keep their traceback."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from defectbench.base import files
from defectbench.base.errors import DiskFullError, FileAccessError
from defectbench.cli import main


@pytest.fixture
def told(capsys):
    """Runs a verb and returns the one line that it says."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def test_a_file_where_a_folder_is_needed(plant, told):
    plant.draw()
    file = plant.home / "file"
    file.write_text("mine")
    for out in (file / "x", file / "deep" / "x"):
        line = told(
            "acquire", "--card", plant.card(), "--out", out, "--mirror", plant.home / "plates"
        )
        assert line.startswith("FileAccessError: ")
        assert "Not a directory" in line
        assert "a file stands where a folder is needed" in line
    assert file.read_text() == "mine"


def test_a_users_file_is_not_replaced_by_a_folder(tmp_path):
    target = tmp_path / "notes"
    target.write_text("mine")
    refused = pytest.raises(FileAccessError, match="notes: access: got 'Not a directory'")
    with refused, files.atomic_directory(target):
        pass
    assert target.read_text() == "mine"


def test_a_folder_where_a_file_is_needed(tmp_path):
    (tmp_path / "record.json").mkdir()
    with pytest.raises(FileAccessError, match="a folder stands where a file is needed"):
        files.atomic_write_text(tmp_path / "record.json", "x")
    with pytest.raises(FileAccessError, match="a folder stands"):
        files.read_json(tmp_path / "record.json")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_names_at_the_limit_of_the_file_system(tmp_path):
    longest = "ü" * 125 + ".json"
    assert len(longest.encode()) == 255
    files.atomic_write_json(tmp_path / longest, 1)
    assert files.read_json(tmp_path / longest) == 1
    with files.atomic_directory(tmp_path / ("d" * 255)):
        pass
    with pytest.raises(FileAccessError, match="a name may have 255 bytes"):
        files.atomic_write_text(tmp_path / ("d" * 256), "")
    with pytest.raises(FileAccessError, match="use shorter ones"):
        files.atomic_write_text(tmp_path / ("d" * 300) / "x", "")


def test_an_output_folder_that_vanishes(tmp_path):
    folder = tmp_path / "out"
    with (
        pytest.raises(
            FileAccessError, match=r"out/a\.txt: access: got 'No such file or directory'"
        ),
        files.atomic_path(folder / "a.txt") as part,
    ):
        part.write_text("x")
        part.unlink()
        folder.rmdir()
    with (
        pytest.raises(FileAccessError, match=r"out/set: access"),
        files.atomic_directory(folder / "set") as part,
    ):
        part.rmdir()
        folder.rmdir()
        (part / "image.png").write_bytes(b"")


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").write_text("1")
    replace = Path.replace

    def refuse(self, to):
        if ".part" in self.name and Path(to) == target and not (self / "old").exists():
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", refuse)
    refused = pytest.raises(FileAccessError, match="set: access: got 'Permission denied'")
    with refused, files.atomic_directory(target) as part:
        (part / "new").write_text("2")
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_disk_that_is_read_only(plant, told):
    plant.draw()
    out = plant.home / "frozen"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(out)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        arguments = ("--card", plant.card(), "--out", out / "x", "--mirror", plant.home / "plates")
        line = told("acquire", *arguments)
        assert line.startswith(f"FileAccessError: {out}")
        assert "this disk is read only" in line
    finally:
        subprocess.run(["umount", str(out)], check=True)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "get the right to use it"),
        (errno.EROFS, "this disk is read only"),
        (errno.EIO, "check the disk"),
        (errno.EMFILE, "ulimit -n 4096"),
        (errno.ELOOP, "a link leads back to itself"),
        (errno.ESTALE, "the operating system refuses it"),
    ],
)
def test_each_refusal_of_a_verb_is_one_line(told, monkeypatch, number, words):
    def refuse(*_):
        raise OSError(number, os.strerror(number), "results/data/x")

    monkeypatch.setattr("defectbench.deploy.predict.predict", refuse)
    line = told("predict", "--model", "m.onnx", "--pack", "p", "--out", "o.json")
    assert line.startswith(
        f"FileAccessError: results/data/x: access: got {os.strerror(number)!r}; "
    )
    assert words in line


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ValueError("Error while serializing: I/O error (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line(told, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr("defectbench.deploy.predict.predict", refuse)
    line = told("predict", "--model", "m.onnx", "--pack", "p", "--out", "o.json")
    assert line.startswith("DiskFullError: ")
    assert "make room on this disk" in line


def test_no_space_for_an_output_whose_folder_is_gone_is_still_named(tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(DiskFullError), files.atomic_path(folder / "a") as part:
        folder.rmdir()
        raise OSError(errno.ENOSPC, "No space left on device", str(part))


@pytest.mark.parametrize("error", [KeyError("map50"), TypeError("x"), ZeroDivisionError("y")])
def test_an_error_of_the_program_keeps_its_traceback(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("defectbench.deploy.predict.predict", fail)
    with pytest.raises(type(error)):
        main(["predict", "--model", "m.onnx", "--pack", "p", "--out", "o.json"])


def test_inputs_that_are_refused_are_named_by_themselves(tmp_path):
    with pytest.raises(FileNotFoundError, match="input"), files.atomic_path(tmp_path / "a"):
        (tmp_path / "input").read_bytes()


def test_a_network_disk_that_cannot_sync_a_folder(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse(handle):
        if Path(os.readlink(f"/proc/self/fd/{handle}")).is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    files.atomic_write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_names_that_the_terminal_cannot_show(tmp_path):
    program = "import sys; from defectbench.cli import main; sys.exit(main(['predict', '--model', '划痕.onnx', '--pack', 'p', '--out', 'o']))"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run(
        ["python", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("ArtifactError: \\u5212\\u75d5.onnx: ")
