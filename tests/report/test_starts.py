"""Tables say where rows of different starts stand beside each other."""

from pathlib import Path

import pytest
from report_parts import build_site
from tests.report.shelf import Shelf

from defectbench.base.methods import load_card
from defectbench.report.columns import start_notes
from defectbench.report.records.study import read_study
from defectbench.report.site.method import card_facts
from defectbench.report.table import Picture
from defectbench.report.topics import by_class, detection, over_datasets
from defectbench.report.topics.engines import EngineRow, engine_table

NOTE = (
    "Rows from COCO start from weights that others trained on those data, all others from scratch."
)
MODELS = Path(__file__).parents[2] / "models"


def test_rows_of_two_starts_are_told_apart():
    (note,) = start_notes(["a", "a+from_coco", "b+from_imagenet_3epochs", "control_oracle"])
    assert note.startswith("Rows from COCO or from ImageNet start from weights that others")
    assert "all others from scratch" in note


def test_rows_of_one_start_need_no_comparison():
    assert start_notes(["a", "a+3epochs", "b+slim2mib"]) == []
    (note,) = start_notes(["a+from_coco", "control_oracle"])
    assert "no row from scratch" in note


def test_the_page_of_a_method_says_where_its_weights_come_from():
    card = load_card(MODELS / "nanodet_m")
    plain, started = (dict(card_facts(card, f"nanodet_m{own}")) for own in ("", "+from_coco"))
    assert "starts from weights of" not in plain
    assert started["starts from weights of"].startswith("COCO; nihui/ncnn-android-nanodet")
    assert started["licence of these weights"].startswith("Apache-2.0")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three rows on two sets, one of them from published weights."""
    root = tmp_path_factory.mktemp("shelf")
    (root / "models").mkdir()
    shelves = [Shelf(root, dataset) for dataset in ("steel", "wood")]
    for shelf in shelves:
        shelf.split("clean")
        for name, images in (("alpha", {1, 2, 3}), ("alpha+from_coco", None), ("beta", {1})):
            shelf.method(name, results=shelf.oracle(images))
    return root


@pytest.fixture(scope="module")
def study(root):
    return read_study([root / "results" / "runs"], root / "models")


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        (by_class, "per_class_steel_clean"),
        (detection, "comparison"),
        (detection, "pareto_wood_clean"),
        (over_datasets, "ranks"),
    ],
)
def test_it_is_said_wherever_such_rows_stand_together(study, topic, name):
    (part,) = [part for part in topic.parts(study) if part.name == name]
    told = part.caption if isinstance(part, Picture) else " ".join(part.notes)
    assert told.count(NOTE) == 1


def test_it_is_said_below_engines():
    rows = [
        EngineRow("steel", "clean", method, method, "ncnn", "fp32", 0.5)
        for method in ("alpha", "alpha+from_coco")
    ]
    assert any(note.startswith(NOTE) for note in engine_table(rows).notes)
    assert not any(NOTE in note for note in engine_table(rows[:1]).notes)


def test_it_is_said_where_methods_stand(root):
    out = root / "report"
    build_site([root / "results" / "runs"], out, "trial")
    overview = (out / "index.html").read_text()
    assert overview.count(NOTE) == 2  # once for each set
