"""The site in a real headless Chromium, from files: quiet, sortable, filterable, as wide as its window, and accessible."""

import pytest
from browser import LAPTOP, PHONE, SCREEN, Visit, chromium
from shelf import Shelf, fill

from defectbench.report.render import render_report

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory, browser):
    shelf = Shelf(tmp_path_factory.mktemp("site"))
    shelf.split("clean")
    fill(shelf)
    for n in range(8):
        answers = shelf.oracle(images={1, 2, 3} - {n % 4})
        more = {"params_m": 0.3 + n, "results": answers, "p50": 3.0 + n}
        shelf.method(f"gamma_{n}_with_a_name_as_long_as_some_are", map50=0.3 + 0.04 * n, **more)
    render_report([shelf.runs], shelf.out, "trial")
    return shelf.out


@pytest.fixture
def visit(browser):
    made = Visit(browser)
    yield made
    made.close()


def files_of(report):
    """A page of each kind: those of all the methods that fill the tables are alike."""
    pages = sorted((report / "pages").glob("*.html"))
    alike = [path for path in pages if path.name.startswith("method-gamma")]
    return [report / "index.html", *(path for path in pages if path not in alike[1:])]


def names(page):
    return page.locator("table >> nth=0 >> tbody.methods tr:visible th").all_inner_texts()


def test_no_page_complains_or_asks_for_anything_outside(report, visit):
    for path in files_of(report):
        visit.open(path).mouse.wheel(0, 100_000)
        visit.page.wait_for_load_state("networkidle")
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [PHONE, LAPTOP, SCREEN])
def test_no_page_is_wider_than_its_window(report, browser, width):
    visit = Visit(browser, width)
    wide = {}
    for path in files_of(report):
        visit.open(path)
        wide[path.name] = visit.overflow()
    visit.close()
    assert [name for name, pixels in wide.items() if pixels > 0] == []


def test_tables_fit_a_laptop_until_all_columns_are_asked_for(report, browser):
    visit = Visit(browser, LAPTOP)
    page = visit.open(report / "pages" / "dataset-steel.html")
    box = page.locator(".table >> nth=0")
    fits = (
        "box => { const s = box.querySelector('.scroll'); return s.scrollWidth <= s.clientWidth; }"
    )
    assert box.evaluate(fits)
    hidden = page.locator(".table >> nth=0 >> thead th:not(:visible)").count()
    assert hidden
    box.get_by_role("button", name="all columns").click()
    assert page.locator(".table >> nth=0 >> thead th:not(:visible)").count() == 0
    box.get_by_role("button", name="fewer columns").click()
    assert page.locator(".table >> nth=0 >> thead th:not(:visible)").count() == hidden
    visit.close()


def test_names_cover_no_figure_on_a_phone(report, browser):
    visit = Visit(browser, PHONE)
    page = visit.open(report / "pages" / "dataset-steel.html")
    row = page.locator("table >> nth=0 >> tbody.methods tr >> nth=0")
    name, figure = (row.locator(cell).first.bounding_box() for cell in ("th", "td:visible"))
    assert name["x"] + name["width"] <= figure["x"] + 1
    assert figure["x"] + figure["width"] <= PHONE
    page.locator("table >> nth=0").evaluate("table => table.parentElement.scrollTo(200, 0)")
    assert row.locator("th").bounding_box()["x"] < name["x"] + 1
    visit.close()


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(report, visit):
    page = visit.open(report / "index.html")
    head = page.locator("table >> nth=0 >> thead th").filter(has_text="params")
    figures = page.locator("table >> nth=0 >> tbody.methods tr td[data-v]")
    assert figures.count()
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    down = names(page)
    assert down[0].startswith("gamma_7")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page)[0].startswith("gamma_0")
    assert sorted(names(page)) == sorted(down)
    controls = page.locator("table >> nth=0 >> tbody.controls tr th").all_inner_texts()
    assert controls == ["Memoriser", "Oracle"]
    page.locator("table >> nth=0 >> thead th >> nth=0").get_by_role("button").click()
    assert names(page) == sorted(names(page))


def test_words_filter_rows(report, visit):
    page = visit.open(report / "index.html")
    field = page.get_by_label("filter rows").first
    field.fill("Gamma_3 long")
    assert [name.split("_with")[0] for name in names(page)] == ["gamma_3"]
    assert page.get_by_text("1 of 12 rows").is_visible()
    field.fill("")
    assert len(names(page)) == 10


def test_two_methods_are_set_side_by_side_on_the_same_images(report, visit):
    asked = "#place=steel-clean&a=beta_net&b=alpha&show=differ"
    page = visit.open(report / "pages" / "compare.html", asked)
    pair = page.locator("#pairs .pair")
    assert pair.count() == 6
    first = pair.nth(0)
    assert first.locator("b").all_inner_texts() == ["beta_net", "alpha"]
    assert len(set(first.locator("img").evaluate_all("all => all.map(i => i.src)"))) == 1
    first.locator("img").nth(0).scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#pairs img').naturalWidth > 0")
    assert first.locator("rect.missed").count() == 2
    assert first.locator("rect.hit").count() == 2
    page.locator("select[name=b]").select_option("gamma_1_with_a_name_as_long_as_some_are")
    assert pair.nth(0).locator("b").nth(1).inner_text().startswith("gamma_1")
    assert "b=gamma_1" in page.url
    page.locator("select[name=place]").select_option("steel-paper")
    assert page.locator("select[name=a]").input_value() == "beta_net"


def test_a_point_of_the_front_opens_its_method(report, visit):
    page = visit.open(report / "index.html")
    page.locator("svg.chart a").filter(has_text="alpha").first.click()
    assert page.url.endswith("pages/method-alpha.html")
    assert page.locator("h1").inner_text() == "alpha"


def test_lists_of_pages_open_one_at_a_time(report, visit):
    page = visit.open(report / "index.html")
    page.get_by_text("Methods", exact=True).click()
    assert page.get_by_role("link", name="beta_net", exact=True).first.is_visible()
    page.get_by_text("Datasets", exact=True).click()
    assert page.locator("details.menu[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(report, browser, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    visit = Visit(browser, LAPTOP, scheme)
    findings = []
    for path in files_of(report):
        page = visit.open(path)
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        found = axe.Axe().run(page).response["violations"]
        findings += [
            (path.name, entry["id"], node["html"][:200])
            for entry in found
            if entry["impact"] in SERIOUS
            for node in entry["nodes"]
        ]
    visit.close()
    assert findings == []


def test_nothing_is_folded_on_paper(report, visit):
    page = visit.open(report / "pages" / "protocol.html")
    page.emulate_media(media="print")
    assert not page.locator("header").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("main details:not([open])").count() == 0
