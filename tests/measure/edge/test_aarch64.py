"""The runner on aarch64, by real libraries under qemu: its outputs are those of this machine, its times are no figures.

It takes over five seconds: Python, numpy and an engine are started six times by an emulator.
"""

import json

import numpy as np
import pytest
from tests import aarch64
from tests.edge_boards import SHORT, SSHD, WITHOUT_SSHD, Board, make_cell

from defectbench.base.engines import Form
from defectbench.base.records import read_record
from defectbench.deploy.convert_model import convert_model
from defectbench.measure.edge.packing import pack_cells
from defectbench.measure.edge.running import run_on_board

FORMS = [Form("onnxruntime"), Form("ncnn")]
SAME = 1e-4  # share of the side, and of a probability
FEW = SHORT.model_copy(update={"processes": 1, "rounds": 1, "burst_calls": 0})


@pytest.fixture(scope="module")
def python():
    try:
        return aarch64.python()
    except aarch64.NotHereError as reason:
        pytest.skip(str(reason))


@pytest.mark.skipif(SSHD is None, reason=WITHOUT_SSHD)
def test_outputs_on_aarch64_are_those_of_this_machine(python, tmp_path):
    cell = make_cell(tmp_path / "study")
    convert_model(cell / "model.onnx", Form("ncnn"), cell / Form("ncnn").model)
    bundle = pack_cells([cell], FORMS, tmp_path / "bundle", FEW, 3)
    board = Board(tmp_path / "board").start()
    try:
        host = board.host(tmp_path / "there", python=str(python))
        made = run_on_board(bundle, host, tmp_path / "qemu", "qemu", lambda line: None)
    finally:
        board.vanish()
    assert [folder.name for folder in made] == ["onnxruntime", "ncnn"]
    whole = json.loads((cell / "predictions.json").read_text())
    for folder in made:
        agreement = read_record(folder / "agreement.json", "agreement")
        differences = [v for k, v in agreement["figures"].items() if k.startswith("largest")]
        assert 0 < max(differences) < SAME or differences == [0.0, 0.0]
        latency = read_record(folder / "latency.json", "latency")
        assert latency["board"]["architecture"] == "aarch64"
        assert latency["emulated"] is True
        assert latency["figures"]["valid"] is False
        assert any("emulated" in reason for reason in latency["figures"]["invalid_because"])
        mine = json.loads((folder / "predictions.json").read_text())
        seen = {row["image_id"] for row in mine}
        expected = [row for row in whole if row["image_id"] in seen]
        assert len(seen) == 3
        assert len(mine) == len(expected)
        gaps = [abs(a["score"] - b["score"]) for a, b in zip(mine, expected, strict=True)]
        assert max(gaps) < SAME
        assert np.isfinite(gaps).all()
