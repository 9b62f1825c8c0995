"""The page: one file, no foreign resource, each figure leads to its record."""

import re
from html.parser import HTMLParser

import pytest
from report_parts import build_page, draw, tabulate
from shelf import Shelf, fill

from defectbench.base.errors import ReportError
from defectbench.report.render import make_report, render_report


class Page(HTMLParser):
    """Links, pictures, names and open tags of a page."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.links, self.pictures, self.names, self.open, self.tags = [], [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(own["href"])
        if tag == "img":
            self.pictures.append(own["src"])
        if "id" in own:
            self.names.add(own["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    shelf = Shelf(tmp_path_factory.mktemp("site"))
    shelf.split("clean")
    fill(shelf)
    render_report([shelf.runs], shelf.out, "trial")
    return shelf


@pytest.fixture
def text(rendered):
    return (rendered.out / "index.html").read_text()


def test_the_page_holds_everything_itself(text):
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert len(page.pictures) == 6
    assert all(source.startswith("data:image/") for source in page.pictures)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", text)


def test_every_link_leads_somewhere(text, rendered):
    page = Page(text)
    for link in page.links:
        target = link[1:] in page.names if link.startswith("#") else (rendered.out / link).is_file()
        assert target, link


def test_each_figure_opens_its_record(text):
    folder = "../runs/steel/clean/beta_net/seed0"
    assert f'<a href="{folder}/accuracy.json">50.0</a>' in text
    assert f'<a href="{folder}/complexity.json">2.50</a>' in text
    assert f'<a href="{folder}/latency/onnxruntime.json">8.00‡</a>' in text
    assert f'<a href="{folder}/train.json">100</a>' in text
    assert f'<a href="{folder}/predictions.json">predictions</a>' in text


def test_figures_of_several_seeds_open_the_list_of_them(text):
    assert '<a href="#runs-steel-clean-alpha">65.0</a>' in text
    assert '<tbody id="runs-steel-clean-alpha" class="methods">' in text
    assert '<a href="../runs/steel/clean/alpha/seed1/accuracy.json">accuracy</a>' in text


def test_tables_stand_on_the_page(text):
    assert '<td class="best"><a href="#runs-steel-clean-alpha">65.0</a>' in text
    assert "scratches" in text
    assert "5 boxes" in text
    assert '+40.0<span class="aside">[+32.9, +47.1]</span>' in text
    assert "alpha is better" in text
    assert "90 % of 6 test images show surface seen in training" in text
    assert '<a href="../data/steel/paper/certificate.json">certificate</a>' in text


def test_names_are_escaped(filled):
    build_page([filled.runs], filled.out, "<script>alert(1)</script>")
    text = (filled.out / "index.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_page_without_pictures_shows_none(filled):
    build_page([filled.runs], filled.out, "trial")
    assert Page((filled.out / "index.html").read_text()).pictures == []


def test_the_parts_make_the_same_report_as_the_whole(rendered, tmp_path):
    files = {
        p.relative_to(rendered.out): p.read_bytes() for p in rendered.out.rglob("*") if p.is_file()
    }
    tabulate([rendered.runs], rendered.out)
    draw([rendered.runs], rendered.out, "figures")
    draw([rendered.runs], rendered.out, "gallery")
    build_page([rendered.runs], rendered.out, "trial")
    assert {p: (rendered.out / p).read_bytes() for p in files} == files


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
