"""Records carry their inputs by hash, and only the expected kind is read back."""

import os
import re

import pytest

from defectbench.base import records
from defectbench.base.errors import ConfigError
from defectbench.base.records import read_record, write_record


def test_round_trip_with_inputs_by_hash(tmp_path):
    source = tmp_path / "model.onnx"
    source.write_bytes(b"abc")
    path = tmp_path / "accuracy.json"
    written = write_record(path, "accuracy", {"map50": 0.5}, {"model": source}, 1.23456)
    assert read_record(path, "accuracy") == written
    assert written["inputs"]["model"]["sha256"].startswith("ba7816bf")
    assert written["seconds"] == 1.235
    assert written["hardware"]["cores"] >= 1
    assert written["software"]["python"]


def test_wrong_kind_is_refused(tmp_path):
    write_record(tmp_path / "a.json", "train", {}, {})
    with pytest.raises(ConfigError, match="kind: got 'train'"):
        read_record(tmp_path / "a.json", "accuracy")


def test_missing_input_leaves_no_record(tmp_path):
    with pytest.raises(ConfigError, match="input file"):
        write_record(tmp_path / "a.json", "train", {}, {"pack": tmp_path / "none"})
    assert list(tmp_path.iterdir()) == []


def test_another_schema_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"schema": "other/9", "kind": "train"}')
    with pytest.raises(ConfigError, match="schema: got 'other/9'"):
        read_record(tmp_path / "a.json", "train")


def test_a_machine_that_hides_itself_has_a_card_all_the_same(tmp_path, monkeypatch):
    def hidden(*_, **__):
        raise ValueError("unrecognized configuration name")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(records.os, "sysconf", hidden)
    monkeypatch.setattr(records.os, "sched_getaffinity", refused)
    monkeypatch.setattr(records.Path, "read_text", refused)
    card = records.hardware_card.__wrapped__()
    assert (card["memory_gib"], card["board"], card["machine"]) == (None, None, None)
    assert card["cores"] == os.cpu_count()
    assert card["architecture"]


def test_machines_of_one_kind_have_keys_that_name_neither(monkeypatch):
    def key_of(**files):
        texts = {"/etc/machine-id": files.get("own"), "/proc/sys/kernel/random/boot_id": "b-1\n"}
        monkeypatch.setattr(records, "_text", texts.get)
        return records.machine_key()

    first, second = key_of(own="0123\n"), key_of(own="4567\n")
    assert first == key_of(own="0123\n") != second
    assert re.fullmatch("[0-9a-f]{8}", first)
    assert "0123" not in first
    assert key_of() == key_of(own="uninitialized\n") not in (first, second, None)
