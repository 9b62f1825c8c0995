import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import blank_images, write_dataset, write_overlaps

from defectbench.base.errors import SplitError
from defectbench.data.augment import augment_offline
from defectbench.data.coco import PARTS, Coco, read_part
from defectbench.data.groups import group_images
from defectbench.data.split import (
    least_groups,
    least_images,
    split,
    split_groups,
    split_images,
    split_series,
)


def coco_of(classes):
    """A set in memory: one box of the given class (None: no box) an image."""
    names = [f"img_{k:03}.png" for k in range(len(classes))]
    images = {name: {"id": k, "file_name": name} for k, name in enumerate(names)}
    boxes = {k: [] if c is None else [{"category_id": c}] for k, c in enumerate(classes)}
    return Coco(images, boxes, ["a", "b", "c"])


def series_set(tmp_path, series=2, length=10):
    images = {
        f"s{s}_{k}.png": im
        for s in range(series)
        for k, im in enumerate(blank_images(length).values())
    }
    return write_dataset(tmp_path / "set", images)


def assert_partition(parts, names):
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == sorted(names)


CLASSES = st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=80)


@settings(deadline=None)
@given(CLASSES, st.data(), st.integers(0, 5))
def test_no_group_in_two_parts_and_every_image_in_one(classes, data, seed):
    coco = coco_of(classes)
    groups = {name: data.draw(st.integers(0, 20)) for name in coco.images}
    parts = split_groups(coco, groups, seed)
    assert_partition(parts, coco.images)
    used = [{groups[name] for name in parts[part]} for part in PARTS]
    assert sum(map(len, used)) == len(set().union(*used))
    assert parts == split_groups(coco, groups, seed)


@settings(deadline=None)
@given(CLASSES, st.integers(0, 5))
def test_random_split_takes_every_image_once(classes, seed):
    coco = coco_of(classes)
    parts = split_images(coco, seed)
    assert_partition(parts, coco.images)
    assert parts == split_images(coco, seed)


@settings(deadline=None)
@given(CLASSES)
def test_series_split_takes_every_image_once(classes):
    coco = coco_of(classes)
    assert_partition(split_series(coco), coco.images)


def test_single_images_fill_classes_exactly():
    coco = coco_of([0] * 100 + [1] * 50)
    groups = {name: k for k, name in enumerate(coco.images)}
    for parts in (split_groups(coco, groups, 0), split_images(coco, 0)):
        counts = {p: Counter(coco.dominant_class(n) for n in parts[p]) for p in PARTS}
        assert counts == {"train": {0: 70, 1: 35}, "val": {0: 10, 1: 5}, "test": {0: 20, 1: 10}}


def test_groups_of_two_classes_balance_both():
    coco = coco_of([k % 2 for k in range(400)])
    groups = {name: k // 5 for k, name in enumerate(coco.images)}
    parts = split_groups(coco, groups, 3)
    for part, ratio in zip(PARTS, (0.7, 0.1, 0.2), strict=True):
        counts = Counter(coco.dominant_class(name) for name in parts[part])
        assert counts[0] == pytest.approx(200 * ratio, abs=8)
        assert counts[1] == pytest.approx(200 * ratio, abs=8)


def test_another_seed_draws_another_split():
    coco = coco_of([0] * 60)
    groups = {name: k for k, name in enumerate(coco.images)}
    assert split_images(coco, 0) != split_images(coco, 1)
    assert split_groups(coco, groups, 0) != split_groups(coco, groups, 1)


def test_sequential_follows_the_index_not_the_spelling(tmp_path):
    folder = series_set(tmp_path)
    parts = split(folder, "sequential")
    assert sorted(parts["test"]) == ["s0_8.png", "s0_9.png", "s1_8.png", "s1_9.png"]
    assert sorted(parts["val"]) == ["s0_7.png", "s1_7.png"]


def test_sequential_sorts_numbers_as_numbers(tmp_path):
    folder = series_set(tmp_path, series=1, length=20)
    assert sorted(split(folder, "sequential")["test"]) == [f"s0_{k}.png" for k in range(16, 20)]


def test_sequential_cuts_numbers_that_run_through_all_classes_by_class():
    coco = coco_of([k // 20 for k in range(60)])
    assert {coco.dominant_class(name) for name in split_series(coco)["test"]} == {2}
    parts = split_series(replace(coco, task="classification"))
    assert parts["test"] == [f"img_{k:03}.png" for s in (0, 20, 40) for k in range(s + 16, s + 20)]


def test_sequential_without_series_cuts_classes_by_name():
    coco = coco_of([0, 1] * 10)
    renamed = {f"{chr(97 + k)}.png": entry for k, entry in enumerate(coco.images.values())}
    parts = split_series(Coco(renamed, coco.boxes, coco.classes))
    assert sorted(parts["test"]) == ["q.png", "r.png", "s.png", "t.png"]
    assert sorted(parts["val"]) == ["o.png", "p.png"]


def test_lists_are_sorted_lines_and_the_same_bytes_again(tmp_path):
    folder = series_set(tmp_path)
    split(folder, "random", seed=4)
    lists = folder / "random" / "split4"
    first = {part: (lists / f"{part}.txt").read_bytes() for part in PARTS}
    split(folder, "random", seed=4)
    assert first == {part: (lists / f"{part}.txt").read_bytes() for part in PARTS}
    for part in PARTS:
        assert first[part].decode() == "".join(f"{n}\n" for n in sorted(read_part(lists, part)))


def test_splits_of_two_seeds_lie_beside_each_other(tmp_path):
    folder = series_set(tmp_path)
    first = split(folder, "random", seed=0)
    second = split(folder, "random", seed=1)
    assert first != second
    for seed, parts in enumerate((first, second)):
        lists = folder / "random" / f"split{seed}"
        assert {part: read_part(lists, part) for part in PARTS} == {
            part: sorted(names) for part, names in parts.items()
        }


def test_clean_keeps_pairs_together(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(40))
    write_overlaps(folder, [(f"pit_{k}.png", f"pit_{k + 20}.png", 1, 0, 0.8) for k in range(20)])
    group_images(folder)
    parts = split(folder, "clean")
    part_of = {name: part for part in PARTS for name in parts[part]}
    assert all(part_of[f"pit_{k}.png"] == part_of[f"pit_{k + 20}.png"] for k in range(20))
    assert [len(parts[part]) for part in PARTS] == [28, 4, 8]


def test_paper_divides_the_augmented_images(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(20))
    augment_offline(folder, copies=5)
    parts = split(folder, "paper")
    assert [len(parts[part]) for part in PARTS] == [70, 10, 20]
    assert all("__aug" in name for part in PARTS for name in parts[part])


def test_unknown_protocol_is_named(tmp_path):
    with pytest.raises(SplitError, match="protocol: got 'fair'"):
        split(series_set(tmp_path), "fair")


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.8, 0.3, -0.1), (0.7, 0.1, 0.3)])
def test_wrong_ratios_are_named(tmp_path, ratios):
    with pytest.raises(SplitError, match="ratios"):
        split(series_set(tmp_path), "random", ratios=ratios)


def test_a_set_too_small_leaves_no_list(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(2))
    with pytest.raises(SplitError, match="random/test: got 0"):
        split(folder, "random")
    assert not (folder / "random").exists()


def test_groups_of_another_set_are_named(tmp_path):
    folder = write_dataset(tmp_path / "set", blank_images(10))
    write_overlaps(folder, [])
    group_images(folder)
    content = json.loads((folder / "annotations.json").read_text())
    content["images"][0]["file_name"] = "new.png"
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(SplitError, match=r"groups\.csv: file name: got 'new\.png'"):
        split(folder, "clean")


def published(tmp_path, rows):
    path = tmp_path / "lists.csv"
    path.write_text("file_name,part\n" + "".join(f"{name},{part}\n" for name, part in rows))
    return path


def test_published_lists_are_taken_as_they_stand(tmp_path):
    folder = series_set(tmp_path)
    names = [f"s{s}_{k}.png" for s in range(2) for k in range(10)]
    rows = [(name, PARTS[n % 3]) for n, name in enumerate(names)]
    parts = split(folder, "random", published=published(tmp_path, rows))
    assert {name: part for part, own in parts.items() for name in own} == dict(rows)
    for part in PARTS:
        assert read_part(folder / "random" / "split0", part) == sorted(parts[part])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: rows[1:], "got 'nothing of s0_0.png'"),
        (lambda rows: [*rows, rows[3]], "got 's0_3.png 2 times'"),
        (lambda rows: [*rows, ("alien.png", "train")], "alien.png, which is no image of the set"),
        (lambda rows: [("s0_0.png", "exam"), *rows[1:]], "got 'exam'"),
        (lambda rows: [(name, "train") for name, _ in rows], "val: got 'no image'; each part of"),
    ],
)
def test_published_lists_that_do_not_fit_are_named(tmp_path, change, named):
    folder = series_set(tmp_path)
    rows = [(f"s{s}_{k}.png", PARTS[k % 3]) for s in range(2) for k in range(10)]
    with pytest.raises(SplitError, match=named):
        split(folder, "random", published=published(tmp_path, change(rows)))
    assert not (folder / "random" / "split0" / "train.txt").exists()


def test_published_lists_that_are_missing_are_named(tmp_path):
    with pytest.raises(SplitError, match=r"lists\.csv"):
        split(series_set(tmp_path), "random", published=tmp_path / "lists.csv")


def test_from_the_least_number_on_all_parts_are_filled_and_below_it_one_is_not():
    filled = {"images": [], "series": [], "groups": []}
    for count in range(1, 60):
        coco = coco_of([0] * count)
        groups = {name: number for number, name in enumerate(coco.images)}
        splits = (split_images(coco, 0), split_series(coco), split_groups(coco, groups, 0))
        for kind, parts in zip(filled, splits, strict=True):
            filled[kind].append(all(parts[part] for part in PARTS))
    for kind, least in (
        ("images", least_images()),
        ("series", least_images()),
        ("groups", least_groups()),
    ):
        assert not filled[kind][least - 2]
        assert all(filled[kind][least - 1 :])


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("random", "random/val: got 0; .* one class of at least 9 images would do"),
        ("clean", "clean/val: got 0; .* one class in at least 6 groups of like size would do"),
    ],
)
def test_a_set_that_is_too_small_is_told_how_many_would_do(tmp_path, protocol, message):
    dataset = series_set(tmp_path, series=1, length=4)
    write_overlaps(dataset, [])
    group_images(dataset)
    with pytest.raises(SplitError, match=message):
        split(dataset, protocol)
