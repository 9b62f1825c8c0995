"""Lists drawn from registered hashes: sizes by the rule, equal files together, named errors."""

import csv
import gzip
from collections import Counter

import pytest
from steel_like import CLASSES, card

from defectbench.base.errors import ConfigError
from defectbench.cli import main
from defectbench.data.published import draw_lists

SIZES = {"crazing": 10, "inclusion": 23, "rolled-in_scale": 7}


@pytest.fixture
def the_card(tmp_path):
    """A set of 40 images; the first three of each class are the same file."""
    lines = [
        f"{f'{CLASSES.index(name)}{max(k, 3)}'.rjust(64, '0')}  IMAGES/{name}/{name[0]}{k}.png\n"
        for name, size in SIZES.items()
        for k in range(1, size + 1)
    ]
    (tmp_path / "list.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return card(
        task="classification",
        layout={"images": ["IMAGES"], "format": "folders"},
        source={"kind": "archive", "manifest": "list.gz"},
        folder=tmp_path,
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_fifth_of_each_class_is_for_test_and_equal_files_stay_together(the_card, seed):
    rows, _ = draw_lists(the_card, seed=seed)
    parts = dict(rows)
    assert len(parts) == len(rows) == 40
    found = Counter((name[0], part) for name, part in rows)
    assert [found[c, "test"] for c in "ci"] == [2, 5]
    assert [found[c, "val"] for c in "cir"] == [1, 2, 0]
    assert found["r", "test"] == 2
    for letter in "cir":
        assert len({parts[f"{letter}{k}.png"] for k in (1, 2, 3)}) == 1


def test_the_thin_list_begins_the_training_rows_of_each_class(the_card):
    counts = {"crazing": 3, "inclusion": 8}
    rows, thin = draw_lists(the_card, counts)
    assert Counter(name for _, name in thin) == counts
    train = [name for name, part in rows if part == "train"]
    for letter, count in (("c", 3), ("i", 8)):
        first = [name for name in train if name[0] == letter][:count]
        assert [name for name, _ in thin if name[0] == letter] == first


def test_the_seed_is_all_that_matters(the_card):
    assert draw_lists(the_card) == draw_lists(the_card)
    assert draw_lists(the_card) != draw_lists(the_card, seed=1)


def test_more_images_than_there_are_is_refused(the_card):
    with pytest.raises(ConfigError, match=r"counts\.crazing: got 7; ask for fewer"):
        draw_lists(the_card, {"crazing": 8})


def test_a_card_whose_list_tells_no_class_is_refused(the_card, tmp_path):
    with pytest.raises(ConfigError, match="needs a `manifest` and the format `folders`"):
        draw_lists(card())
    (tmp_path / "list.gz").write_bytes(gzip.compress(f"{'0' * 64}  LICENSE\n".encode()))
    with pytest.raises(ConfigError, match="manifest: got 'LICENSE'"):
        draw_lists(the_card)


def test_the_verb_writes_both_lists(the_card, tmp_path):
    text = the_card.model_dump_json(exclude={"folder"})
    (tmp_path / "steel-like.yaml").write_text(text)  # JSON is YAML
    out, thin = tmp_path / "parts.csv", tmp_path / "thin.csv"
    files = ["--card", f"{tmp_path}/steel-like.yaml", "--out", str(out), "--thin-out", str(thin)]
    assert main(["draw-lists", *files, "--thin=1", "--thin=2", "--thin=3"]) == 0
    with out.open() as handle:
        assert [tuple(row) for row in csv.reader(handle)][1:] == draw_lists(the_card)[0]
    assert len(thin.read_text().splitlines()) == 7
    assert main(["draw-lists", *files, "--thin", "1"]) != 0
