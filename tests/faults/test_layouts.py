"""Folders and archives as people have them: read, or refused by an error that sees what lies there."""

import zipfile

import pytest
from PIL import Image

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ArchiveError, ConfigError, ConversionError
from defectbench.data.acquire import acquire
from defectbench.data.pack import read_rgb

PARTS = ["train", "valid", "test"]
BESIDE = {"images": PARTS, "labels": PARTS, "format": "voc"}


class Silent(zipfile.ZipInfo):
    """A member whose name is written in some encoding, without the flag that says so."""

    encoding = "gbk"

    def _encodeFilenameFlags(self):
        return self.filename.encode(self.encoding), self.flag_bits & ~0x800


def packed(plant, plates, images, labels, encoding=None, top="钢板"):
    """A ZIP of a drawn set in folders of other names; with an encoding, as old tools write it."""
    path = plant.home / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for kind, folder in (("IMAGES", images), ("ANNOTATIONS", labels)):
            for file in sorted((plates / kind).iterdir()):
                info = (Silent if encoding else zipfile.ZipInfo)(f"{top}/{folder}/{file.name}")
                if encoding:
                    info.encoding = encoding
                archive.writestr(info, file.read_bytes())
    return path


def layout(images, labels):
    return {"images": [images], "labels": [labels], "format": "voc"}


# Images beside their labels


def test_images_beside_their_labels(plant, said):
    for part in PARTS:
        plant.draw(count=4, pattern=part + "_{i}.png", images=part, labels=part)
    report = said(plant.convert("plates", layout=BESIDE) / "conversion.json")
    assert (report["images"], report["boxes"]) == (12, 12)
    assert report["files_ignored"] == []


def test_one_folder_that_is_the_mirror_itself(plant, said):
    plant.draw("plates", count=4, images=".", labels=".")
    both = {"images": ["plates"], "labels": ["plates"], "format": "voc"}
    assert said(plant.convert("plates", layout=both) / "conversion.json")["images"] == 4


@pytest.mark.parametrize("folder", [".", "day 1/shift 2"])
def test_one_pile_of_images_and_labels(plant, said, folder):
    """A ZIP without folders, or one whose folders mean nothing."""
    plates = plant.draw(count=3)
    with zipfile.ZipFile(plant.home / "pile.zip", "w") as archive:
        for path in sorted(plates.rglob("*.*")):
            archive.write(path, f"{folder}/{path.name}")
    pile = {"images": ["."], "labels": ["."], "format": "voc"}
    for mirror in ("pile.zip", "plates"):
        assert said(plant.convert(mirror, layout=pile) / "conversion.json")["boxes"] == 3


@pytest.mark.parametrize("name", ["train/images", "a\\b", ""])
def test_a_path_is_no_folder_of_a_layout(plant, name):
    with pytest.raises(ConfigError, match=r"layout: .*name a folder alone"):
        load_dataset_card(plant.card(layout={"images": [name], "labels": ["b"], "format": "voc"}))


def test_lists_beside_their_images(plant, said):
    plates = plant.draw(count=3, images="all", labels="xml")
    (plates / "all" / "classes.txt").write_text("".join(f"plate_{i}.png pit\n" for i in range(3)))
    both = {"images": ["all"], "labels": ["all"], "format": "lists"}
    fields = {"task": "classification", "allow_empty": False, "layout": both}
    assert said(plant.convert("plates", **fields) / "conversion.json")["images"] == 3


# Archives


@pytest.mark.parametrize(
    ("images", "labels", "encoding", "read_as"),
    [
        ("图片", "标注", "gbk", "gb18030"),
        ("IMAGES", "标注", "gbk", "gb18030"),
        ("圖片", "標註", "big5", "big5"),
        ("画像", "ラベル", "cp932", "cp932"),
        ("이미지", "라벨", "cp949", "cp949"),
        ("Prüfbilder", "Aufkleber", "cp437", "cp437"),
        ("снимки", "метки", "cp1251", "cp1251"),
        ("图片", "标注", "utf-8", "utf-8"),
    ],
)
def test_names_of_archives_that_do_not_say_their_encoding(
    plant, said, images, labels, encoding, read_as
):
    archive = packed(plant, plant.draw(count=3), images, labels, encoding, top="a")
    data = plant.convert(archive.name, layout=layout(images, labels))
    assert said(data / "conversion.json")["images"] == 3
    assert said(data / "source.json")["names_read_as"] == read_as


def test_an_archive_that_says_its_encoding(plant, said):
    archive = packed(plant, plant.draw(count=3), "图片", "标注")
    data = plant.convert(archive.name, layout=layout("图片", "标注"))
    assert said(data / "conversion.json")["images"] == 3
    assert "names_read_as" not in said(data / "source.json")


@pytest.mark.parametrize("encoding", [None, "gbk"])
def test_other_folders_than_the_cards_are_told(plant, encoding):
    archive = packed(plant, plant.draw(count=3), "图片", "标注", encoding)
    with pytest.raises(ArchiveError, match="images in a folder IMAGES") as caught:
        plant.convert(archive.name)
    assert "3 .png in" in str(caught.value)
    assert "3 .xml in" in str(caught.value)
    assert encoding or "3 .png in 钢板/图片" in str(caught.value)


def test_a_folder_of_other_folders_is_told(plant):
    plant.draw(count=3, images="JPEGImages", labels="Annotations")
    with pytest.raises(ArchiveError, match=r"3 \.png in plates/JPEGImages"):
        plant.convert("plates")


def test_an_archive_in_an_archive_is_told(plant):
    inner = packed(plant, plant.draw(count=1), "IMAGES", "ANNOTATIONS")
    with zipfile.ZipFile(plant.home / "outer.zip", "w") as archive:
        archive.write(inner, "inner.zip")
    with pytest.raises(ArchiveError, match=r"1 \.zip in the top"):
        plant.convert("outer.zip")


# Images and labels that lack each other


def test_images_without_a_label_where_the_card_says_what_that_means(plant, said):
    plates = plant.draw(count=6)
    for number in (0, 3):
        (plates / "ANNOTATIONS" / f"plate_{number}.xml").unlink()
    with pytest.raises(ConversionError, match="`unlabelled_are_empty: true` in the card"):
        plant.convert("plates")
    report = said(plant.convert("plates", unlabelled_are_empty=True) / "conversion.json")
    assert (report["images"], report["boxes"], report["images_without_defect"]) == (6, 4, 2)
    assert report["images_without_label"] == ["plate_0.png", "plate_3.png"]


def test_the_switch_needs_a_card_that_allows_images_without_defects(plant):
    card = plant.card(allow_empty=False, unlabelled_are_empty=True)
    with pytest.raises(ConfigError, match="unlabelled_are_empty needs allow_empty"):
        load_dataset_card(card)


def test_a_label_without_its_image_stays_an_error(plant):
    plates = plant.draw(count=3)
    (plates / "IMAGES" / "plate_0.png").rename(plates / "IMAGES" / "plate_00.png")
    with pytest.raises(ConversionError, match=r"nearest image without a label is plate_00\.png"):
        plant.convert("plates", unlabelled_are_empty=True)


@pytest.mark.parametrize("name", ["plate_0.json", "plate_0.txt", "Plate_0.xml.bak"])
def test_a_label_of_another_kind_is_no_missing_one(plant, name):
    """With the switch on, its image would count as free of defects."""
    plates = plant.draw(count=2)
    (plates / "ANNOTATIONS" / "plate_0.xml").rename(plates / "ANNOTATIONS" / name)
    if name.endswith(".bak"):
        (plates / "ANNOTATIONS" / name).rename(plates / "ANNOTATIONS" / "Plate_0.bak")
        name = "Plate_0.bak"
    with pytest.raises(
        ConversionError, match=rf"{name}.*of a kind that is not read; save it as one of \.xml"
    ):
        plant.convert("plates", unlabelled_are_empty=True)


def resave(plates, number, suffix, form):
    path = plates / "IMAGES" / f"plate_{number}.png"
    with Image.open(path) as image:
        image.save(path.with_suffix(suffix), form)
    path.unlink()


def test_other_suffixes_of_images(plant, said):
    plates = plant.draw(count=6)
    for number, (suffix, form) in enumerate(
        [(".webp", "WEBP"), (".jfif", "JPEG"), (".JPEG", "JPEG"), (".tif", "TIFF"), (".BMP", "BMP")]
    ):
        resave(plates, number, suffix, form)
    data = plant.convert("plates")
    assert said(data / "conversion.json")["images"] == 6
    assert {read_rgb(path).shape for path in (data / "images").iterdir()} == {(48, 48, 3)}


@pytest.mark.parametrize("suffix", [".gif", ".heic", ".pgm", ".dng", ""])
def test_an_image_of_a_kind_that_is_not_read_is_seen(plant, suffix):
    plates = plant.draw(count=2)
    path = plates / "IMAGES" / "plate_0.png"
    path.rename(path.with_suffix(suffix))
    with pytest.raises(ConversionError) as caught:
        plant.convert("plates")
    assert f"got 'plate_0{suffix}'; it is of a kind that is not read; save it as one of" in str(
        caught.value
    )
    assert ".png" in str(caught.value)


def test_a_set_of_another_kind_altogether_is_told(plant):
    plates = plant.draw(count=2)
    for path in (plates / "IMAGES").iterdir():
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(
        ConversionError, match=r"images: got '2 \.gif'.*of a kind that is read: .*\.png"
    ):
        plant.convert("plates")


def test_files_beside_a_set_are_told(plant, said, capsys):
    plates = plant.draw(count=2)
    (plates / "IMAGES" / "notes.docx").write_bytes(b"x")
    (plates / "IMAGES" / "Thumbs.db").write_bytes(b"x")
    report = said(plant.convert("plates") / "conversion.json")
    assert report["files_ignored"] == ["plates/IMAGES/Thumbs.db", "plates/IMAGES/notes.docx"]
    told = capsys.readouterr().out
    assert "my-steel: 1 files beside images and labels that are not read (1 .docx)" in told


def test_nothing_is_told_of_a_set_without_repairs(plant, capsys):
    plant.convert(plant.draw(count=3).name)
    assert capsys.readouterr().out == ""


def test_acquisition_says_nothing_lies_where_nothing_lies(plant):
    (plant.home / "empty").mkdir()
    with pytest.raises(ArchiveError, match="got 'no file'"):
        acquire(load_dataset_card(plant.card()), plant.home / "out", plant.home / "empty")


# What systems leave, and what only looks like it


def test_names_that_begin_with_a_dot_are_read(plant, said):
    plates = plant.draw(count=4, pattern=".plate_{i}.png")
    for name in ("._.plate_0.png", ".DS_Store"):
        (plates / "IMAGES" / name).write_bytes(b"x")
    (plates / "ANNOTATIONS" / "._.plate_0.xml").write_bytes(b"x")
    report = said(plant.convert("plates") / "conversion.json")
    assert (report["images"], report["boxes"]) == (4, 4)


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".old"])
@pytest.mark.parametrize("mirror", ["plates", "set.zip"])
def test_folders_of_systems_are_no_data(plant, said, folder, mirror):
    plates = plant.draw(count=3)
    plant.draw(f"plates/{folder}", count=2, pattern="copy_{i}.png")
    plant.draw("plates", count=2, images=f"IMAGES/{folder}", labels=f"ANNOTATIONS/{folder}")
    with zipfile.ZipFile(plant.home / "set.zip", "w") as archive:
        for path in sorted(plates.rglob("*.*")):
            if path.is_file():
                archive.write(path, path.relative_to(plant.home))
    assert said(plant.convert(mirror) / "conversion.json")["images"] == 3


def test_a_hidden_folder_may_be_the_mirror(plant, said):
    plant.draw(".plates", count=3)
    assert said(plant.convert(".plates") / "conversion.json")["images"] == 3
    with pytest.raises(ConfigError, match=r"hidden are passed over; rename '\.IMAGES'"):
        load_dataset_card(plant.card(layout=layout(".IMAGES", "ANNOTATIONS")))


@pytest.mark.parametrize("mirror", ["plates", "set.zip"])
@pytest.mark.parametrize("folder", ["old", "IMAGES"])
def test_a_label_that_lies_elsewhere_is_no_missing_one(plant, mirror, folder):
    plates = plant.draw(count=3)
    (plates / "old").mkdir()
    (plates / "ANNOTATIONS" / "plate_1.xml").rename(plates / folder / "Plate_1.xml")
    with zipfile.ZipFile(plant.home / "set.zip", "w") as archive:
        for path in sorted(plates.rglob("*.*")):
            archive.write(path, path.relative_to(plant.home))
    with pytest.raises(ConversionError, match=rf"Plate_1\.xml in folder: got 'plates/{folder}'"):
        plant.convert(mirror, unlabelled_are_empty=True)
