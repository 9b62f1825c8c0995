"""What a label says: used, told on the screen and in the record, or refused; nothing is lost without a word."""

import re

import pytest
from PIL import Image

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, ConversionError
from defectbench.data.formats.voc import read_voc

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
OBJECT = f"<object><name>pit</name>{BOX}</object>"


def read(tmp_path, inside):
    path = tmp_path / "a.xml"
    path.write_text(f"<annotation>{inside}</annotation>", encoding="utf-8")
    return read_voc(path)


def replace(plates, old, new, count=None):
    for number, path in enumerate(sorted((plates / "ANNOTATIONS").iterdir())):
        if count is None or number < count:
            content = path.read_text("utf-8")
            assert old in content
            path.write_text(content.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("object>", "Object>"),
        ("object>", "OBJECT>"),
        ("bndbox>", "BndBox>"),
        ("name>", "Name>"),
        ("xmin>", "Xmin>"),
        ("annotation>", "Annotation>"),
        ("<annotation>", '<annotation xmlns="http://host/voc">'),
    ],
)
def test_tags_in_other_capitals_are_read(plant, said, old, new):
    replace(plant.draw(count=6), old, new, count=3)
    report = said(plant.convert("plates") / "conversion.json")
    assert (report["boxes"], report["images_without_defect"], report["size_fields_ignored"]) == (
        6,
        0,
        [],
    )


@pytest.mark.parametrize("tag", ["item", "objet", "obj", "Objects"])
def test_a_box_outside_of_an_object_is_refused(plant, tag):
    replace(plant.draw(count=2), "object>", f"{tag}>", count=1)
    with pytest.raises(ConversionError, match=r"plate_0\.xml: bndbox: .*put it into <object>"):
        plant.convert("plates")


@pytest.mark.parametrize(
    ("inside", "field"),
    [
        (f"<object><name>pit</name>{BOX}{BOX}</object>", "object.bndbox: got 2"),
        (f"<object><name>pit</name><name>scratch</name>{BOX}</object>", "object.name: got 2"),
        (OBJECT.replace("<xmin>1</xmin>", "<xmin>1</xmin><xmin>3</xmin>"), "bndbox.xmin: got 2"),
        (f"<size><width>1</width></size><size/>{OBJECT}", "annotation.size: got 2"),
        ("<object><name>pit</name><robndbox><cx>1</cx></robndbox></object>", "object.robndbox"),
        ("<object><name>pit</name><xmin>1</xmin></object>", "bndbox.xmin"),
        ('<object name="pit"><bndbox/></object>', "object.name"),
    ],
)
def test_what_says_two_things_or_none_is_refused(tmp_path, inside, field):
    with pytest.raises(ConversionError, match=rf"a\.xml: {field}"):
        read(tmp_path, inside)


@pytest.mark.parametrize("tag", ["obj", "objet", "item"])
def test_a_label_whose_objects_have_another_name_shows_a_defect(tmp_path, tag):
    """Without a box nothing else would tell it from a good plate."""
    inside = f"<source><owner><name>me</name></owner></source><{tag}><name>pit</name></{tag}>"
    with pytest.raises(ConversionError, match=rf"a\.xml: {tag}: .*write <object>"):
        read(tmp_path, inside)
    assert read(tmp_path, "<source><owner><name>me</name></owner></source>").boxes == []


@pytest.mark.parametrize("shape", ["robndbox", "polygon"])
def test_the_shape_that_is_there_is_named(tmp_path, shape):
    inside = f"<object><name>pit</name><{shape}><x1>1</x1></{shape}></object>"
    with pytest.raises(ConversionError, match=rf"object\.{shape}: .*write <bndbox>"):
        read(tmp_path, inside)


def size(width):
    return f"<size><width>{width}</width><height>96</height></size>{OBJECT}"


def test_a_size_is_a_whole_number(tmp_path):
    assert read(tmp_path, size("96.0")).size == (96, 96, None)
    for width in ("96px", "96.5", "1" * 5000, "nan", "-96"):
        with pytest.raises(ConversionError, match=r"a\.xml: size\.width: "):
            read(tmp_path, size(width))


def test_attributes_are_counted(tmp_path):
    label = read(
        tmp_path, f'<size width="96" height="96"/>{OBJECT}'.replace("<name", '<name id="3"')
    )
    assert label.unread == {"size@width": 1, "size@height": 1, "object.name@id": 1}


def test_objects_in_a_list_of_objects_are_read(tmp_path):
    label = read(tmp_path, f"<objects>{OBJECT}{OBJECT}</objects>")
    assert (len(label.boxes), label.unread) == (2, {})


def test_what_is_not_used_is_counted(tmp_path):
    odd = f"<part><name>rim</name>{BOX}</part><deleted>1</deleted><difficult>1</difficult>"
    odd += "<truncated>0</truncated><pose>Unspecified</pose>"
    label = read(
        tmp_path, OBJECT.replace("</object>", f"{odd}</object>") + "<verified>yes</verified>"
    )
    assert label.boxes[0].corners == (0.0, 1.0, 9.0, 8.0)
    expected = {"object.part": 1, "object.deleted": 1, "object.difficult": 1, "verified": 1}
    assert label.unread == expected


def test_what_is_not_used_is_told_and_recorded(plant, said, capsys):
    replace(plant.draw(count=4), "</object>", "<difficult>1</difficult></object>", count=3)
    report = said(plant.convert("plates") / "conversion.json")
    assert report["tags_ignored"] == {"object.difficult": 3}
    assert (
        "my-steel: tags of labels that are not used: object.difficult (3)"
        in capsys.readouterr().out
    )


def test_boxes_that_were_cut_are_told(plant, said, capsys):
    replace(plant.draw(count=2), "</xmax>", "00</xmax>", count=1)
    assert len(said(plant.convert("plates") / "conversion.json")["boxes_clipped"]) == 1
    assert "1 boxes cut at the edge of their image" in capsys.readouterr().out


def test_labels_that_name_another_image_are_told(plant, capsys):
    plates = plant.draw(count=4)
    replace(plates, "<filename>plate_", "<filename>C:\\old\\plate_")
    plant.convert("plates")
    assert "name another image" not in capsys.readouterr().out
    replace(plates, "plate_0.png", "plate_3.png", count=1)
    plant.convert("plates")
    assert "my-steel: 1 labels that name another image" in capsys.readouterr().out


def test_corners_in_fractions_of_the_side_are_refused(plant):
    """Each would be cut to a part of the first pixel."""
    plates = plant.draw(count=3)
    for path in (plates / "ANNOTATIONS").iterdir():
        text = re.sub(
            r"<(x|y)(min|max)>(\d+)<",
            lambda m: f"<{m[1]}{m[2]}>{int(m[3]) / 48}<",
            path.read_text("utf-8"),
        )
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConversionError, match=r"plate_0\.xml: bndbox: .*fractions of the side"):
        plant.convert("plates")


# Labels made for another size of the pictures


def resize(plates, side, count=None):
    for number, path in enumerate(sorted((plates / "IMAGES").iterdir())):
        if count is None or number < count:
            with Image.open(path) as image:
                image.resize(side if isinstance(side, tuple) else (side, side)).save(path)


@pytest.mark.parametrize(
    ("side", "count"), [(96, None), (24, None), (96, 2), (96, 3), ((96, 48), None), ((72, 96), 4)]
)
def test_labels_of_resized_pictures_are_refused(plant, side, count):
    resize(plant.draw(count=6), side, count)
    with pytest.raises(ConversionError, match=r"plate_0\.xml: size: got '48 x 48'; its image has"):
        plant.convert("plates")


def test_the_card_may_say_that_the_boxes_are_right(plant, said, capsys):
    resize(plant.draw(count=6), 96)
    report = said(plant.convert("plates", ignore_label_sizes=True) / "conversion.json")
    assert len(report["size_fields_ignored"]) == 6
    assert "6 labels that say another size than their image has" in capsys.readouterr().out


def test_a_single_slip_is_told(plant, said, capsys):
    replace(plant.draw(count=6), "<width>48<", "<width>480<", count=1)
    report = said(plant.convert("plates") / "conversion.json")
    assert len(report["size_fields_ignored"]) == 1
    assert "1 labels that say another size than their image has" in capsys.readouterr().out


@pytest.mark.parametrize(
    "size", ["", "<size/>", "<size><width>0</width><height>0</height><depth>1</depth></size>"]
)
def test_labels_that_say_no_size_are_read(plant, said, capsys, size):
    full = "<size><width>48</width><height>48</height><depth>1</depth></size>"
    replace(plant.draw(count=4), full, size)
    assert said(plant.convert("plates") / "conversion.json")["boxes"] == 4
    assert "another size" not in capsys.readouterr().out


def test_sizes_are_of_labels_that_say_them(plant):
    layout = {"images": ["IMAGES"], "format": "folders"}
    card = plant.card(
        layout=layout, task="classification", allow_empty=False, ignore_label_sizes=True
    )
    with pytest.raises(ConfigError, match="folders says no sizes"):
        load_dataset_card(card)
