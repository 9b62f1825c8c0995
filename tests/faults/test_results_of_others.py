"""Results of another tool, as a user hands them to the command."""

import json

import pytest

from defectbench.cli import main
from defectbench.data.split import split


@pytest.fixture
def score(plant, capsys):
    """Scores one changed result on the test part of a small set; says what the command says."""
    data = plant.convert(plant.draw(count=24))
    from defectbench.data.groups import group_images
    from defectbench.data.overlap import find_overlaps

    find_overlaps(data)
    group_images(data)
    split(data, "random")
    parts = data / "random" / "split0"
    content = json.loads((data / "annotations.json").read_text())
    listed = (parts / "test.txt").read_text().split("\n")
    image = next(i["id"] for i in content["images"] if i["file_name"] in listed)
    good = {"image_id": image, "category_id": 0, "bbox": [1, 1, 9, 9], "score": 0.9}

    def run(change):
        file = data / "x.json"
        file.write_text(json.dumps([good | change]))
        truth = {"annotations": data / "annotations.json", "images": parts / "test.txt"}
        options = {
            **truth,
            "groups": data / "groups.csv",
            "predictions": file,
            "out": data / "a.json",
        }
        status = main(["evaluate", *(str(t) for n, v in options.items() for t in (f"--{n}", v))])
        return status, capsys.readouterr().err

    return run


def test_a_good_result_is_scored(score):
    assert score({}) == (0, "")


@pytest.fixture
def scored_with(score, tmp_path, capsys):
    """Score a good result with one of its files changed; what is said."""
    data = tmp_path / "results" / "data" / "my-steel"

    def run(name, change):
        path = data / name
        path.write_text(change(path.read_text()))
        status, told = score({})
        assert status == 2
        assert told.startswith("MeasurementError: ")
        assert told.count("\n") == 1
        return told

    return run


LIST = "random/split0/test.txt"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (LIST, lambda text: text + text, "file names: got 'plate_"),
        (LIST, lambda text: "\n", "file names: got 'none'; list each image of the part once"),
        (
            "groups.csv",
            lambda text: text + text.split("\n")[1].rpartition(",")[0] + ",999\n",
            "group of plate_0.png: got '999'; it is in group 0 already",
        ),
        (
            "annotations.json",
            lambda text: text.replace('"scratch"', '"pit"'),
            "categories name: got 'pit'",
        ),
    ],
)
def test_a_truth_that_says_two_things_is_named(scored_with, name, change, words):
    assert words in scored_with(name, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "0.9"}, "result 0 score: got '0.9'"),
        ({"score": None}, "result 0 score: got None"),
        ({"score": float("nan")}, "result 0 score: got nan"),
        ({"bbox": [1, 1, 9]}, "result 0 bbox: got [1, 1, 9]"),
        ({"bbox": [9, 9, -5, -5]}, "result 0 bbox: got [9, 9, -5, -5]"),
        ({"image_id": [1]}, "result 0 image_id: got [1]"),
        ({"image_id": "1"}, "result 0 image_id: got '1'"),
    ],
)
def test_what_does_not_fit_is_one_line(score, change, words):
    status, told = score(change)
    assert status == 2
    assert words in told
    assert told.startswith("MeasurementError: ")
    assert told.count("\n") == 1
