"""Sets that are learnt from images without a defect: cards, conversion, splits, and the embedded one."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import blank_images, write_dataset, write_overlaps
from steel_like import card, write_image
from test_split import coco_of

from defectbench.base.cards import DatasetCard, load_dataset_card
from defectbench.base.errors import SplitError
from defectbench.base.tasks import ANOMALY
from defectbench.data.acquire import acquire
from defectbench.data.coco import PARTS, read_coco
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.split import split, split_groups, without_defects
from defectbench.data.synthetic import draw_crops

SHARES = ANOMALY.shares
FOLDERS = {"images": ["IMAGES"], "format": "folders"}


def anomaly_card(**changes):
    return card(
        **{"task": "anomaly", "layout": FOLDERS, "defect_free": ["good", "free"], **changes}
    )


def write_free_set(folder, free, defects):
    """A set in memory's place: blank images, the first ``free`` of which show nothing."""
    images = blank_images(free + defects)
    names = sorted(images)
    whole = (0, [0.0, 0.0, 8.0, 8.0])
    boxes = {name: [] if number < free else [whole] for number, name in enumerate(names)}
    made = write_dataset(folder, images, boxes)
    content = json.loads((made / "annotations.json").read_text())
    (made / "annotations.json").write_text(json.dumps({"info": {"task": "anomaly"}, **content}))
    return made


def test_images_without_a_defect_get_no_box_and_no_class(tmp_path):
    raw = tmp_path / "raw"
    places = ["good/a", "free/b", "crazing/a", "crazing/deeper/c", "inclusion/d"]
    for seed, place in enumerate(places):
        write_image(raw / "IMAGES" / f"{place}.png", seed)
    convert(anomaly_card(), raw, tmp_path / "set")
    coco = read_coco(tmp_path / "set" / "annotations.json")
    shown = {name: coco.dominant_class(name) for name in coco.images}
    assert shown == {"good-a.png": -1, "b.png": -1, "crazing-a.png": 0, "c.png": 0, "d.png": 1}
    assert coco.task == "anomaly"
    assert "good" not in coco.classes
    report = json.loads((tmp_path / "set" / "conversion.json").read_text())
    assert report["images_without_defect"] == 2
    assert report["images_per_class"]["crazing"] == 2
    assert [coco.shows_defect(name) for name in ("b.png", "d.png")] == [False, True]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"defect_free": []}, "defect_free"),
        ({"task": "classification"}, "defect_free"),
        ({"defect_free": ["crazing"]}, "crazing is defect_free"),
        ({"defect_free": ["good", "good"]}, "twice"),
        ({"allow_empty": True}, "allow_empty is for detection"),
    ],
)
def test_a_card_says_what_is_free_of_defects_where_it_counts(changes, word):
    with pytest.raises(ValueError, match=word):
        anomaly_card(**changes)


def test_registered_counts_name_the_images_without_a_defect():
    content = anomaly_card().model_dump(exclude_unset=True)
    counts = {"images": 9, "images_per_class": dict.fromkeys(content["classes"], 1)}
    with pytest.raises(ValueError, match="images_without_defect"):
        DatasetCard.model_validate({**content, "expected": counts})
    DatasetCard.model_validate({**content, "expected": {**counts, "images_without_defect": 3}})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=80),
    st.data(),
    st.integers(0, 5),
)
def test_no_defect_and_no_torn_group_in_training(classes, data, seed):
    coco = coco_of(classes)
    groups = {name: data.draw(st.integers(0, 20)) for name in coco.images}
    drawn = split_groups(coco, groups, seed, SHARES)
    parts = without_defects(drawn, coco, groups, seed, SHARES)
    assert sorted(name for names in parts.values() for name in names) == sorted(coco.images)
    assert not any(coco.shows_defect(name) for name in parts["train"])
    used = [{groups[name] for name in parts[part]} for part in PARTS]
    assert sum(map(len, used)) == len(set().union(*used))
    assert parts == without_defects(drawn, coco, groups, seed, SHARES)
    assert set(parts["val"]) >= set(drawn["val"])


def test_what_leaves_the_training_part_keeps_the_shares_of_the_others():
    coco = coco_of([None] * 100 + [0] * 60 + [1] * 40)
    alone = {name: number for number, name in enumerate(coco.images)}
    parts = without_defects(split_groups(coco, alone, 0, SHARES), coco, alone, 0, SHARES)
    counts = {p: Counter(coco.dominant_class(n) for n in parts[p]) for p in PARTS}
    assert counts["train"] == {-1: 60}
    assert counts["val"] == {-1: 20, 0: 30, 1: 20}
    assert counts["test"] == counts["val"]


@pytest.mark.parametrize("protocol", ["clean", "random", "sequential"])
def test_a_split_takes_the_shares_of_its_task(tmp_path, protocol):
    folder = write_free_set(tmp_path / "set", free=50, defects=30)
    write_overlaps(folder, [])
    group_images(folder)
    parts = split(folder, protocol)
    coco = read_coco(folder / "annotations.json")
    assert len(parts["train"]) == 30
    assert not any(coco.shows_defect(name) for name in parts["train"])
    assert len(parts["val"]) == len(parts["test"]) == 25


def test_lists_of_others_with_a_defect_to_learn_from_are_refused(tmp_path):
    folder = write_free_set(tmp_path / "set", free=4, defects=2)
    names = sorted(path.name for path in (folder / "images").iterdir())
    parts = ["train", "train", "val", "test", "train", "test"]
    rows = "".join(f"{name},{part}\n" for name, part in zip(names, parts, strict=True))
    (tmp_path / "lists.csv").write_text(f"file_name,part\n{rows}")
    with pytest.raises(SplitError, match=f"train: got '{names[4]}'.*list it in val or test"):
        split(folder, "random", published=tmp_path / "lists.csv")


def test_the_embedded_set_is_mostly_free_and_its_bare_crops_are_bare():
    crops = list(draw_crops(1, 40, 128, defect_free_share=0.7))
    assert np.mean([not crop.boxes for crop in crops]) == pytest.approx(0.7, abs=0.05)


def test_the_embedded_set_goes_from_drawing_to_annotations(tmp_path, request):
    the_card = load_dataset_card(request.config.rootpath / "datasets" / "demo-steel-free.yaml")
    acquire(the_card, tmp_path)
    convert(the_card, tmp_path / "raw", tmp_path)
    coco = read_coco(tmp_path / "annotations.json")
    free = sum(not coco.shows_defect(name) for name in coco.images)
    assert (len(coco.images), free) == (400, 279)
    assert {coco.dominant_class(name) for name in coco.images} == {-1, 0, 1, 2, 3, 4, 5}


TILES = {
    "MT_Blowhole": ("blowhole", ["exp1_num_4727", "exp1_num_5"]),
    "MT_Crack": ("crack", ["exp2_num_11"]),
    "MT_Uneven": ("uneven", ["exp3_num_45042", "exp4_num_124690", "exp6_num_9"]),
    "MT_Free": (None, ["exp1_num_108719", "exp1_num_5"]),
}


def test_magnetic_tiles_come_out_of_their_own_layout(tmp_path, request):
    """Images as JPEG beside masks of the same stem, of other sizes, two without a mark in their mask left out."""
    top = tmp_path / "Magnetic-tile-defect-datasets.-cc4eb53"
    for folder, (_, stems) in TILES.items():
        for seed, stem in enumerate(stems):
            size = (40 + seed, 60)
            write_image(top / folder / "Imgs" / f"{stem}.jpg", seed + 10 * len(folder), size)
            write_image(top / folder / "Imgs" / f"{stem}.png", seed, size)
    (top / "README.md").write_text("please cite")
    real = load_dataset_card(request.config.rootpath / "datasets" / "magnetic-tile.yaml")
    the_card = real.model_copy(update={"expected": None})
    acquire(the_card, tmp_path / "set", mirror=top)
    convert(the_card, tmp_path / "set" / "raw", tmp_path / "set")
    coco = read_coco(tmp_path / "set" / "annotations.json")
    shown = {
        name: coco.classes[kind] if (kind := coco.dominant_class(name)) >= 0 else None
        for name in coco.images
    }
    assert shown == {
        "exp1_num_4727.jpg": "blowhole",
        "blowhole-exp1_num_5.jpg": "blowhole",
        "exp2_num_11.jpg": "crack",
        "exp6_num_9.jpg": "uneven",
        "exp1_num_108719.jpg": None,
        "MT_Free-exp1_num_5.jpg": None,
    }
    assert coco.images["exp6_num_9.jpg"]["width"] == 42
    report = json.loads((tmp_path / "set" / "conversion.json").read_text())
    assert report["images_without_defect"] == 2
