"""Records that were damaged or written by hand: every field that does not fit, or is missing, is named."""

import codecs
import json

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.records import read_record

SHA = "0" * 64
GOOD = {
    "schema": "defectbench/1",
    "kind": "accuracy",
    "figures": {
        "map50": 0.5,
        "map50_low": 0.4,
        "map_small": None,
        "n_images": 3,
        "valid": True,
        "invalid_because": [],
        "per_class": {"pit": {"ap50": 0.5, "n_boxes": 2}},
        "confusion": [[1, 0], [0, 2]],
    },
    "inputs": {"model": {"path": "model.onnx", "sha256": SHA}},
    "settings": {},
    "seed": 0,
}


@pytest.fixture
def write(tmp_path):
    def write(content, head=b""):
        path = tmp_path / "accuracy.json"
        path.write_bytes(head + json.dumps(content).encode())
        return path

    return write


def changed(content, place, value):
    *above, last = place
    entry = copy = json.loads(json.dumps(content))
    for key in above:
        entry = entry[key]
    entry[last] = value
    return copy


@pytest.mark.parametrize("head", [b"", codecs.BOM_UTF8])
def test_a_good_record_is_read(write, head):
    assert read_record(write(GOOD, head), "accuracy") == GOOD


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("figures",), []),
        (("figures",), None),
        (("figures", "map50"), "0.5"),
        (("figures", "map50"), None),
        (("figures", "map50"), True),
        (("figures", "map50"), float("nan")),
        (("figures", "map50"), [0.5]),
        (("figures", "map50_low"), float("-inf")),
        (("figures", "map_small"), "n/a"),
        (("figures", "n_images"), "3"),
        (("figures", "valid"), "yes"),
        (("figures", "valid"), 1),
        (("figures", "invalid_because"), "load"),
        (("figures", "per_class"), [1]),
        (("figures", "per_class", "pit"), 0.5),
        (("figures", "per_class", "pit", "ap50"), "0.5"),
        (("figures", "confusion"), [[1, 0], [0]]),
        (("figures", "confusion"), [[1, "0"], [0, 2]]),
        (("inputs",), "model.onnx"),
        (("inputs", "model"), "model.onnx"),
        (("inputs", "model", "sha256"), 0),
        (("inputs", "model", "path"), None),
        (("settings",), "none"),
        (("seed",), "0"),
        (("seed",), True),
    ],
)
def test_a_field_of_another_type_is_named(write, place, value):
    name = r"\.".join(place[:2])
    with pytest.raises(ConfigError, match=rf"accuracy\.json: {name}: got .*make it again"):
        read_record(write(changed(GOOD, place, value)), "accuracy")


@pytest.mark.parametrize("content", [[], None, 3, "text", [GOOD]])
def test_what_is_no_record_is_named(write, content):
    with pytest.raises(ConfigError, match=r"accuracy\.json: content"):
        read_record(write(content), "accuracy")


def test_a_field_that_is_missing_is_named_where_it_is_asked_for(write):
    record = read_record(write(GOOD), "accuracy")
    for ask, name in (
        (lambda: record["recipe"], "recipe"),
        (lambda: record["figures"]["map75"], r"figures\.map75"),
        (lambda: record["inputs"]["pack"]["path"], r"inputs\.pack"),
        (lambda: record["figures"]["per_class"]["dent"], r"figures\.per_class\.dent"),
    ):
        with pytest.raises(ConfigError, match=rf"accuracy\.json: {name}: got 'nothing'"):
            ask()
    assert record.get("recipe") is None
    assert "map75" not in record["figures"]


def test_a_record_in_another_encoding_says_so(tmp_path):
    path = tmp_path / "accuracy.json"
    path.write_bytes(json.dumps(GOOD | {"note": "Lücke"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        read_record(path, "accuracy")
