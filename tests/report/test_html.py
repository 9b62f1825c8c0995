"""Tables as HTML: columns that fold by priority, captions of a line, and what a cell is sorted by."""

from dataclasses import replace

from defectbench.report.numbers import percent
from defectbench.report.table import HEADLINE, NAME, Column, Row, Shown, Table, word_column
from defectbench.report.writers.html import LAPTOP, Addresses, folded, table_html

ADDRESSES = Addresses(lambda path: f"there/{path}", root="../")
COLUMNS = [
    word_column("title", "method", NAME),
    Column("score", "score", "%", percent, priority=HEADLINE),
    *(Column(f"f{n}", f"figure {n}", priority=n) for n in range(2, 30)),
    Column("last", "detail", priority=0, is_detail=True),
]
ROW = Row({"title": "alpha", "score": 0.125, "score_low": 0.1, "score_high": 0.2})
TABLE = Table(
    "trial", "Trial", COLUMNS, [ROW], notes=["First.", "Second."], formats=("csv", "page")
)


def test_columns_of_low_priority_fold_first_and_details_before_them():
    folds = folded(COLUMNS, [ROW])
    ordered = [folds.get(f"f{n}") for n in range(2, 30)]
    assert ordered == sorted(ordered, key=[None, "narrow", "fold"].index)
    assert {*ordered} == {None, "narrow", "fold"}
    assert folds["last"] == "fold"
    assert not {"title", "score"} & set(folds)


def test_names_and_headlines_stand_however_long_they_are():
    wide = [replace(COLUMNS[0], heading="m" * LAPTOP), replace(COLUMNS[1], heading="s" * LAPTOP)]
    assert folded(wide, [ROW]) == {}


def test_a_caption_is_the_first_note_and_others_fold_away():
    text = table_html(TABLE, ADDRESSES)
    assert '<p class="caption">First.</p>' in text
    assert text.index("<details") < text.index("<li>Second.</li>") < text.index("</details>")
    assert '<a href="../trial.csv">CSV</a>' in text


def test_a_cell_is_sorted_by_its_value_and_not_by_what_is_shown():
    text = table_html(TABLE, ADDRESSES)
    assert '<td data-v="0.125">12.5<span class="aside">[10.0, 20.0]</span></td>' in text


def test_records_and_pages_are_linked_and_text_is_escaped():
    shown = {"score": Shown("<b>", href="a.json"), "f2": Shown("", links=(("one", "1.json"),))}
    row = Row({"title": "<alpha>"}, shown)
    about = replace(ADDRESSES, about=lambda row: f"{len(row.values['title'])}.html")
    text = table_html(replace(TABLE, rows=[row]), about)
    assert '<a href="7.html">&lt;alpha&gt;</a>' in text
    assert '<a href="there/a.json">&lt;b&gt;</a>' in text
    assert '<a href="there/1.json">one</a>' in text


def test_a_table_without_rows_says_why():
    empty = replace(TABLE, rows=[], empty="Nothing under `clean`.", notes=[])
    assert "Nothing under <code>clean</code>." in table_html(empty, ADDRESSES)
