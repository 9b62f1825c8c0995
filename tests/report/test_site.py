"""The site: pages that need no server and no foreign resource, whose figures lead to their records."""

import json
import re

import pytest
from html_page import Page, pages_of
from report_parts import build_site, draw, tabulate
from shelf import Shelf, fill

from defectbench.base.errors import ReportError
from defectbench.report.render import make_report, render_report


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    shelf = Shelf(tmp_path_factory.mktemp("site"))
    shelf.split("clean")
    fill(shelf)
    render_report([shelf.runs], shelf.out, "trial")
    return shelf


@pytest.fixture
def pages(rendered):
    return pages_of(rendered.out)


@pytest.fixture
def text(rendered):
    return lambda name: (rendered.out / "pages" / f"{name}.html").read_text()


def test_a_report_has_a_page_for_each_question(rendered):
    names = {path.stem for path in (rendered.out / "pages").glob("*.html")}
    tables = {"pairs", "speed", "further", "protocol", "runs", "compare", "claims"}
    assert names >= tables | {"dataset-steel"}
    assert {name for name in names if name.startswith("method-")} == {
        "method-alpha",
        "method-beta_net",
    }


def test_every_page_is_well_formed_and_every_link_leads_somewhere(pages):
    for page in pages:
        assert page.open == [], page.path
        assert page.broken() == [], page.path


def test_no_page_asks_for_what_is_not_in_the_folder(pages):
    for page in pages:
        assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", page.text)
        assert all(not s.startswith("..") or s.startswith("../") for s in page.sources)
        assert "fetch(" not in page.text


def test_scripts_and_styles_ask_for_nothing(rendered):
    for path in (rendered.out / "pages").glob("*.[jc]s*"):
        assert not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|@import|url\(", path.read_text()
        ), path


def test_images_are_loaded_when_they_come_into_view(pages):
    images = [tag for page in pages for tag in re.findall("<img[^>]*>", page.text)]
    assert images
    assert all('loading="lazy"' in tag and 'alt="' in tag and 'width="' in tag for tag in images)


def test_images_are_shared_and_named_by_their_content(rendered, pages):
    files = {path.name for path in (rendered.out / "gallery").iterdir()}
    assert len(files) == rendered.images
    assert all(re.fullmatch(r"[0-9a-f]{16}\.webp", name) for name in files)
    shown = {s.rpartition("/")[2] for page in pages for s in page.sources if "/gallery/" in s}
    assert shown <= files


def test_each_figure_opens_its_record(text):
    folder = "../../runs/steel/clean/beta_net/seed0"
    page = text("dataset-steel")
    assert f'<a href="{folder}/accuracy.json">50.0</a>' in page
    assert f'<a href="{folder}/complexity.json">2.50</a>' in page
    assert f'<a href="{folder}/latency/onnxruntime.json">8.00‡</a>' in page
    assert f'<a href="{folder}/train.json">100</a>' in page
    assert f'<a href="{folder}/predictions.json">predictions</a>' in text("runs")
    assert f'<a href="{folder}/accuracy.json">50.0</a>' in text("method-beta_net")


def test_figures_open_their_records_from_the_overview(rendered):
    page = (rendered.out / "index.html").read_text()
    assert '<a href="../runs/steel/clean/beta_net/seed0/accuracy.json">50.0</a>' in page


def test_figures_of_several_seeds_open_the_list_of_them(text):
    assert '<a href="runs.html#runs-steel-clean-alpha">65.0</a>' in text("dataset-steel")
    assert '<tr id="runs-steel-clean-alpha">' in text("runs")
    record = "../../runs/steel/clean/alpha/seed1/accuracy.json"
    assert f'<a href="{record}">accuracy</a>' in text("runs")


def test_tables_stand_on_their_pages(text):
    page = text("dataset-steel")
    assert (
        '<td class="best" data-v="0.65"><a href="runs.html#runs-steel-clean-alpha">65.0</a>' in page
    )
    assert "scratches" in page
    assert "5 boxes" in page
    assert '+40.0<span class="aside">[+32.9, +47.1]</span>' in text("further")
    assert "alpha is better" in text("pairs")
    assert "90 % of 6 test images show surface seen in training" in page
    assert '<a href="../../data/steel/paper/certificate.json">certificate</a>' in page


def test_methods_are_linked_where_tables_name_them(text, rendered):
    assert '<a href="method-alpha.html">alpha</a>' in text("dataset-steel")
    assert (
        '<a href="pages/method-alpha.html">alpha</a>' in (rendered.out / "index.html").read_text()
    )


def test_the_overview_says_what_to_look_at_and_what_is_not_told_apart(rendered):
    page = (rendered.out / "index.html").read_text()
    assert "highest mAP50" in page
    assert "What cannot be told apart" in page
    assert '<svg class="chart"' in page
    assert "<title>alpha: 65.0 [" in page


def test_the_data_of_the_comparison_are_those_of_the_pages(rendered):
    script = (rendered.out / "pages" / "compare-data.js").read_text()
    assert script.startswith("const COMPARE = ")
    places = json.loads(script.removeprefix("const COMPARE = ").rstrip(";\n"))
    assert [place["name"] for place in places] == ["steel, clean", "steel, paper"]
    (clean, _) = places
    assert {m["id"] for m in clean["methods"]} >= {"alpha", "beta_net"}
    assert len(clean["shots"]) == clean["images"] == rendered.images
    for shot in clean["shots"]:
        assert (rendered.out / "gallery" / shot["file"]).is_file()
        assert set(shot["answers"]) == {m["id"] for m in clean["methods"]}
    with_both = next(shot for shot in clean["shots"] if shot["name"] == "plate_1.png")
    assert [mark[0] for mark in with_both["truth"]] == ["truth", "truth"]
    text, badness, marks = with_both["answers"]["beta_net"]
    assert (text, badness) == ("0 of 2 found", 2)
    assert [mark[0] for mark in marks] == ["missed", "missed"]
    text, badness, marks = with_both["answers"]["alpha"]
    assert (text, badness) == ("2 of 2 found", 0)
    assert [mark[0] for mark in marks] == ["hit", "hit"]


def test_a_page_of_a_method_shows_what_it_misses(text):
    page = text("method-beta_net")
    assert "Worst first" in page
    assert "0 of 2 found" in page
    assert '<rect class="missed"' in page
    assert "training loss" in page


def test_names_are_escaped(filled):
    build_site([filled.runs], filled.out, "<script>alert(1)</script>")
    for page in pages_of(filled.out):
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text


def test_a_site_without_figures_shows_none(filled):
    build_site([filled.runs], filled.out, "trial")
    assert "/figures/" not in Page(filled.out / "pages" / "dataset-steel.html").text


def test_the_parts_make_the_same_report_as_the_whole(rendered):
    def texts():
        return {
            p.relative_to(rendered.out): p.read_bytes()
            for p in rendered.out.rglob("*")
            if p.is_file()
        }

    before = texts()
    tabulate([rendered.runs], rendered.out)
    draw([rendered.runs], rendered.out)
    build_site([rendered.runs], rendered.out, "trial")
    assert texts() == before


def test_no_temporary_file_stays(rendered):
    assert not list(rendered.out.rglob(".*"))


def test_a_missing_record_leaves_no_report(filled):
    (filled.folder("alpha") / "complexity.json").unlink()
    with pytest.raises(ReportError):
        render_report([filled.runs], filled.out, "trial")
    assert not filled.out.exists()


def test_what_is_left_out_of_a_study_stands_below_its_first_table(rendered):
    line = "tire is left out: no program can get it"
    report = make_report([rendered.runs], notes=[line])
    assert report.tables[0].notes[-1] == line
    assert not [table for table in report.tables[1:] if line in table.notes]
