"""Class names in any script are readable in figures, with whatever fonts are installed."""

import warnings

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from defectbench.report.figures import fonts
from defectbench.report.figures.fonts import FONT, choose_fonts, lacking, spell_out
from defectbench.report.figures.style import figure_style, save

NAMES = {
    "chinese": "划痕",
    "japanese": "きず・カケ",
    "korean": "흠집",
    "arabic": "خدش",
    "hebrew": "שריטה",
    "cyrillic": "царапина",
    "greek": "ρωγμή",
    "devanagari": "खरोंच",
    "thai": "รอยขีดข่วน",
    "emoji": "🔥 burn",
    "family": "👩‍🔧",
    "full width": "Ｐｉｔ①",
    "money": "$5 nick $",
    "formula": "a_$b^{$",
    "controls": "tab\there",
    "combining": "Lu\u0308cke",
    "latin": "Kratzer, Lücke, ﬁssure",
}


def draw(names):
    """A figure with names wherever a report has them."""
    with figure_style():
        figure = Figure(figsize=(6, 6), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.set_yticks(range(len(names)), names)
        left.set_xticks(range(len(names)), names, rotation=90)
        left.set_ylabel(names[0])
        right.text(0.5, 0.5, f"{names[0]} 0.91")
        right.set_title(f"{names[0]}\nscore > 0.25")
        right.plot([0, 1], [0, 1], label=names[0])
        figure.legend(loc="outside lower center")
        figure.suptitle(names[0])
    return figure


def test_no_glyph_is_missing_and_nothing_warns(tmp_path):
    for names in (list(NAMES.values()), [*list(NAMES.values())[::-1]]):
        figure = draw(names)
        with warnings.catch_warnings(), figure_style():
            warnings.simplefilter("error")
            save(figure, tmp_path, "named")
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert not choose_fonts(lacking(shown))[1]
        assert all(text.strip() for text in shown if text)
        assert len(set(figure.axes[0].get_ylabel())) > 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".pdf", ".png"}


def test_names_that_no_font_has_stay_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "installed_fonts", tuple)
    figure = draw(["划痕", "裂纹", "pit"])
    with figure_style():
        save(figure, tmp_path, "named")
    (axis, _) = figure.axes
    for labels in (axis.get_yticklabels(), axis.get_xticklabels()):
        assert [label.get_text() for label in labels] == ["U+5212-75D5", "U+88C2-7EB9", "pit"]
    assert axis.get_ylabel() == "U+5212-75D5"


def test_an_installed_font_that_has_the_letters_is_chosen(monkeypatch):
    have = {"/a.ttf": {1, 2}, "/b.ttf": {2, 3, 4}, "/c.ttf": {5}}
    monkeypatch.setattr(
        fonts, "installed_fonts", lambda: (("A", "/a.ttf"), ("B", "/b.ttf"), ("C", "/c.ttf"))
    )
    monkeypatch.setattr(fonts, "letters_of", lambda path: frozenset(have[path]))
    monkeypatch.setattr(fonts.Path, "is_file", lambda path: True)
    assert choose_fonts({1, 3, 4, 9}) == (["B", "A"], {9})
    assert choose_fonts(set()) == ([], set())


def test_the_chosen_font_draws_the_letters(monkeypatch, tmp_path):
    path = font_manager.findfont("STIXGeneral")
    (letter, *_) = sorted(fonts.letters_of(path) - fonts.usual_letters())
    monkeypatch.setattr(fonts, "installed_fonts", lambda: (("STIXGeneral", path),))
    figure = draw([f"pit {chr(letter)}", "scratch"])
    with warnings.catch_warnings(), figure_style():
        warnings.simplefilter("error")
        save(figure, tmp_path, "named", ("svg",))
    (axis, _) = figure.axes
    assert axis.yaxis.get_label().get_fontfamily() == [FONT, "STIXGeneral"]
    assert axis.get_ylabel() == f"pit {chr(letter)}"
    assert "STIXGeneral" in (tmp_path / "named.svg").read_text()


def test_latin_names_leave_a_figure_as_it_is(monkeypatch, tmp_path):
    for folder, readable in (("with", fonts.make_readable), ("without", lambda figure: None)):
        monkeypatch.setattr("defectbench.report.figures.style.make_readable", readable)
        (tmp_path / folder).mkdir()
        with figure_style():
            save(draw(["Kratzer", "Lücke", "царапина"]), tmp_path / folder, "named")
    for name in ("named.svg", "named.pdf", "named.png"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("흠집", "heumjib"),
        ("きず・カケ", "kizuU+30FBkake"),
        ("スー", "su-"),
        ("खरोंच", "kharaoca"),
        ("รอย", "rooyo"),
        ("Ｐｉｔ①", "Pit1"),
        ("划痕 or 裂", "U+5212-75D5 or U+88C2"),
        ("🔥", "(fire)"),
        ("a\u200db\ufe0f", "ab"),
        ("\ud83d", "U+D83D"),
        ("a\tb", "a b"),
    ],
)
def test_spelling(text, spelled):
    assert spell_out(text, {ord(c) for c in text if not c.isascii() or c == "\t"}) == spelled
