"""The publisher's parts: read from lists of the set, and what is told where they do not fit."""

import pytest
from small_sets import blank_images, texture, write_dataset, write_overlaps
from steel_like import card

from defectbench.base.errors import SplitError
from defectbench.data.certificate import certify
from defectbench.data.coco import PARTS, read_part
from defectbench.data.groups import group_images
from defectbench.data.official import listed_stems, read_official
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split

BOTH = {"trainval": ["sets/train.txt"], "test": ["sets/test.txt"]}


def write_lists(raw, **lists):
    for name, lines in lists.items():
        (raw / "deep" / "sets").mkdir(parents=True, exist_ok=True)
        (raw / "deep" / "sets" / f"{name}.txt").write_text("\n".join(lines))
    return raw


def names(*numbers):
    return [f"pit_{k}.png" for k in numbers]


@pytest.fixture
def folder(tmp_path):
    """Thirty images, of which the publisher keeps the last ten for test."""
    folder = write_dataset(tmp_path / "set", blank_images(30))
    write_overlaps(folder, [("pit_0.png", "pit_29.png", 1, 0, 0.9)])
    write_lists(folder / "raw", train=names(*range(20)), test=names(*range(20, 30)))
    return folder


def test_val_is_drawn_from_trainval_by_the_seed(folder):
    publishers = card(official=BOTH)
    drawn = [split(folder, "official", seed, card=publishers) for seed in (0, 0, 1)]
    for parts in drawn:
        assert sorted(parts["test"]) == sorted(names(*range(20, 30)))
        assert sorted(parts["train"] + parts["val"]) == sorted(names(*range(20)))
        assert len(parts["val"]) == 2  # an eighth of 20, as 0.1 is of 0.8
    assert drawn[0] == drawn[1] != drawn[2]
    assert read_part(folder / "official" / "split1", "val") == sorted(drawn[2]["val"])


def test_the_certificate_measures_what_the_publisher_gives_away(folder):
    split(folder, "official", card=card(official=BOTH))
    group_images(folder)
    figures = certify(folder, "official")["figures"]
    assert figures["leak_share"] == 0.1


def test_a_publishers_own_val_is_taken(folder):
    write_lists(folder / "raw", train=names(*range(15)), val=names(*range(15, 20)))
    lists = {part: [f"sets/{part}.txt"] for part in PARTS}
    parts = split(folder, "official", 3, card=card(official=lists))
    assert sorted(parts["val"]) == sorted(names(*range(15, 20)))


@pytest.mark.parametrize(
    "line",
    ["pit_3", "pit_3.png", "IMAGES/Pit_3.JPG labels/pit_3.txt", "a\\b\\pit_3.png -1", " pit_3  1 "],
)
def test_a_line_begins_with_an_image(tmp_path, line):
    raw = write_lists(tmp_path, train=["", "2.5mm_1"], test=[line])
    stems = listed_stems(card(official=BOTH).official, raw)
    assert stems == {"trainval": ["2.5mm_1"], "test": ["pit_3"]}


def test_names_of_images_may_have_more_behind(tmp_path):
    raw = write_lists(tmp_path, train=["g/0001.jpg g/0001.txt"], test=["g/0002.jpg g/0002.txt"])
    publishers = card(official={**BOTH, "behind": "_test"})
    parts = read_official(publishers, raw, ["0001_test.jpg", "0002_test.jpg"])
    assert parts == {"trainval": ["0001_test.jpg"], "test": ["0002_test.jpg"]}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([*range(21)], [*range(20, 30)], "pit_20"),
        ([*range(20)], [*range(20, 31)], "got 'pit_30'; .*no image bears that name"),
        ([*range(19)], [*range(20, 30)], r"pit_19\.png.*1 of 30 images"),
    ],
)
def test_lists_that_do_not_hold_each_image_once(folder, train, test, message):
    write_lists(folder / "raw", train=names(*train), test=names(*test))
    with pytest.raises(SplitError, match=message):
        split(folder, "official", card=card(official=BOTH))


def test_a_list_that_is_missing_or_there_twice(folder):
    (folder / "raw" / "deep" / "sets" / "test.txt").unlink()
    with pytest.raises(SplitError, match=r"sets/test\.txt: got 'nothing'"):
        split(folder, "official", card=card(official=BOTH))
    for place in ("a", "b"):
        (folder / "raw" / place / "sets").mkdir(parents=True)
        (folder / "raw" / place / "sets" / "test.txt").touch()
    with pytest.raises(SplitError, match=r"a/sets/test\.txt"):
        split(folder, "official", card=card(official=BOTH))


@pytest.mark.parametrize("given", [None, card()])
def test_a_set_whose_publisher_lists_nothing(folder, given):
    with pytest.raises(SplitError, match="name a card with the publisher's lists"):
        split(folder, "official", card=given)


def test_groups_by_name_join_those_by_pixels(folder):
    rule = {"of": "pair", "modulus": 15}
    groups = group_images(folder, card(grouping=rule))
    assert len(set(groups.values())) == 14  # 0 and 29 share pixels: 0, 15, 14 and 29 are one
    assert groups["pit_0.png"] == groups["pit_15.png"] == groups["pit_29.png"]
    assert len(set(group_images(folder).values())) == 29


def test_a_name_that_the_rule_does_not_fit_is_told(folder):
    with pytest.raises(SplitError, match=r"grouping: got 'pit_0\.png'"):
        group_images(folder, card(grouping={"of": "coil", "pattern": r"img_(\d+)_"}))


@pytest.mark.parametrize("apart", [False, True])
def test_groups_that_are_known_to_show_different_pieces_are_not_compared(tmp_path, apart):
    surface = texture(0, 128, 300)
    crops = {
        f"{name}.png": surface[:, x : x + 128] for name, x in (("1_a", 0), ("1_b", 30), ("2_a", 60))
    }
    folder = write_dataset(tmp_path / "set", crops)
    rule = {"of": "board", "pattern": r"^(\d+)_", "apart": apart}
    pairs = {pair.names for pair in find_overlaps(folder, card=card(grouping=rule))}
    within, across = ("1_a.png", "1_b.png"), ("1_b.png", "2_a.png")
    assert within in pairs
    assert (across in pairs) != apart
