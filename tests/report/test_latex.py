"""The LaTeX table: escaped, whole, and compiled where there is an engine."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_check import check_latex
from report_parts import make_tables

from defectbench.report.writers.latex import escape, latex_document

ENGINES = ("pdflatex", "lualatex", "xelatex", "tectonic")
HOSTILE = r"a_b & 50% of #1 {x} \y $z^2$ ~ <é> | \"q\" € Ω"


@pytest.fixture
def document(filled):
    return latex_document(make_tables([filled.runs]).tables["comparison"])


def compiles(text, folder):
    """Check the structure, then compile with the first engine at hand."""
    check_latex(text)
    engine = next((name for name in ENGINES if shutil.which(name)), None)
    if engine is None:
        pytest.skip(f"the structure holds; none of {', '.join(ENGINES)} is here to compile it")
    (folder / "comparison.tex").write_text(text)
    options = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    command = [engine, *options, "comparison.tex"]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert (folder / "comparison.pdf").stat().st_size > 1000


def test_the_document_compiles(document, tmp_path):
    compiles(document, tmp_path)


def test_hostile_names_compile(filled, tmp_path):
    table = make_tables([filled.runs]).tables["comparison"]
    first, *others = table.rows
    hostile = replace(first, values={**first.values, "title": HOSTILE})
    text = latex_document(replace(table, rows=[hostile, *others], notes=[HOSTILE, *table.notes]))
    assert r"a\_b \& 50\% of \#1 \{x\} \textbackslash{}y \$z\textasciicircum{}2\$" in text
    compiles(text, tmp_path)


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
