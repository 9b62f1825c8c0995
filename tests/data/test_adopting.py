"""A folder becomes a dataset: card, study, data and a certified split; a set that cannot be divided is told so."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, SplitError
from defectbench.base.planning import plan_study
from defectbench.base.records import read_record
from defectbench.base.studies import expand_cells, load_study
from defectbench.cli import main
from defectbench.data.adoption.adopting import adopt
from defectbench.data.adoption.finding import Said
from defectbench.data.adoption.writing import set_name, short_recipes, write_study
from defectbench.data.coco import read_coco, read_part
from defectbench.data.groups import read_groups
from tests.own_pictures import (
    NAMES,
    a_plant,
    as_labelme,
    as_voc,
    as_yolo,
    coco_of,
    plate,
    write_picture,
    write_text,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A place with methods, and no dataset but those that are adopted."""
    home = tmp_path / "checkout"
    home.mkdir()
    (home / "models").symlink_to(ROOT / "models")
    return home


def test_a_folder_of_two_formats_becomes_a_certified_dataset(checkout, tmp_path):
    lines = []
    adopted = adopt(a_plant(tmp_path / "Plant 7"), lines.append, root=checkout)
    card = load_dataset_card(adopted.card)
    assert (card.name, card.classes) == ("plant-7", list(NAMES))
    study = load_study(adopted.study)
    plan = plan_study(study, adopted.study, checkout / "models", checkout / "datasets")
    assert len(plan.trained) >= 5
    assert len(plan.cells) == len(plan.trained) + 3
    coco = read_coco(adopted.data / "annotations.json")
    assert len(coco.images) == 14
    boxes = [box for found in coco.boxes.values() for box in found]
    assert len(boxes) == sum(len(plate(n)[1]) for n in range(14) if n != 1) + 1
    groups = read_groups(adopted.data)
    assert groups["0000.png"] == groups["Blech 1.PNG"]
    folder = adopted.data / "clean" / "split0"
    record = read_record(folder / "certificate.json", "certificate")
    assert record["figures"]["shared_pixels"] == 0
    assert sum(len(read_part(folder, part)) for part in ("train", "val", "test")) == 14
    said = "\n".join(lines)
    for words in ("voc (7)", "yolo (7)", "pit: ", "1 mirrored or turned", "13 groups", "certified"):
        assert words in said


def of_labelme(top, number, boxes):
    as_labelme(top / "json" / f"{number}.png", boxes)
    return top / "images" / f"{number}.png"


def of_yolo(top, number, boxes):
    as_yolo(top / "labels" / f"{number}.png", boxes)
    write_text(top / "classes.txt", "dust\npit\nscratch\n")
    text = (top / "labels" / f"{number}.txt").read_text()
    lines = "".join(f"{int(line[0]) + 1}{line[1:]}\n" for line in text.splitlines())
    write_text(top / "labels" / f"{number}.txt", lines)
    return top / "images" / f"{number}.png"


def of_voc(top, number, boxes):
    as_voc(top / f"{number}.png", boxes)
    return top / f"{number}.png"


@pytest.mark.parametrize("write", [of_labelme, of_yolo, of_voc])
def test_a_folder_that_is_read_as_it_stands_stays_where_it_is(write, checkout, tmp_path):
    top, truth = tmp_path / "set", {}
    for number in range(12):
        pixels, boxes = plate(number)
        path = write(top, number, boxes)
        write_picture(path, pixels)
        truth[path.name] = boxes
    adopted = adopt(top, lambda line: None, root=checkout)
    card = load_dataset_card(adopted.card)
    assert card.layout.format == write.__name__.removeprefix("of_")
    assert load_study(adopted.study).mirrors == {"set": str(top.resolve())}
    assert not (checkout / "results" / "adopted").exists()
    coco = read_coco(adopted.data / "annotations.json")
    for name, boxes in truth.items():
        seen = coco.boxes[coco.images[name]["id"]]
        assert [card.classes[box["category_id"]] for box in seen] == [NAMES[n] for n, _ in boxes]
        corners = [
            [b["bbox"][0], b["bbox"][1], *np.add(b["bbox"][:2], b["bbox"][2:])] for b in seen
        ]
        np.testing.assert_allclose(corners, [c for _, c in boxes], atol=0.02)


def test_what_did_not_change_is_not_made_again(checkout, tmp_path):
    top = a_plant(tmp_path / "plant")
    adopted = adopt(top, lambda line: None, root=checkout)
    files = [adopted.card, adopted.study, adopted.data / "annotations.json"]
    files.append(adopted.data / "clean" / "split0" / "certificate.json")
    before = [path.stat().st_mtime_ns for path in files]
    lines = []
    adopt(top, lines.append, root=checkout)
    assert [path.stat().st_mtime_ns for path in files] == before
    assert any("nothing changed" in line for line in lines)
    as_voc(top / "Line A (old)" / "Bilder" / "Blech 3", [(1, (2, 2, 30, 30))])
    adopt(top, lines.append, root=checkout)
    coco = read_coco(files[2])
    boxes = coco.boxes[coco.images["Blech 3.PNG"]["id"]]
    assert [box["bbox"] for box in boxes] == [[2, 2, 28, 28]]


def test_a_card_that_a_person_wrote_stays(checkout, tmp_path):
    write_text(checkout / "datasets" / "plant.yaml", "name: plant\n")
    with pytest.raises(ConfigError, match="give another --name"):
        adopt(a_plant(tmp_path / "plant"), lambda line: None, root=checkout)
    assert (checkout / "datasets" / "plant.yaml").read_text() == "name: plant\n"


def test_pictures_of_one_piece_are_no_set(checkout, tmp_path):
    top = tmp_path / "one piece"
    sheet = np.concatenate([np.concatenate([plate(k)[0] for k in range(4)], 1) for _ in range(1)])
    for number in range(16):
        write_picture(top / f"{number}.png", sheet[:, 12 * number : 12 * number + 120])
        as_voc(top / f"{number}.png", [(0, (1, 1, 20, 20))])
    with pytest.raises(SplitError, match="take pictures of more pieces") as error:
        adopt(top, lambda line: None, root=checkout)
    assert "16 pictures of 1 pieces" in str(error.value)


def test_a_single_picture_is_no_set(checkout, tmp_path):
    top = a_plant(tmp_path / "single", count=1)
    with pytest.raises(SplitError, match="one picture cannot be trained on"):
        adopt(top, lambda line: None, root=checkout)


def test_a_class_that_a_part_lacks_is_told(checkout, tmp_path):
    top = tmp_path / "rare"
    entries = []
    for number in range(12):
        pixels, boxes = plate(number)
        write_picture(top / f"{number}.png", pixels)
        rare = [(1, (60, 40, 80, 60))] if number == 3 else []
        entries.append((f"{number}.png", [(0, corners) for _, corners in boxes] + rare))
    write_text(top / "labels.json", coco_of(entries))
    lines = []
    adopt(top, lines.append, root=checkout)
    (line,) = [line for line in lines if "shows scratch" in line]
    assert "which 1 groups have" in line
    assert "its score says nothing" in line


def test_class_folders_are_adopted_for_classification(checkout, tmp_path):
    for number in range(24):
        place = tmp_path / "kinds" / ("good", "bad")[number % 2]
        write_picture(place / f"{number // 2}.png", plate(number)[0])
    lines = []
    adopted = adopt(tmp_path / "kinds", lines.append, root=checkout)
    assert load_dataset_card(adopted.card).task == "classification"
    assert any("good is taken as a class" in line and "--good good" in line for line in lines)
    content = yaml.safe_load(adopted.study.read_text())
    assert content["blocks"][0]["controls"] == ["memoriser", "class_prior"]
    assert len(read_coco(adopted.data / "annotations.json").images) == 24


@pytest.mark.parametrize("starts", [{}, {"patchcore_mobilenetv2": "imagenet"}])
def test_good_parts_beside_defective_ones_are_adopted_to_learn_from_the_good(
    checkout, tmp_path, starts
):
    top = tmp_path / "parts"
    for number in range(24):
        place = ("ok", "ok", "ok", "pit", "scratch", "ok")[number % 6]
        write_picture(top / place / f"{number}.png", plate(number)[0])
    lines = []
    adopted = adopt(top, lines.append, Said(good=["OK"]), root=checkout, starts=starts)
    card = load_dataset_card(adopted.card)
    assert (card.task, card.classes) == ("anomaly", ["pit", "scratch"])
    coco = read_coco(adopted.data / "annotations.json")
    assert sum(coco.shows_defect(name) for name in coco.images) == 8
    train = read_part(adopted.data / "clean" / "split0", "train")
    assert len(train) >= 5
    assert not any(coco.shows_defect(name) for name in train)
    study = load_study(adopted.study)
    plan = plan_study(study, adopted.study, checkout / "models", checkout / "datasets")
    rows = {"patchcore_mobilenetv2" + ("+from_imagenet" if starts else "")}
    assert {cell.method for cell in plan.trained} == rows
    assert plan.controls_of("anomaly") == ["random_score", "mean_grey", "grey_deviation"]
    said = "\n".join(lines)
    assert "16 pictures of good parts, to learn from" in said
    assert "of train shows" not in said
    assert ("a network that has learnt nothing" in said) == (not starts)


def test_few_good_parts_are_told_and_a_kind_may_be_called_as_their_folder(checkout, tmp_path):
    for number in range(13):
        place = "defect_free" if number % 2 else "good"
        write_picture(tmp_path / "parts" / place / f"{number}.png", plate(number)[0])
    lines = []
    adopted = adopt(tmp_path / "parts", lines.append, Said(good=["good"]), root=checkout)
    assert load_dataset_card(adopted.card).classes == ["defect_free"]
    coco = read_coco(adopted.data / "annotations.json")
    assert sum(coco.shows_defect(name) for name in coco.images) == 6
    told = r"the val part has \d pictures of good parts: a threshold takes 20, about 100 in all"
    assert any(re.match(told, line) for line in lines)


@pytest.mark.parametrize(
    ("few", "words"),
    [
        ("good", "no good part in val, no good part in test, of 1 good and 12 defective"),
        ("pit", "no defective part in test, of 12 good and 1 defective"),
    ],
)
def test_parts_that_cannot_be_scored_are_refused(few, words, checkout, tmp_path):
    other = {"good": "pit", "pit": "good"}[few]
    for number in range(13):
        place = other if number else few
        write_picture(tmp_path / "parts" / place / f"{number}.png", plate(number)[0])
    with pytest.raises(SplitError, match=f"{words} pieces.*at least 4 pieces"):
        adopt(tmp_path / "parts", lambda line: None, Said(good=["good"]), root=checkout)


def test_good_parts_that_are_also_defective_ones_leave_nothing_to_learn_from(checkout, tmp_path):
    for number in range(12):
        for place in ("good", "pit"):
            write_picture(tmp_path / "parts" / place / f"{number}.png", plate(number)[0])
    with pytest.raises(SplitError, match=r"0 of them good parts alone.*at least 4 of these"):
        adopt(tmp_path / "parts", lambda line: None, Said(good=["good"]), root=checkout)


def test_methods_keep_the_clip_of_their_own_recipe(checkout, tmp_path):
    recipe, own = short_recipes(["lidd_net", "yolov8n", "yolox_nano"], checkout / "models")
    assert recipe["grad_clip"] == 10
    clips = {method: changed["grad_clip"] for method, changed in own.items()}
    assert clips == {"lidd_net": 35, "yolox_nano": None}
    for methods in (["lidd_net", "yolov8n"], ["lidd_net"]):
        recipe, own = short_recipes(methods, checkout / "models", validate_every=7)
        path = tmp_path / f"my-{len(methods)}.yaml"
        fields = {"size": 96, "epochs": 3, "recipe": recipe}
        write_study("set", path.stem, tmp_path, methods, path, recipes=own, **fields)
        (block,) = load_study(path).blocks
        changes = block.budgets["lidd_net"].recipe or {}
        assert (changes["grad_clip"], changes["validate_every"]) == (35, 7)
        assert (block.budget.recipe is None) == (len(methods) == 1)


@pytest.mark.parametrize("mirror", [None, "files"])
def test_methods_start_from_weights_that_are_at_hand(mirror, checkout, tmp_path):
    starts = {"nanodet_m": "coco", "yolox_nano": "coco"}
    path, fields = tmp_path / "my-set.yaml", {"size": 96, "epochs": 3}
    folder = None if mirror is None else tmp_path / mirror
    methods = ["nanodet_m", "fastestdet"]
    write_study(
        "set", "my-set", tmp_path, methods, path, starts=starts, weights_mirror=folder, **fields
    )
    study = load_study(path)
    cells = [cell.method for cell in expand_cells(study, methods) if not cell.is_control]
    assert cells == ["nanodet_m+from_coco", "fastestdet"]
    assert study.weights_mirror == (str(folder) if folder else None)


def test_names_of_folders_become_names_of_datasets():
    assert set_name("/x/Line 2_Plates") == "line-2-plates"
    assert set_name("/x/Ölwanne") == "lwanne"
    assert set_name("/x/表面") == "my-set"


def test_the_verb_ends_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["adopt", "nowhere"]) == 2
    assert "name a folder that holds pictures" in capsys.readouterr().err
    assert main(["adopt", "nowhere", "--name", "My Set"]) == 2
    assert "such as my-set" in capsys.readouterr().err
