"""The contract of every card in datasets/. A new card is tested by being there."""

import gzip
from pathlib import Path

import pytest
import yaml

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError

ROOT = Path(__file__).parents[2]
CARDS = sorted((ROOT / "datasets").glob("*.yaml"))


@pytest.fixture(params=CARDS, ids=lambda path: path.stem)
def card(request):
    return load_dataset_card(request.param)


def test_says_where_it_comes_from_and_under_which_licence(card):
    assert card.licence
    assert card.source.kind == "synthetic" or (card.source.home and card.cite)
    assert card.source.kind == "synthetic" or card.source.place_here


def test_every_class_and_alias_has_an_id(card):
    assert [card.class_id(name) for name in card.classes] == list(range(len(card.classes)))
    assert all(card.class_id(alias) is not None for alias in card.aliases)
    assert card.class_id("no such class") is None


def test_manifest_lists_sha256_and_relative_names(card):
    if card.source.manifest:
        with gzip.open(card.folder / card.source.manifest, "rt") as handle:
            rows = [line.rstrip("\n").split("  ", 1) for line in handle]
        assert rows
        assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest, _ in rows)
        assert all(not Path(name).is_absolute() and ".." not in name for _, name in rows)
        assert card.expected is None or len(rows) == 2 * card.expected.images


def test_no_image_of_a_dataset_is_kept_here():
    suffixes = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
    assert not [p for p in (ROOT / "datasets").rglob("*") if p.suffix.lower() in suffixes]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": "other"}, "name"), ({"colour": "grey"}, "colour"), ({"classes": []}, "classes")],
)
def test_wrong_card_is_named(tmp_path, change, field):
    content = yaml.safe_load((ROOT / "datasets" / "neu-det.yaml").read_text())
    (tmp_path / "neu-det.yaml").write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ConfigError) as caught:
        load_dataset_card(tmp_path / "neu-det.yaml")
    assert caught.value.field == field
