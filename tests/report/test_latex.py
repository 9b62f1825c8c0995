"""The LaTeX table: escaped, whole, and compiled where there is an engine."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_check import check_latex
from rendered import kept
from report_parts import make_tables

from defectbench.report.writers.latex import escape, latex_document
from gate.latex import ENGINES, check_documents, compile_latex, latex_engine

HOSTILE = r"a_b & 50% of #1 {x} \y $z^2$ ~ <é> | \"q\" € Ω"


@pytest.fixture
def document(filled):
    return latex_document(make_tables([filled.runs]).tables["comparison"])


def compiles(text, folder):
    """Check the structure, then compile with the first engine at hand."""
    check_latex(text)
    engine = latex_engine()
    if engine is None:
        pytest.skip(f"the structure holds; none of {', '.join(ENGINES)} is here to compile it")
    (folder / "comparison.tex").write_text(text)
    compile_latex(folder / "comparison.tex", engine)


def test_the_document_compiles(document, tmp_path):
    compiles(document, tmp_path)


def test_hostile_names_compile(filled, tmp_path):
    table = make_tables([filled.runs]).tables["comparison"]
    first, *others = table.rows
    hostile = replace(first, values={**first.values, "title": HOSTILE})
    text = latex_document(replace(table, rows=[hostile, *others], notes=[HOSTILE, *table.notes]))
    assert r"a\_b \& 50\% of \#1 \{x\} \textbackslash{}y \$z\textasciicircum{}2\$" in text
    compiles(text, tmp_path)


def test_every_table_of_a_default_study_compiles(tmp_path):
    documents = {n: text.decode() for n, text in kept("default-study").items() if n.endswith("tex")}
    for name, text in documents.items():
        check_latex(text)
        (tmp_path / name).write_text(text)
    told = check_documents(tmp_path)
    assert told.startswith(f"{len(documents)} tables in LaTeX")
    assert latex_engine() is None or told.endswith(f"compile with {latex_engine()}")


def test_a_document_that_does_not_compile_is_named(document, tmp_path):
    with pytest.raises(AssertionError, match="no table in LaTeX"):
        check_documents(tmp_path)
    if latex_engine() is None:
        pytest.skip(f"none of {', '.join(ENGINES)} is here to compile it")
    (tmp_path / "broken.tex").write_text(document.replace(r"\bottomrule", r"\nothing"))
    with pytest.raises(AssertionError, match=r"(?s)broken\.tex: .*nothing"):
        check_documents(tmp_path)


def test_the_check_really_fails(document):
    """Each way of breaking the document is seen."""
    for broken in (
        document.replace(r"\bottomrule", r"\bottomrule}"),
        document.replace(r"\end{table}", ""),
        document.replace(" & ", " ", 1),
        document.replace("beta\\_net", "beta_net"),
        document.replace(r"2 $\times$ 6", "2 × 6", 1),
        document.replace(r"95 \%", "95 %"),
        document.replace(r"\documentclass[10pt]{article}", ""),
    ):
        assert broken != document
        with pytest.raises(ValueError):
            check_latex(broken)


def test_best_invalid_and_control_are_typeset(document):
    assert r"\textbf{65.0} {\scriptsize [1.5, 100.0]}" in document
    assert r"8.00\textdaggerdbl{}" in document
    assert r"\textit{Memoriser} & -- & --" in document
    assert r"steel, paper\textdagger{}: 90 \% of 6 test images" in document


def test_controls_stand_below_a_rule(document):
    block = document[document.index("alpha") : document.index("Memoriser")]
    assert r"\cmidrule{1-15}" in block


@given(st.text())
@settings(deadline=None)
def test_escaped_text_holds_no_bare_special_character(text):
    shown = escape(text)
    plain = shown.replace(r"\textbackslash{}", "").replace("\\\\", "")
    for letter in "&%#_":
        assert plain.count(letter) == plain.count("\\" + letter)
    assert all(letter.isascii() or ord(letter) < 0x180 for letter in shown)


def test_escape_keeps_plain_text():
    assert escape("LIDD-Net at 192 px (2025)") == "LIDD-Net at 192 px (2025)"
    assert escape("Müller Ω") == "Müller ?"
