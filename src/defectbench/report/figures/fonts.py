"""Names in any script are readable in figures: by an installed font that has their letters, else spelled out.

A figure whose letters are all in its usual font is left as it is, to the byte.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

FONT = "DejaVu Sans"
# Fonts of boxes, of pictures in colour, and of formulas, whose letters are not where Unicode has them.
_UNFIT = ("Last Resort", "Color", "Emoji", "STIX", "cm", "Adobe Blank", "Symbol", "Wingdings")
_PREFERRED = ("Noto Sans", "Source Han Sans", "WenQuanYi", "Droid Sans", "Unifont")
_CODE = "U+"
# Unicode's names say the sound of a letter: HIRAGANA LETTER SMALL TU, THAI CHARACTER SARA AA, HANGUL SYLLABLE GAG.
_SOUND = re.compile(r"(?:LETTER|CHARACTER|SYLLABLE|VOWEL SIGN) (?:CAPITAL |SMALL |SARA )*([A-Z]+)")


@cache
def letters_of(path: str) -> frozenset[int]:
    """Code points that a font file has a glyph for; none where it cannot be read."""
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@cache
def usual_letters() -> frozenset[int]:
    """Code points of the usual font."""
    return letters_of(font_manager.findfont(FONT))


@cache
def installed_fonts() -> tuple[tuple[str, str], ...]:
    """Name and file of each upright font that is installed, those of many scripts first."""
    entries = [
        entry
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal"
        and not entry.name.startswith(_UNFIT)
        and "Color" not in entry.name
    ]
    entries.sort(
        key=lambda e: (not e.name.startswith(_PREFERRED), abs(_weight(e.weight) - 400), e.name)
    )
    by_name: dict[str, str] = {}
    for entry in entries:
        by_name.setdefault(entry.name, entry.fname)
    return tuple(by_name.items())


def _weight(weight: int | str) -> int:
    return weight if isinstance(weight, int) else font_manager.weight_dict.get(weight, 400)


def choose_fonts(missing: Collection[int]) -> tuple[list[str], set[int]]:
    """Installed fonts that together have as many of some letters as they can, and what no font has.

    Args:
        missing: Code points that the usual font lacks.
    """
    left, chosen = set(missing), []
    while left:
        shares = [(len(left & letters_of(path)), name, path) for name, path in installed_fonts()]
        share, name, path = max(shares, key=lambda entry: entry[0], default=(0, "", ""))
        if not share or not Path(path).is_file():
            break
        chosen.append(name)
        left -= letters_of(path)
    return chosen, left


def spell_out(text: str, missing: Collection[int]) -> str:
    """Text without the letters that cannot be drawn: their plain forms, sounds or names, else their numbers.

    Args:
        text: The text.
        missing: Code points that cannot be drawn.

    Example:
        >>> spell_out("划痕 1", {0x5212, 0x75D5})
        'U+5212-75D5 1'
        >>> spell_out("흠집", {0xD760, 0xC9D1}), spell_out("きず 🔥", {0x304D, 0x305A, 0x1F525})
        ('heumjib', 'kizu (fire)')
    """
    spelled = ""
    for letter in text:
        word = _spelled(letter, missing) if ord(letter) in missing else letter
        joins = word.startswith(_CODE) and spelled.rpartition(" ")[2].startswith(_CODE)
        spelled += f"-{word.removeprefix(_CODE)}" if joins else word
    return spelled


def _spelled(letter: str, missing: Collection[int]) -> str:
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part)
    )
    if plain != letter and plain.isascii() and not {*map(ord, plain)} & {*missing}:
        return plain
    kind, name = unicodedata.category(letter), unicodedata.name(letter, "")
    if sound := _SOUND.search(name):
        return sound[1].lower()
    if kind in ("Mn", "Me", "Cf"):  # marks on a letter, and what only steers
        return ""
    if kind in ("Cc", "Zs", "Zl", "Zp"):
        return " "
    if name == "KATAKANA-HIRAGANA PROLONGED SOUND MARK":
        return "-"
    if kind == "So" and name:
        return f"({name.lower()})"
    return f"{_CODE}{ord(letter):04X}"


def lacking(texts: Iterable[str]) -> set[int]:
    """Code points of some texts that the usual font lacks."""
    return {
        ord(letter) for text in texts for letter in text if letter not in "\n\r"
    } - usual_letters()


def make_readable(figure: Figure) -> None:
    """Draw each text of a figure with fonts that have its letters, and spell out those that no font has."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    missing = lacking(text.get_text() for text in texts)
    if not missing:
        return
    fonts, unknown = choose_fonts(missing)
    for text in texts:
        if fonts and lacking([text.get_text()]):
            text.set_fontfamily([FONT, *fonts])
    if unknown:
        for text in texts:
            text.set_text(spell_out(text.get_text(), unknown))
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            if isinstance(axis.get_major_locator(), FixedLocator):
                names = [label.get_text() for label in axis.get_ticklabels()]
                axis.set_ticklabels(_spelled_names(names, unknown))


def _spelled_names(names: Sequence[str], unknown: Collection[int]) -> list[str]:
    return [spell_out(name, unknown) for name in names]
