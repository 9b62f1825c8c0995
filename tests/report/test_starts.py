"""Tables say where rows of different starts stand beside each other."""

from pathlib import Path

from defectbench.base.methods import load_card
from defectbench.report.columns import start_notes
from defectbench.report.site.method import card_facts

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
