"""Files of the future: brought back in their order, and nothing else is touched."""

import os
import time

from defectbench.base.clock import bring_back


def write(path, seconds_from_now):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    stamp = time.time() + seconds_from_now
    os.utime(path, (stamp, stamp))
    return path


def times(*paths):
    return [path.stat().st_mtime_ns for path in paths]


def test_files_of_the_future_come_back_in_their_order(tmp_path):
    raw = write(tmp_path / "data" / "steel" / "source.json", 3600)
    pack = write(tmp_path / "data" / "steel" / "clean" / "train.safetensors", 7200)
    model = write(tmp_path / "mine" / "runs" / "model.onnx", 9000)
    old = write(tmp_path / "mine" / "study.json", -50)
    before = times(raw, pack, model, old)
    assert "3 files are from the future, by up to 150 minutes" in bring_back(tmp_path)
    after = times(raw, pack, model, old)
    assert after[0] < after[1] < after[2] <= time.time_ns()
    assert after[2] > time.time_ns() - 60e9
    assert after[1] - after[0] == before[1] - before[0]
    assert after[3] == before[3]
    assert bring_back(tmp_path) is None


def test_what_is_not_far_ahead_or_kept_apart_is_left(tmp_path):
    near = write(tmp_path / "data" / "annotations.json", 20)
    kept = write(tmp_path / "reference" / "neu-det" / "train.json", 9000)
    before = times(near, kept)
    assert bring_back(tmp_path, "reference") is None
    assert times(near, kept) == before
    assert bring_back(tmp_path / "nothing there") is None


def test_a_folder_that_is_one_output_is_known_by_its_stamp(tmp_path):
    image = write(tmp_path / "data" / "images" / "a.png", 9000)
    stamp = write(tmp_path / "data" / "images" / ".snakemake_timestamp", 9000)
    (before,) = times(image)
    assert "1 files" in bring_back(tmp_path)
    assert times(image) == [before]
    assert stamp.stat().st_mtime <= time.time()


def test_a_link_is_not_followed(tmp_path):
    target = write(tmp_path / "elsewhere" / "set.zip", 9000)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "link").symlink_to(target.parent)
    before = times(target)
    bring_back(tmp_path / "results")
    assert times(target) == before


def test_times_that_may_not_be_changed_are_told(tmp_path, monkeypatch):
    write(tmp_path / "data" / "a.json", 9000)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    assert "cannot be changed: [Errno 13] Permission denied" in bring_back(tmp_path)
