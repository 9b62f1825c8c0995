"""What must hold for any results, truth and records: read, or a named error; and no writing of them changes a score."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measure_cases import make_box, make_truth, random_case

from defectbench.base.errors import DefectBenchError
from defectbench.base.record_fields import Fields, check_fields
from defectbench.data.truth import read_truth
from defectbench.measure.evaluator import score
from defectbench.measure.results import check_results, read_results

TRUTH = make_truth([[(0, [0, 0, 10, 10])], [(1, [5, 5, 20, 20])]])
GOOD = make_box(1, 0, [1, 1, 9, 9], 0.9)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
) | st.sampled_from([10**400, 1, 2, 0, "1", [1, 1, 9, 9], 0.9])
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def tried(read):
    """What is read, or None and the words of a named error."""
    try:
        return read(), ""
    except DefectBenchError as error:
        return None, str(error)


@quick
@given(
    content=trees | st.lists(st.fixed_dictionaries(dict.fromkeys(GOOD, leaves))),
    task=st.sampled_from(["detection", "classification"]),
)
def test_any_list_is_read_or_named(content, task):
    rows, told = tried(lambda: check_results(content, TRUTH, "predictions.json", task))
    assert told.startswith("predictions.json: ") == (rows is None)
    if rows is not None:
        assert check_results(rows, TRUTH, "predictions.json", task) == rows


@quick
@given(place=st.integers(0, 2), field=st.integers(0, 9), value=trees)
def test_any_truth_is_read_or_named(tmp_path, place, field, value):
    content = json.loads(json.dumps(TRUTH))
    entries = content[("images", "annotations", "categories")[place]]
    names = sorted(entries[0])
    entries[0][names[field % len(names)]] = value
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    truth, told = tried(lambda: read_truth(path))
    assert ("annotations.json" in told) == (truth is None)
    if truth is not None:
        score(truth, [])


@quick
@given(
    name=st.sampled_from(["map50", "per_class", "confusion", "images", "valid", "x"]), value=trees
)
def test_any_record_is_read_or_named(name, value):
    record = {"figures": {name: value}, "inputs": {}}
    _, told = tried(lambda: check_fields("record.json", record))
    assert not told or told.startswith(f"record.json: figures.{name}: got ")
    assert set(Fields.of(record, "record.json")) == set(record)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_no_writing_of_a_list_changes_its_score(tmp_path, seed, data):
    truth, results = random_case(seed, images=4, detections=8)
    order = data.draw(st.permutations(range(len(results))))
    as_floats = data.draw(st.booleans())
    rows = [results[n] for n in order]
    if as_floats:
        rows = [row | {"image_id": float(row["image_id"]), "extra": "划痕"} for row in rows]
    text = json.dumps(rows, ensure_ascii=False, indent=data.draw(st.sampled_from([None, 3])))
    path = tmp_path / "predictions.json"
    path.write_text(text, encoding=data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    read = score(truth, read_results(path, truth))
    np.testing.assert_array_equal(read.precision, score(truth, results).precision)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.integers(1, 1000))
def test_other_names_and_numbers_of_images_change_no_score(seed, shift):
    truth, results = random_case(seed, images=4, detections=8)
    renamed = json.loads(json.dumps(truth))
    for image in renamed["images"]:
        image["id"] += shift
        image["file_name"] = f"划痕 {image['id']}.png"
    for box in renamed["annotations"]:
        box["image_id"] += shift
    moved = [row | {"image_id": row["image_id"] + shift} for row in results]
    expected = score(truth, results)
    assert score(renamed, check_results(moved, renamed, "p")).map50_95 == pytest.approx(
        expected.map50_95, nan_ok=True
    )
