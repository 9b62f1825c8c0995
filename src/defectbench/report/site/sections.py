"""Which page shows what the topics say: tables and figures by page and section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ..table import Picture, Row, RowBlock, Table
from ..writers.html import part_values, parts_html
from .links import FIGURES, Links, dataset_page

PAIRS, SPEED, CLAIMS, RUNS, FURTHER = "pairs", "speed", "claims", "runs", "further"
PAGES = {  # of sections; what is not named here stands on the page of further tables
    "pairs": PAIRS,
    "over_datasets": PAIRS,
    "speed": SPEED,
    "engines": SPEED,
    "engine_speed": SPEED,
    "engine_starts": SPEED,
    "devices": SPEED,
    "claims": CLAIMS,
    "runs": RUNS,
}


@dataclass
class Section:
    """A section of a page.

    Attributes:
        id: Its name in addresses.
        title: Its heading.
        block: What opens it.
        parts: Rows of tables, and pictures, in their order.
    """

    id: str
    title: str
    block: RowBlock = field(default_factory=RowBlock)
    parts: list[tuple[Table, list[Row]] | Picture] = field(default_factory=list)


def sections_by_page(
    parts: Sequence[Table | Picture], places: Mapping[str, str]
) -> dict[str, dict[str, Section]]:
    """Sections by page and name; what names one section comes to stand together.

    Args:
        parts: Tables and pictures in their order.
        places: Datasets by the names of the sections of their protocols.
    """
    pages: dict[str, dict[str, Section]] = {}
    for part in parts:
        if isinstance(part, Picture):
            _section(pages, part.anchor, part.anchor, places).parts.append(part)
        elif "page" in part.formats:
            for block, rows in part.blocks() or [(RowBlock(), [])]:
                name = block.anchor or part.section
                is_titled = block.anchor and block.title
                title = f"{part.title}: {block.title}" if is_titled else part.title
                section = _section(pages, name, title, places)
                if not section.parts and block.anchor:
                    section.block = block
                section.parts.append((part, rows))
    return pages


def _section(
    pages: dict[str, dict[str, Section]], name: str, title: str, places: Mapping[str, str]
) -> Section:
    page = dataset_page(places[name]) if name in places else PAGES.get(name, FURTHER)
    return pages.setdefault(page, {}).setdefault(name, Section(name, title))


def register(pages: dict[str, dict[str, Section]], links: Links) -> None:
    """Tell the links on which page each section and each named row stands."""
    for page, sections in pages.items():
        for section in sections.values():
            links.names.setdefault(section.id, page)
            for part in section.parts:
                if not isinstance(part, Picture):
                    links.names.update({row.anchor: page for row in part[1] if row.anchor})


def section_html(section: Section, page: str, links: Links) -> Markup:
    """The tables and pictures of a section, in their order; notes of a table stand below its last rows here."""
    last = {
        part[0].name: n for n, part in enumerate(section.parts) if not isinstance(part, Picture)
    }
    shown = []
    for n, part in enumerate(section.parts):
        if isinstance(part, Picture):
            shown.append(picture_html(part, page, links))
        else:
            shown.append(rows_html(part, section, page, links, last[part[0].name] == n))
    return Markup("").join(shown)


def rows_html(
    part: tuple[Table, list[Row]], section: Section, page: str, links: Links, is_last: bool
) -> Markup:
    """Rows of a table, with what stands above and below them."""
    table, rows = part
    block = rows[0].block if rows else RowBlock()
    is_first = section.parts[0] is part
    heading = "" if is_first or table.title == section.title else table.title
    if not block.anchor and block.title:
        heading = block.title
    values = part_values(
        table,
        rows,
        links.addresses(page),
        heading,
        is_last,
        table.lead if is_first else "",
    )
    return parts_html([values])


def picture_html(picture: Picture, page: str, links: Links) -> Markup:
    """A figure, loaded when it comes into view; nothing where it was not drawn."""
    path = links.out / FIGURES / f"{picture.name}.{picture.kinds[0]}"
    if not path.is_file():
        return Markup("")
    width, height = picture_size(path.read_text(encoding="utf-8"))
    stem = f"{links.root(page)}{FIGURES}/{picture.name}"
    files = [(kind.upper(), f"{stem}.{kind}") for kind in picture.kinds]
    names = Markup(" · ").join(Markup('<a href="{1}">{0}</a>').format(*file) for file in files)
    return Markup(
        '<figure class="drawn"><img loading="lazy" alt="{}" src="{}" width="{}" height="{}">'
        "<figcaption>{} {}</figcaption></figure>"
    ).format(picture.alt, files[0][1], width, height, picture.caption, names)


def picture_size(svg: str) -> tuple[int, int]:
    """Width and height of a drawing, in its own units."""
    box = svg.partition('viewBox="')[2].partition('"')[0].split()
    return round(float(box[2])), round(float(box[3]))
