"""Names of files and folders as people give them: what the conversion takes passes every stage unchanged."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from defectbench.base.errors import ConversionError
from defectbench.base.texts import same_text
from defectbench.cli import main
from defectbench.data.augment import augment_offline
from defectbench.data.certificate import certify
from defectbench.data.coco import read_part
from defectbench.data.pack import load_arrays, pack
from defectbench.data.pairing import natural
from defectbench.data.split import split

COUNT = 18


def renamed(folder, old, new):
    """Give the image and the label of a stem another one."""
    for path in [*folder.rglob(f"{old}.*")]:
        path.rename(path.with_name(new + path.suffix))


def scores_of_the_oracle(data, protocol, tmp_path, monkeypatch, said):
    """What the oracle scores on a split; a name that some stage takes apart spoils it."""
    monkeypatch.chdir(tmp_path)
    parts = data / protocol / "split0"
    truth = parts if protocol == "paper" else data
    predictions, scores = tmp_path / "oracle.json", tmp_path / "accuracy.json"
    oracle = ["control", "--kind", "oracle", "--dataset", str(data), "--protocol", protocol]
    assert main([*oracle, "--out", str(predictions)]) == 0
    evaluation = ["evaluate", "--annotations", str(truth / "annotations.json")]
    evaluation += ["--predictions", str(predictions), "--images", str(parts / "test.txt")]
    assert main([*evaluation, "--groups", str(data / "groups.csv"), "--out", str(scores)]) == 0
    return said(scores)["figures"]


@pytest.mark.parametrize("stem", ["①", "²", "x₃", "٣", "½", "plate_⑫"])
def test_digits_that_are_no_numbers(plant, said, stem):
    renamed(plant.draw(count=3), "plate_0", stem)
    data = plant.convert("plates")
    assert said(data / "conversion.json")["images"] == 3


def test_natural_order_of_any_names():
    names = ["①", "2", "10", "٣", "a²", "a2", "a10", ""]
    assert len(sorted(names, key=natural)) == len(names)
    assert sorted(["p10", "p2", "p①"], key=natural) == ["p2", "p10", "p①"]


@pytest.mark.parametrize("protocol", ["clean", "random"])
@pytest.mark.parametrize(
    "pattern",
    [
        "plate_{i}__aug_01.png",
        "plate__aug{i}.png",
        "__aug{i}.png",
        " ({i}).png",
        "  two blanks {i} .png",
        "Prüf “{i}”, 'a'; $x & (b) #.png",
        "{i}.png.png",
        'say "{i}", then wait.png',
        "钢板_{i}.png",
        "-rf {i}.png",
        ".plate {i}.png",
    ],
)
def test_a_name_passes_every_stage_unchanged(plant, tmp_path, monkeypatch, said, pattern, protocol):
    plant.draw(count=COUNT, pattern=pattern)
    data = plant.split("plates", protocol)
    names = {pattern.format(i=i) for i in range(COUNT)}
    listed = [read_part(data / protocol / "split0", part) for part in ("train", "val", "test")]
    assert set().union(*listed) == names
    figures = scores_of_the_oracle(data, protocol, tmp_path, monkeypatch, said)
    assert figures["map50"] == 1.0
    out = tmp_path / "val.safetensors"
    pack(data, protocol, "val", 32, out)
    assert len(load_arrays(out)) == len(listed[1])


@pytest.mark.parametrize("pattern", ["plate_{i}__aug_01.png", "a__aug{i}.png"])
def test_copies_of_copies_lead_back_to_their_originals(plant, tmp_path, monkeypatch, said, pattern):
    """The protocol `paper` names its copies as public augmenters do; it tells them by their originals, not by names."""
    plant.draw(count=COUNT, pattern=pattern)
    data = plant.split("plates", "random")
    augment_offline(data, copies=2)
    split(data, "paper")
    figures = certify(data, "paper")["figures"]
    assert figures["shared_pixels"] > 0
    assert scores_of_the_oracle(data, "paper", tmp_path, monkeypatch, said)["map50"] == 1.0
    originals = {
        image["source_file_name"]
        for image in said(data / "paper/split0/annotations.json")["images"]
    }
    assert originals == {pattern.format(i=i) for i in range(COUNT)}


def test_two_copies_of_a_users_own_are_two_images(plant):
    """`a__aug0` and `a__aug1` of a user share no group by their names alone."""
    plant.draw(count=COUNT, pattern="a__aug{i}.png")
    data = plant.split("plates", "random")
    assert certify(data, "random")["figures"]["leak_share"] == 0


@pytest.mark.parametrize("letter", ["n", "ß", "钢"])
def test_a_name_at_the_limit_of_the_file_system_passes_paper_too(plant, letter):
    stem = letter * (249 // len(letter.encode()))
    plant.draw(count=COUNT, pattern="plate_{i}.png")
    renamed(plant.home / "plates", "plate_0", stem)
    data = plant.split("plates", "random")
    assert (data / "images" / f"{stem}.png").is_file()
    augment_offline(data, copies=2)
    copies = [path.name for path in (data / "paper" / "split0" / "images").iterdir()]
    assert len(copies) == 2 * COUNT
    assert max(len(name.encode()) for name in copies) <= 255


@pytest.mark.parametrize(("of_image", "of_label"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_composed_and_decomposed_names_are_one(plant, said, of_image, of_label):
    """A Mac writes ü as two signs, most other machines as one."""
    plates = plant.draw(count=3, classes=("Kratzer", "Lücke"), images="Prüfbilder")
    for path in [*plates.rglob("plate_1.*")]:
        form = of_image if path.suffix == ".png" else of_label
        path.rename(path.with_name(unicodedata.normalize(form, "Prüf_1") + path.suffix))
    label = next(plates.rglob("*Pr*.xml"))
    label.write_text(unicodedata.normalize("NFD", label.read_text("utf-8")), encoding="utf-8")
    layout = {
        "images": [unicodedata.normalize("NFD", "Prüfbilder")],
        "labels": ["ANNOTATIONS"],
        "format": "voc",
    }
    data = plant.convert("plates", classes=("Kratzer", "Lücke"), layout=layout)
    report = said(data / "conversion.json")
    assert report["boxes_per_class"] == {"Kratzer": 2, "Lücke": 1}
    assert (data / "images" / "Prüf_1.png").is_file()
    assert bool(report["files_renamed"]) == (of_image == "NFD")


def test_same_text_is_what_disks_agree_on():
    assert same_text("Pru\u0308f") == "Prüf"


def test_two_forms_of_one_name_are_named(plant):
    plates = plant.draw(count=2)
    for number, form in enumerate(("NFC", "NFD")):
        renamed(plates, f"plate_{number}", unicodedata.normalize(form, "ü"))
    with pytest.raises(ConversionError, match=r"stem: .* keep one"):
        plant.convert("plates")


def test_equal_names_in_two_folders_are_two_images(plant, said):
    for line, empty in (("line1", ()), ("line2", (0, 1, 2))):
        plant.draw(f"plates/{line}", count=3, side=48 if line == "line1" else 56, empty=empty)
    data = plant.convert("plates")
    report = said(data / "conversion.json")
    assert (report["images"], report["boxes"]) == (6, 3)
    names = {path.name for path in (data / "images").iterdir()}
    assert names == {f"line{line}-plate_{i}.png" for line in (1, 2) for i in range(3)}
    assert report["files_renamed"]["plates/line1/IMAGES/plate_0.png"] == "line1-plate_0.png"
    annotations = said(data / "annotations.json")
    of_line1 = {i["id"] for i in annotations["images"] if i["file_name"].startswith("line1-")}
    assert {box["image_id"] for box in annotations["annotations"]} == of_line1


def test_equal_names_in_the_parts_of_an_export(plant, said):
    for part in ("train", "valid"):
        plant.draw(count=2, side=48 if part == "train" else 56, images=part, labels=part)
    layout = {"images": ["train", "valid"], "labels": ["train", "valid"], "format": "voc"}
    report = said(plant.convert("plates", layout=layout) / "conversion.json")
    assert (report["images"], report["boxes"]) == (4, 4)


def test_one_picture_in_two_folders_is_named(plant):
    plant.draw("plates/line1", count=2)
    plant.draw("plates/copy", count=2)
    with pytest.raises(ConversionError, match="is the same image; keep one"):
        plant.convert("plates")


def test_labels_of_equal_names_that_lie_nowhere_near_are_named(plant):
    plant.draw("plates/line1", count=2)
    plant.draw("plates/line2", count=2, side=56)
    (plant.home / "plates" / "line2").joinpath("ANNOTATIONS").rename(
        plant.home / "plates" / "line2" / "elsewhere"
    )
    with pytest.raises(ConversionError, match="get the label of plate_0"):
        plant.convert("plates")


def test_equal_names_of_classes_become_names_of_their_own(plant, said):
    for name in ("pit", "scratch"):
        folder = plant.home / "plates" / "IMAGES" / name
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(len(name)).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "1.png")
    layout = {"images": ["IMAGES"], "format": "folders"}
    data = plant.convert("plates", task="classification", layout=layout, allow_empty=False)
    assert {path.name for path in (data / "images").iterdir()} == {"pit-1.png", "scratch-1.png"}


def test_equal_names_of_one_class_in_two_folders(plant, said):
    for number, line in enumerate(("line1", "line2")):
        folder = plant.home / "plates" / line / "IMAGES" / "pit"
        folder.mkdir(parents=True)
        Image.fromarray(np.full((16, 16), 90 * number, np.uint8)).save(folder / "1.png")
    layout = {"images": ["IMAGES"], "format": "folders"}
    fields = {"task": "classification", "layout": layout, "allow_empty": False}
    data = plant.convert("plates", **fields)
    names = {path.name for path in (data / "images").iterdir()}
    assert names == {"line1-pit-1.png", "line2-pit-1.png"}


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "zero\u200bwidth"])
def test_a_name_that_cannot_be_listed_is_named(plant, name):
    renamed(plant.draw(count=2), "plate_0", name)
    with pytest.raises(ConversionError, match="rename it in printable characters"):
        plant.convert("plates")
