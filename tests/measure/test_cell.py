"""Controls of a dataset and protocol in one process; what is measured of a cell loads no torch."""

import json
import subprocess
import sys

import pytest
from measure_cases import make_truth

from defectbench.base.errors import ConfigError
from defectbench.base.records import read_record
from defectbench.measure.cell import measure_controls


@pytest.fixture
def home(tmp_path):
    """Three images with a box each, the last one for test, split by seed 2."""
    truth = make_truth([[(0, [10, 20, 40, 40])], [(0, [12, 20, 40, 40])], [(0, [11, 20, 40, 40])]])
    (tmp_path / "annotations.json").write_text(json.dumps(truth))
    parts = tmp_path / "clean" / "split2"
    parts.mkdir(parents=True)
    (parts / "train.txt").write_text("image1.png\nimage2.png\n")
    (parts / "test.txt").write_text("image3.png\n")
    names = [image["file_name"] for image in truth["images"]]
    rows = "".join(f"{n},{name},{n}\n" for n, name in enumerate(names))
    (tmp_path / "groups.csv").write_text("image_id,file_name,group\n" + rows)
    head = "image_a,image_b,dx,dy,correlation,shared_area,kind\n"
    (tmp_path / "overlaps.csv").write_text(head)
    return tmp_path


def test_each_control_has_predictions_and_a_score(home, tmp_path):
    out = tmp_path / "runs" / "clean"
    measure_controls(["oracle", "memoriser"], home, "clean", out, split_seed=2)
    scores = {
        kind: read_record(out / f"control_{kind}" / "seed0" / "accuracy.json", "accuracy")
        for kind in ("oracle", "memoriser")
    }
    assert scores["oracle"]["figures"]["map50"] == pytest.approx(1.0)
    assert scores["memoriser"]["figures"]["map50"] == 0  # nothing overlaps
    assert scores["oracle"]["inputs"]["images"]["path"].endswith("clean/split2/test.txt")


def test_a_control_that_there_is_not_is_named(home, tmp_path):
    with pytest.raises(ConfigError, match="'magic'"):
        measure_controls(["magic"], home, "clean", tmp_path / "runs", split_seed=2)


@pytest.mark.parametrize(
    "module",
    ["measure.cell", "measure.race", "data.pack", "data.split", "data.certificate", "data.groups"],
)
def test_what_trains_nothing_loads_no_torch(module):
    program = f"import sys, defectbench.{module}; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
