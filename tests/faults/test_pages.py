"""Class names and controls of a user's own set, on the way to the page."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from matplotlib.figure import Figure

from defectbench.cli import main
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split
from defectbench.measure.cell import measure_controls
from defectbench.measure.controls import control
from defectbench.measure.label_jitter import NoAgreementError
from defectbench.report.figures.style import figure_style, save
from defectbench.report.site.gallery import Mark, Shot
from defectbench.report.site.photos import Photo
from defectbench.report.writers.latex import escape
from defectbench.report.writers.templates import environment

NAMES = ("划痕", "50% wear", "in/out", "no#1", "$5 nick $", "царапина", "خدش")


@pytest.fixture
def plates(plant):
    """A set in which no two images show the same surface."""
    data = plant.convert(plant.draw(count=40))
    find_overlaps(data)
    group_images(data)
    split(data, "clean")
    return data


def test_a_set_without_overlaps_has_no_label_jitter_of_another_set(plates, tmp_path, capsys):
    assert (plates / "overlaps.csv").read_text().count("\n") == 1
    for kind in ("label_jitter", "label_jitter_ranked", "label_jitter_half"):
        with pytest.raises(
            NoAgreementError, match="0 boxes are shown by two images, 30 are needed"
        ):
            control(kind, plates, "clean", tmp_path / "j.json")
    options = {
        "kind": "label_jitter",
        "dataset": plates,
        "protocol": "clean",
        "out": tmp_path / "j.json",
    }
    assert main(["control", *(str(t) for n, v in options.items() for t in (f"--{n}", v))]) == 2
    assert capsys.readouterr().err.startswith("NoAgreementError: ")
    assert not (tmp_path / "j.json").exists()


def test_the_record_of_an_absent_control_says_why(plates, tmp_path):
    measure_controls(["label_jitter"], plates, "clean", tmp_path)
    record = json.loads((tmp_path / "control_label_jitter/seed0/accuracy.json").read_text())
    assert record["figures"] == {"absent_because": "0 boxes are shown by two images, 30 are needed"}


def test_class_names_as_plants_write_them_stand_on_figures(tmp_path, recwarn):
    with figure_style():
        figure = Figure(figsize=(4, 8), layout="constrained")
        axes = figure.subplots(len(NAMES), 1)
        for axis, name in zip(axes, NAMES, strict=True):
            axis.set_ylabel(name)
            axis.text(0, 0, f"{name} 0.90")
        save(figure, tmp_path, "names")
    assert [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)] == []
    shown = [axis.get_ylabel() for axis in axes]
    assert shown[1:] == list(NAMES[1:])
    assert shown[0] in ("划痕", "U+5212-75D5")  # with a font that has them, or without
    assert [axis.texts[0].get_text() for axis in axes] == [f"{name} 0.90" for name in shown]


@pytest.mark.parametrize("name", [*NAMES, "<b>", 'a"b', "a & b"])
def test_class_names_as_plants_write_them_stand_on_images(name):
    photo = Photo("a.webp", 40, 30)
    macros = "{% import 'site/macros.html.j2' as macros %}{{ macros.marks(shot, marks) }}"
    shot = Shot("a.png", photo, (Mark("truth", (5, 5, 9, 9), name),), (name,))
    text = (
        environment(Path.cwd(), autoescape=True)
        .from_string(macros)
        .render(shot=shot, marks=shot.truth)
    )
    assert [element.text for element in fromstring(text).iter("text")] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_class_names_are_printed_by_latex(name):
    assert escape(name).isprintable()
    assert not set(escape(name)) & {"#", "%"} or "\\#" in escape(name) or "\\%" in escape(name)
