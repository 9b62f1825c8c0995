"""The page of methods and datasets."""

from pathlib import Path

from defectbench.base.cards import load_shelf
from defectbench.base.methods import load_card, method_names
from defectbench.documentation.shelves import shelves_page

ROOT = Path(__file__).parents[2]


def test_each_card_has_a_line_and_each_open_point_is_told():
    text = shelves_page(ROOT / "models", ROOT / "datasets").text
    for name in method_names(ROOT / "models"):
        card = load_card(ROOT / "models" / name)
        assert f"| {card.title} | `{name}` |" in text
        assert not [point for point in card.reconstructed if f"- {point}" not in text]
    for path in (ROOT / "datasets").glob("*.yaml"):
        assert f"| `{path.stem}` |" in text


def test_a_line_says_what_can_be_asked_of_a_method():
    lines = shelves_page(ROOT / "models", ROOT / "datasets").text.splitlines()
    cells = {line.split(" | ")[1]: line.split(" | ") for line in lines if line.count(" | ") == 7}
    assert cells["`nanodet_m`"][2:7:4] == ["detection", "`coco`"]
    assert cells["`yolov4`"][2:7:4] == ["detection, heavy, prunable", ""]
    assert cells["`patchcore_mobilenetv2`"][2:7:4] == ["anomaly", "`imagenet`"]


def test_the_page_says_how_each_set_is_got_and_what_is_unconfirmed():
    text = shelves_page(ROOT / "models", ROOT / "datasets").text
    for card in load_shelf(ROOT / "datasets"):
        assert not [page for page in card.source.pages if f"]({page.address})" not in text] or (
            card.source.urls
        )
        assert card.unconfirmed in text
        assert card.protocols.papers in text
    assert "| `aluminium-surface` |" in text
    assert "| allowed | allowed | allowed |" in text
