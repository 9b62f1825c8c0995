"""From a bare folder to the model to deploy, as a user goes: one command adopts, trains, says and checks."""

import os
import sys
from pathlib import Path

import pytest
from tests.e2e.planning import snakemake
from tests.own_pictures import a_plant

from defectbench.advice.recommending import Asked, recommend
from defectbench.base.errors import ConfigError
from defectbench.base.files import read_json
from defectbench.cli import main
from defectbench.data.adoption.adopting import adopt

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "models", "reports")

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    home = tmp_path / "checkout"
    home.mkdir()
    for name in LINKS:
        (home / name).symlink_to(ROOT / name)
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ["PATH"]]))
    monkeypatch.chdir(home)
    return home


@pytest.mark.slow
def test_a_folder_leads_to_a_deployed_model_that_finds_what_was_scored(checkout, tmp_path, capsys):
    lines = []
    adopt(a_plant(tmp_path / "plant", 24), lines.append, root=checkout)
    out = recommend("plant", lines.append, Asked(minutes=0.1, size=64, cores=2), checkout)
    said = "\n".join(lines)
    assert "this is too short for any method to learn" in said
    assert "left out" in said
    assert "On the front of mAP50 against time: " in said
    assert "the best F1 on the validation part, since it has 0 defect-free pictures" in said
    assert "by the validation part alone, where it scores " in said
    assert "On the test part it scores " in said
    assert "the script says what is stored: " in said
    assert "no score stands" not in said
    assert "mAP50" in capsys.readouterr().out
    readme = (out / "README.md").read_text()
    assert "| mAP50, % |" in readme
    assert "time, as a multiple of the reference model's" in readme
    assert main(["predict", str(tmp_path / "plant"), "--model", str(out / "model.onnx")]) == 0
    assert len(read_json(Path("predictions") / "plant" / "images.json")["images"]) == 24


def test_one_call_of_the_workflow_adopts_a_folder(checkout, tmp_path):
    a_plant(tmp_path / "my plant", 12)
    status, said = snakemake(checkout, "my", "--config", f"data={tmp_path / 'my plant'}")
    assert status == 0, said
    assert (checkout / "config" / "my-my-plant.yaml").is_file()
    parts = checkout / "results" / "data" / "my-plant" / "clean" / "split0"
    assert (parts / "test.txt").is_file()
    shared = read_json(parts / "certificate.json")["figures"]["shared_images"]
    assert set(shared.values()) == {0}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(minutes=0), "--minutes"),
        (Asked(overkill=5), "--overkill"),
        (Asked(size=100), "--size"),
    ],
)
def test_what_is_asked_for_is_checked_before_anything_runs(asked, words, checkout, tmp_path):
    adopt(a_plant(tmp_path / "plant", 12), lambda line: None, root=checkout)
    with pytest.raises(ConfigError, match=words):
        recommend("plant", lambda line: None, asked, checkout)


def test_a_set_that_was_not_adopted_is_named_with_those_that_were(checkout, tmp_path):
    adopt(a_plant(tmp_path / "plant", 12), lambda line: None, root=checkout)
    with pytest.raises(ConfigError, match="adopted are plant"):
        recommend("plnat", lambda line: None, root=checkout)
