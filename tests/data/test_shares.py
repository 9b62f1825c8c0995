"""Shares of a training part: by class, by whole groups, each within the larger ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import blank_images, write_dataset, write_overlaps

from defectbench.base.errors import SplitError
from defectbench.base.studies import train_share
from defectbench.data.coco import Coco
from defectbench.data.groups import group_images
from defectbench.data.split import shared_out, split


def coco_of(classes):
    names = [f"img_{k:03}.png" for k in range(len(classes))]
    images = {name: {"id": k, "file_name": name} for k, name in enumerate(names)}
    return Coco(images, {k: [{"category_id": c}] for k, c in enumerate(classes)}, ["a", "b", "c"])


def of_all(coco):
    return {"train": [*coco.images], "val": ["v"], "test": ["t"]}


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=60),
    st.data(),
    st.integers(0, 3),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
)
def test_a_larger_share_holds_the_smaller_one_and_groups_stay_whole(classes, data, seed, shares):
    coco = coco_of(classes)
    groups = {name: data.draw(st.integers(0, 12)) for name in coco.images}
    few, many = (shared_out(of_all(coco), n, coco, groups, seed) for n in sorted(shares))
    assert set(few["train"]) <= set(many["train"])
    for parts in (few, many):
        assert sorted(parts["train"] + parts["left_out"]) == sorted(coco.images)
        kept, gone = ({groups[n] for n in parts[part]} for part in ("train", "left_out"))
        assert not kept & gone
        assert parts["train"]
        assert (parts["val"], parts["test"]) == (["v"], ["t"])


def test_each_class_keeps_its_share():
    coco = coco_of([0] * 100 + [1] * 50 + [2] * 10)
    kept = shared_out(of_all(coco), 30, coco, {}, 0)["train"]
    counts = [sum(coco.dominant_class(name) == c for name in kept) for c in range(3)]
    assert counts == [30, 15, 3]


def test_no_class_is_lost_however_small_the_share():
    coco = coco_of([0] * 100 + [1] * 4 + [2])
    kept = shared_out(of_all(coco), 1, coco, {}, 0)["train"]
    assert sorted(coco.dominant_class(name) for name in kept) == [0, 1, 2]


def test_another_seed_draws_other_images():
    coco = coco_of([0] * 50)
    draws = [shared_out(of_all(coco), 20, coco, {}, seed)["train"] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_a_share_is_a_split_of_its_own_with_the_same_other_parts(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(60))
    write_overlaps(folder, [])
    group_images(folder)
    whole = split(folder, "clean", 0)
    part = split(folder, "clean-50pct", 0)
    assert train_share("clean-50pct") == 50
    assert len(part["train"]) == len(whole["train"]) // 2
    for name in ("val", "test"):
        lists = [folder / p / "split0" / f"{name}.txt" for p in ("clean", "clean-50pct")]
        assert lists[0].read_text() == lists[1].read_text()
    listed = (folder / "clean-50pct" / "split0" / "left_out.txt").read_text().split()
    assert sorted(listed + part["train"]) == sorted(whole["train"])


def test_a_share_takes_no_list(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(20))
    with pytest.raises(SplitError, match="belong together"):
        split(folder, "clean-50pct", 0, train_list=tmp_path / "few.csv")
