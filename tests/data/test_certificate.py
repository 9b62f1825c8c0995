import hashlib

import numpy as np
import pytest
from small_sets import blank_images, texture, write_dataset, write_overlaps

from defectbench.base.errors import ConversionError, LeakageError, SplitError
from defectbench.base.records import read_record
from defectbench.data.augment import augment_offline
from defectbench.data.certificate import certify, shown
from defectbench.data.groups import group_images
from defectbench.data.overlap import FileOverlap, find_overlaps
from defectbench.data.split import split


def write_lists(folder, protocol, seed=0, **parts):
    lists = folder / protocol / f"split{seed}"
    lists.mkdir(exist_ok=True, parents=True)
    for part, names in parts.items():
        (lists / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))


@pytest.fixture
def small(tmp_path):
    """Six images of 8 x 8; 0 and 1 share their left and right half, 2 and 3 are mirrored."""
    folder = write_dataset(tmp_path / "set", blank_images(6))
    head = "image_a,image_b,dx,dy,correlation,shared_area,kind\n"
    rows = "pit_0.png,pit_1.png,4,0,0.9,0.5,shift\npit_2.png,pit_3.png,0,0,0.9,1.0,symmetry\n"
    (folder / "overlaps.csv").write_text(head + rows)
    group_images(folder)
    return folder


def names(*numbers):
    return [f"pit_{k}.png" for k in numbers]


def test_figures_of_a_leaking_split(small):
    write_lists(small, "random", train=names(0, 2), val=names(4), test=names(1, 3, 5))
    figures = certify(small, "random")["figures"]
    assert figures["shared_images"] == {"train-val": 0, "train-test": 2, "val-test": 0}
    assert figures["shared_pixels"] == 2
    assert figures["leak_share"] == pytest.approx(2 / 3)
    assert figures["leak_share_train"] == pytest.approx(2 / 3)
    assert figures["visible_share"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert figures["images"] == {"train": 2, "val": 1, "test": 3}


def test_a_leak_through_val_counts_but_is_not_visible_in_train(small):
    write_lists(small, "random", train=names(4, 5), val=names(0), test=names(1, 2, 3))
    figures = certify(small, "random")["figures"]
    assert figures["shared_images"] == {"train-val": 0, "train-test": 0, "val-test": 1}
    assert (figures["leak_share"], figures["leak_share_train"]) == (pytest.approx(1 / 3), 0.0)
    assert figures["visible_share"] == 0.0


def test_a_clean_split_is_certified_with_its_hashes(small):
    write_lists(small, "clean", seed=3, train=names(0, 1), val=names(2, 3), test=names(4, 5))
    certify(small, "clean", seed=3)
    record = read_record(small / "clean" / "split3" / "certificate.json", "certificate")
    assert record["figures"]["shared_pixels"] == 0
    assert (record["protocol"], record["seed"], record["dataset"]) == ("clean", 3, "set")
    for name in ("train.txt", "val.txt", "test.txt"):
        digest = hashlib.sha256((small / "clean" / "split3" / name).read_bytes()).hexdigest()
        assert record["inputs"][name]["sha256"] == digest
    assert {"overlaps.csv", "groups.csv"} <= set(record["inputs"])


def test_a_tampered_list_is_no_longer_clean(small):
    write_lists(small, "clean", train=names(0, 1), val=names(2, 3), test=names(4, 5))
    certify(small, "clean")
    write_lists(small, "clean", train=names(0, 5), test=names(4, 1))
    with pytest.raises(LeakageError, match=r"pit_0\.png and pit_1\.png"):
        certify(small, "clean")
    assert not (small / "clean" / "split0" / "certificate.json").exists()


def test_group_numbers_are_not_trusted(small):
    table = "image_id,file_name,group\n" + "".join(f"{k + 1},pit_{k}.png,{k}\n" for k in range(6))
    (small / "groups.csv").write_text(table)
    write_lists(small, "clean", train=names(0, 2), val=names(4), test=names(1, 3, 5))
    with pytest.raises(LeakageError):
        certify(small, "clean")


def test_equal_bytes_leak_even_if_no_overlap_is_listed(small):
    (small / "images" / "pit_5.png").write_bytes((small / "images" / "pit_4.png").read_bytes())
    write_lists(small, "clean", train=names(0, 1, 4), val=names(2, 3), test=names(5))
    with pytest.raises(LeakageError, match="pit_4"):
        certify(small, "clean")


@pytest.mark.parametrize(
    ("lists", "culprit"),
    [
        ({"train": names(0, 1), "val": names(2, 3), "test": names(4)}, r"pit_5\.png"),
        ({"train": names(0, 1), "val": names(2, 3), "test": names(4, 5, 0)}, r"pit_0\.png"),
        ({"train": names(0, 1), "val": names(2, 3), "test": names(4, 5, 9)}, r"pit_9\.png"),
        ({"train": names(0, 1, 1), "val": names(2, 3), "test": names(4, 5)}, "got 3"),
        ({"train": [], "val": names(2, 3), "test": names(4, 5)}, "got 0"),
    ],
)
def test_lists_hold_each_image_once(small, lists, culprit):
    write_lists(small, "clean", **lists)
    with pytest.raises(SplitError, match=culprit):
        certify(small, "clean")


def test_missing_files_are_named(small):
    with pytest.raises(SplitError, match=r"train\.txt: file"):
        certify(small, "clean")
    write_lists(small, "clean", train=names(0, 1), val=names(2, 3), test=names(4, 5))
    (small / "images" / "pit_4.png").unlink()
    with pytest.raises(ConversionError, match=r"pit_4\.png"):
        certify(small, "clean")


def test_overlaps_of_another_set_are_refused(small):
    write_overlaps(small, [("pit_0.png", "else.png", 1, 0, 0.9)])
    write_lists(small, "clean", train=names(0, 1), val=names(2, 3), test=names(4, 5))
    with pytest.raises(SplitError, match=r"else\.png"):
        certify(small, "clean")


def test_variants_of_one_original_leak(small):
    augment_offline(small, copies=2)
    copies = {k: [f"pit_{k}__aug{c}.png" for c in (0, 1)] for k in range(6)}
    train = [copies[k][0] for k in range(6)]
    test = [copies[k][1] for k in range(5)]
    write_lists(small, "paper", train=train, val=[copies[5][1]], test=test)
    figures = certify(small, "paper")["figures"]
    assert figures["shared_images"]["train-test"] == 5
    assert (figures["leak_share"], figures["visible_share"]) == (1.0, 1.0)


def test_the_whole_way_from_pixels(tmp_path):
    strips = [texture(seed, 200, 500) for seed in range(8)]
    images = {
        f"s{s}_{k}.png": strip[:, 100 * k : 100 * k + 200]
        for s, strip in enumerate(strips)
        for k in range(4)
    }
    folder = write_dataset(tmp_path / "set", images)
    find_overlaps(folder)
    groups = group_images(folder)
    assert groups == {name: int(name[1]) for name in groups}
    split(folder, "clean", ratios=(0.5, 0.25, 0.25))
    assert certify(folder, "clean")["figures"]["shared_pixels"] == 0
    split(folder, "random", ratios=(0.5, 0.25, 0.25))
    assert certify(folder, "random")["figures"]["shared_pixels"] > 0


@pytest.mark.parametrize(
    ("name", "cells"), [("a.png", np.s_[25:, 10:]), ("b.png", np.s_[:25, :40])]
)
def test_shown_cells(name, cells):
    pair = FileOverlap("a.png", "b.png", 40, 100, 0.9, 0.4, "shift")
    expected = np.zeros((50, 50), bool)
    expected[cells] = True
    assert np.array_equal(shown(pair, name, (200, 200), (200, 200)), expected)


def test_shown_cells_of_a_smaller_partner():
    pair = FileOverlap("a.png", "b.png", 40, 0, 0.9, 1.0, "shift")
    mask = shown(pair, "a.png", (200, 100), (80, 50))
    assert mask.sum() == 20 * 25
    assert mask[0, 10]
    assert shown(pair, "b.png", (80, 50), (200, 100)).all()
