"""Results and truth of other programs: every field that does not fit is named, whoever reads them."""

import copy
import json

import pytest
from measure_cases import make_box, make_truth

from defectbench.base.errors import ConfigError, DefectBenchError, MeasurementError
from defectbench.data.truth import read_truth
from defectbench.measure.results import check_results, read_results

TRUTH = make_truth([[(0, [0, 0, 10, 10])], [(1, [5, 5, 20, 20])]])
GOOD = make_box(1, 0, [1, 1, 9, 9], 0.9)


def checked(change):
    return check_results([GOOD | change], TRUTH, "predictions.json")


@pytest.mark.parametrize("field", ["image_id", "category_id", "bbox", "score"])
@pytest.mark.parametrize(
    "value",
    [
        "0.9",
        "1",
        None,
        True,
        float("nan"),
        float("inf"),
        [1],
        {},
        10**400,
        -1,
        1e308,
        [1, 1, 9],
        [1, 1, 9, "9"],
        [1, 1, 9, None],
        [1, 1, -9, 9],
        [1, True, 9, 9],
        [1, 1, 1e308, 9],
    ],
)
def test_each_value_of_a_wrong_kind_is_named_with_its_field(field, value):
    with pytest.raises(MeasurementError, match=f"predictions.json: result 0 {field}: got "):
        checked({field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 9}, "image_id: got 9; predict on the part that is scored"),
        ({"image_id": "1"}, "image_id: got '1'; write the image's id"),
        ({"category_id": 9}, r"category_id: got 9; classes are \[0, 1\]"),
        ({"bbox": [9, 9, -5, -5]}, "not corners"),
        ({"bbox": [999, 9, 5, 5]}, "it lies beside its image of"),
        ({"bbox": [-9, 9, 5, 5]}, "it lies beside its image of"),
        ({"bbox": [0.2, 0.3, 0.1, 0.1]}, "fractions of the image's sides; write pixels"),
        ({"score": 97.0}, "from 0 to 1"),
        ({"score": -0.1}, "from 0 to 1"),
    ],
)
def test_the_remedy_fits_the_fault(change, message):
    with pytest.raises(MeasurementError, match=message):
        checked(change)


def test_whole_numbers_with_a_point_are_read_and_other_fields_left_out():
    rows = checked({"image_id": 1.0, "category_id": 0.0, "bbox": [1, 1, 9, 9], "segmentation": []})
    assert rows == [GOOD]
    assert [type(rows[0][name]) for name in ("image_id", "category_id")] == [int, int]
    assert checked({"score": 1.0000002})[0]["score"] == 1.0000002
    assert checked({"bbox": [0, 0, 0, 4]})[0]["bbox"][2] == 0  # some programs write such a box


def test_a_result_that_stands_twice_is_named():
    with pytest.raises(MeasurementError, match=r"result 2: .* it is result 0 once more"):
        check_results([GOOD, GOOD | {"score": 0.8}, GOOD], TRUTH, "predictions.json")


@pytest.mark.parametrize("content", [{"annotations": [GOOD]}, "text", None, 3, [None], [[]], [{}]])
def test_what_is_no_result_list_is_named(content):
    for task in ("detection", "classification"):
        with pytest.raises(MeasurementError, match=r"predictions\.json"):
            check_results(content, TRUTH, "predictions.json", task)


@pytest.mark.parametrize(
    "probabilities",
    [
        "0.9",
        None,
        0.9,
        [0.5],
        [0.5, 0.2, 0.3],
        [0.5, "0.5"],
        [0.5, None],
        [True, 0],
        [[0.5, 0.5]],
        [float("nan"), 0.5],
        [float("inf"), 0],
        [-0.5, 1.5],
        [3.2, -1.1],
        {},
        [10**400, 0],
    ],
)
def test_probabilities_of_a_wrong_kind_are_named(probabilities):
    rows = [
        {"image_id": 1, "probabilities": [1, 0]},
        {"image_id": 2, "probabilities": probabilities},
    ]
    with pytest.raises(MeasurementError, match=r"result 1 probabilities: got .*give 2 finite"):
        check_results(rows, TRUTH, "predictions.json", "classification")


@pytest.mark.parametrize("ids", [[1], [1, 2, 2], [1, 1], [1, 2, 3], ["1", 2], [None, 2], []])
def test_a_classifier_speaks_of_each_image_once(ids):
    rows = [{"image_id": key, "probabilities": [1, 0]} for key in ids]
    with pytest.raises(MeasurementError):
        check_results(rows, TRUTH, "predictions.json", "classification")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_json_is_read(tmp_path, encoding):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([GOOD]), encoding=encoding)
    assert read_results(path, TRUTH) == [GOOD]


@pytest.mark.parametrize("content", [b"", b"[", b"\xc3(", b"[" * 100_000, b"9" * 5000, b"{}{}"])
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "predictions.json"
    path.write_bytes(content)
    with pytest.raises(DefectBenchError, match=r"predictions\.json"):
        read_results(path, TRUTH)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images",), None),
        (("images", 0), 3),
        (("images", 0, "id"), "1"),
        (("images", 0, "id"), 2),
        (("images", 0, "file_name"), 7),
        (("annotations",), {}),
        (("annotations", 0, "image_id"), 9),
        (("annotations", 0, "category_id"), [0]),
        (("annotations", 0, "bbox"), [0, 0, 10]),
        (("annotations", 0, "bbox"), [0, 0, -1, 10]),
        (("annotations", 0, "bbox"), "0 0 1 1"),
        (("annotations", 0, "bbox"), [0, 0, 10**400, 1]),
        (("annotations", 0, "area"), "100"),
        (("annotations", 0, "area"), float("nan")),
        (("annotations", 0, "area"), -1),
        (("annotations", 0, "iscrowd"), {"counts": []}),
        (("annotations", 0, "iscrowd"), 0.5),
        (("categories", 0, "id"), None),
        (("categories", 0, "name"), 0),
        (("info",), []),
    ],
)
def test_truth_of_another_program_is_checked_as_well(tmp_path, place, value):
    content = copy.deepcopy(TRUTH)
    *above, last = place
    entry = content
    for key in above:
        entry = entry[key]
    entry[last] = value
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    with pytest.raises(MeasurementError, match=r"annotations\.json"):
        read_truth(path)


def test_truth_without_areas_gets_them(tmp_path):
    content = copy.deepcopy(TRUTH)
    for box in content["annotations"]:
        del box["area"], box["iscrowd"]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    assert [box["area"] for box in read_truth(path, "detection")["annotations"]] == [100, 400]
    with pytest.raises(ConfigError, match="task: got 'detection'"):
        read_truth(path, "classification")
