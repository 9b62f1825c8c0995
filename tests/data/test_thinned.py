"""A thinned training part, and the synthetic set for classification."""

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, SplitError
from defectbench.data.acquire import acquire
from defectbench.data.certificate import certify
from defectbench.data.coco import read_coco, read_part
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split
from defectbench.data.synthetic import synthesize_classes


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A small set for classification with its overlaps and groups."""
    out = tmp_path_factory.mktemp("home") / "steel"
    card = load_dataset_card("datasets/demo-steel-cls.yaml")
    synthesize_classes(out / "raw", seed=3, images=60)
    convert(card, out / "raw", out)
    find_overlaps(out)
    group_images(out)
    return out


def test_each_synthetic_image_has_the_one_class_of_its_defects(home):
    coco = read_coco(home / "annotations.json")
    assert coco.task == "classification"
    assert 40 < len(coco.images) < 60
    assert len({coco.dominant_class(name) for name in coco.images}) == 6


def test_a_thinned_part_keeps_the_other_parts_and_has_a_certificate(home, tmp_path):
    whole = split(home, "clean")
    kept = sorted(whole["train"])[::3]
    table = tmp_path / "few.csv"
    table.write_text(
        "file_name,class\n" + "".join(f"{name},{class_of(home, name)}\n" for name in kept)
    )
    split(home, "clean-few", train_list=table)
    for part in ("val", "test"):
        assert read_part(home / "clean-few" / "split0", part) == read_part(
            home / "clean" / "split0", part
        )
    assert read_part(home / "clean-few" / "split0", "train") == kept
    left_out = read_part(home / "clean-few" / "split0", "left_out")
    assert sorted(left_out + kept) == sorted(whole["train"])
    record = certify(home, "clean-few")
    assert record["figures"]["shared_pixels"] == 0
    assert record["figures"]["images"]["train"] == len(kept)
    names = {f"{part}.txt" for part in ("train", "val", "test", "left_out")}
    assert {name for name in record["inputs"] if name.endswith(".txt")} == names
    (home / "clean-few" / "split0" / "left_out.txt").unlink()
    with pytest.raises(SplitError, match="exactly one part"):
        certify(home, "clean-few")


def class_of(home, name):
    coco = read_coco(home / "annotations.json")
    return coco.classes[coco.dominant_class(name)]


def test_a_list_and_a_protocol_that_names_it_belong_together(home, tmp_path):
    train = split(home, "random")["train"]
    table = tmp_path / "few.csv"
    table.write_text(f"file_name,class\n{train[0]},{class_of(home, train[0])}\n")
    with pytest.raises(SplitError, match="belong together"):
        split(home, "random", train_list=table)
    with pytest.raises(SplitError, match="belong together"):
        split(home, "random-thin")
    assert read_part(home / "random" / "split0", "train") == sorted(train)
    assert not (home / "random-thin").exists()


def test_each_line_of_a_list_is_held_against_the_truth(home, tmp_path):
    name = split(home, "random")["train"][0]
    table = tmp_path / "few.csv"
    line = f"{name},{class_of(home, name)}\n"
    table.write_text(f"file_name,class\n{line}{line}")
    with pytest.raises(SplitError, match=f"got '{name}'; list each image once"):
        split(home, "random-few", train_list=table)
    table.write_text(f"file_name,class\n{name},dent\n")
    with pytest.raises(SplitError, match=f"class: got 'dent'; the class of {name} is"):
        split(home, "random-few", train_list=table)


def test_a_list_of_another_split_is_refused(home, tmp_path):
    test = split(home, "clean")["test"]
    table = tmp_path / "few.csv"
    table.write_text(f"file_name,class\n{test[0]},x\n")
    with pytest.raises(SplitError, match="drawn from another split"):
        split(home, "clean-few", train_list=table)


def test_a_card_without_such_a_list_says_so():
    card = load_dataset_card("datasets/x-sdd.yaml")
    assert card.train_list("imbalanced").is_file()
    with pytest.raises(ConfigError, match="name one of its train_lists: imbalanced"):
        card.train_list("fat")


def test_the_card_of_a_synthetic_set_for_classification_is_drawn_so(tmp_path, monkeypatch):
    drawn = []
    name = "defectbench.data.acquire.SYNTHESIZERS"
    draw = {"classification": lambda out, seed, look: drawn.append(seed) or out.mkdir(parents=True)}
    monkeypatch.setattr(name, draw)
    acquire(load_dataset_card("datasets/demo-steel-cls.yaml"), tmp_path)
    assert drawn == [1]
