"""The page of methods and datasets."""

from pathlib import Path

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
