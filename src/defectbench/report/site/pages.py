"""The pages of a report: which there are, what each is filled with, and how they are written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...base.files import atomic_directory, atomic_write_text
from ..columns import NAMED, start_notes
from ..records.cells import Entry, key_of
from ..records.study import StudyRecords
from ..table import HEADLINE, Picture, RowBlock, Table, anchor
from ..writers.html import table_html
from ..writers.templates import FOLDERS, render
from . import dataset, method, protocol
from .charts import front_chart
from .compare import compare_script
from .gallery import Gallery, Place, make_galleries
from .links import ENTRY, FOLDER, GALLERY, Links, dataset_page, method_page
from .photos import Photos
from .sections import (
    CLAIMS,
    FURTHER,
    PAIRS,
    RUNS,
    SPEED,
    Section,
    register,
    section_html,
    sections_by_page,
)
from .speed import speed_tables
from .standing import Standing, standings

ASSETS = ("style.css", "tables.js", "compare.js")
COMPARE, PROTOCOL, COMPARE_DATA = "compare", "protocol", "compare-data.js"
TITLES = {
    PAIRS: "Who is better",
    SPEED: "Speed",
    CLAIMS: "Claims of papers",
    FURTHER: "Further tables",
    PROTOCOL: "Protocol",
    RUNS: "All runs",
}
ABOUT = {  # what a page opens with
    PAIRS: "Every pair of methods, with what can be told of it and what cannot.",
    SPEED: "Latency of the very files that were scored.",
    CLAIMS: "Numbers printed in papers beside ours.",
    FURTHER: "What else the records say.",
    RUNS: "Each seed of each method, with its records.",
}


@dataclass
class Site:
    """What pages are made from.

    Attributes:
        study: The records.
        name: Name of the study.
        tables: Tables of all topics.
        sections: Tables and figures by page and section.
        standings: Where methods stand.
        galleries: Images by dataset and protocol.
        photos: Images of the report; None where none are kept.
        links: Where everything lies.
    """

    study: StudyRecords
    name: str
    tables: Sequence[Table]
    sections: Mapping[str, Mapping[str, Section]]
    standings: Sequence[Standing]
    galleries: Mapping[Place, Gallery]
    photos: Photos | None
    links: Links
    overlaps: dict[str, list[dataset.OverlapExample]] = field(default_factory=dict)

    @property
    def methods(self) -> list[list[Entry]]:
        """Entries of each method, by title."""
        entries = [entry for entry in self.study.entries if not entry.first.is_control]
        entries.sort(key=lambda entry: (entry.title, entry.first.method))
        return [list(block) for _, block in groupby(entries, key=lambda e: e.first.method)]

    @property
    def datasets(self) -> list[list[Entry]]:
        """One entry a protocol, by dataset."""
        first = {key_of(entry)[:2]: entry for entry in reversed(self.study.entries)}
        entries = [first[place] for place in sorted(first)]
        return [list(block) for _, block in groupby(entries, key=lambda e: e.first.dataset)]


def write_site(
    study: StudyRecords,
    parts: Sequence[Table | Picture],
    out_dir: str | Path,
    name: str,
    has_images: bool = True,
) -> None:
    """Write ``index.html``, ``pages/`` and ``gallery/`` beside the tables and figures that are made already.

    Args:
        study: The records.
        parts: Tables and figures of the topics, in their order.
        out_dir: Folder of the report.
        name: Name of the study, for titles.
        has_images: Whether images may lie where the records say; of kept records they do not.

    Raises:
        ReportError: An image, truth or predictions are missing, or not those that were scored on.
    """
    out = Path(out_dir)
    with atomic_directory(out / GALLERY) as folder:
        site = make_site(study, parts, out, name, Photos(folder) if has_images else None)
        pages = dict(page_values(site))
    with atomic_directory(out / FOLDER) as folder:
        for asset in ASSETS:
            shutil.copyfile(asset_path(asset), folder / asset)
        addresses = site.links.of_methods(COMPARE)
        script = compare_script(site.galleries, site.standings, addresses)
        (folder / COMPARE_DATA).write_text(script, encoding="utf-8")
        for page, (template, values) in pages.items():
            if page != ENTRY:
                text = page_text(site, page, template, values, list(pages))
                (folder / f"{page}.html").write_text(text, encoding="utf-8")
    template, values = pages[ENTRY]
    atomic_write_text(out / "index.html", page_text(site, ENTRY, template, values, list(pages)))


def asset_path(name: str) -> Path:
    """Where a style sheet or script of the pages lies."""
    return next(path for folder in FOLDERS if (path := folder / "site" / name).is_file())


def make_site(
    study: StudyRecords,
    parts: Sequence[Table | Picture],
    out: Path,
    name: str,
    photos: Photos | None,
) -> Site:
    """Put together what pages are made from; images are made."""
    places = {anchor(*key_of(e)[:2]): e.first.dataset for e in study.entries}
    tables = [part for part in parts if isinstance(part, Table)]
    sections = sections_by_page([*speed_tables(tables), *parts], places)
    titles = {e.first.method: e.title for e in study.entries if not e.first.is_control}
    links = Links(out, titles)
    register(sections, links)
    galleries = make_galleries(study, photos) if photos else {}
    site = Site(study, name, tables, sections, standings(study), galleries, photos, links)
    if photos:
        site.overlaps = {
            block[0].first.dataset: dataset.overlap_examples(block[0], photos)
            for block in site.datasets
        }
    return site


def page_text(
    site: Site, page: str, template: str, values: dict[str, Any], pages: Sequence[str]
) -> str:
    """A page as text."""
    common = {
        "study": site.name,
        "nav": navigation(site, page, pages),
        "root": site.links.root(page),
        "assets": f"{FOLDER}/" if page == ENTRY else "",
        "gallery": f"{site.links.root(page)}{GALLERY}/",
    }
    return render(f"site/{template}.html.j2", common | values, autoescape=True)


def navigation(site: Site, page: str, pages: Sequence[str]) -> list[dict[str, Any]]:
    """Entries of the navigation: pages, and lists of pages under one word."""
    links = site.links
    datasets = [
        (block[0].first.dataset, dataset_page(block[0].first.dataset)) for block in site.datasets
    ]
    methods = [(block[0].title, method_page(block[0].first.method)) for block in site.methods]
    single = [(TITLES[name], name) for name in (PAIRS, SPEED, CLAIMS, FURTHER, PROTOCOL, RUNS)]
    entries: list[tuple[str, list[tuple[str, str]] | str]] = [
        ("Overview", ENTRY),
        ("Datasets", datasets),
        ("Methods", methods),
        ("Compare two", COMPARE),
        *single,
    ]
    shown = []
    for title, target in entries:
        listed = [(title, target)] if isinstance(target, str) else target
        items = [
            {"title": words, "href": links.page(page, name), "is_here": name == page}
            for words, name in listed
            if name in pages
        ]
        if items:
            shown.append({"title": title, "items": items, "is_list": not isinstance(target, str)})
    return shown


def page_values(site: Site) -> Iterator[tuple[str, tuple[str, dict[str, Any]]]]:
    """Template and values of each page, by name."""
    yield ENTRY, ("overview", overview_values(site))
    for block in site.datasets:
        page = dataset_page(block[0].first.dataset)
        yield page, ("dataset", dataset_values(site, block, page))
    for block in site.methods:
        page = method_page(block[0].first.method)
        yield page, ("method", method_values(site, block, page))
    if site.galleries:
        yield COMPARE, ("compare", {"title": "Compare two", "script": COMPARE_DATA})
    for page in (PAIRS, SPEED, CLAIMS, FURTHER, RUNS):
        if page in site.sections:
            yield page, ("tables", tables_values(site, page))
    yield PROTOCOL, ("protocol", protocol_values(site))


def overview_values(site: Site) -> dict[str, Any]:
    """What the overview is filled with: for each dataset and protocol the answer, and below it all methods."""
    pages = site.links.of_methods(ENTRY)
    return {
        "title": "",
        "standings": [
            {
                "standing": standing,
                "id": anchor(*standing.place),
                "dataset": site.links.page(ENTRY, dataset_page(standing.place[0])),
                "chart": front_chart(standing, pages),
                "table": overview_table(site, standing),
                "note": _first_note(site, standing),
                "starts": start_notes(row.method for row in standing.rows),
                "compare": _compare_address(site, standing),
            }
            for standing in site.standings
        ],
        "pages": pages,
        "pairs": site.links.page(ENTRY, PAIRS),
        "has_pairs": PAIRS in site.sections,
        "more": [
            (section.title, f"{site.links.page(ENTRY, page)}#{section.id}")
            for page in (PAIRS, SPEED, CLAIMS, FURTHER)
            for section in site.sections.get(page, {}).values()
        ],
    }


def _comparison(site: Site, standing: Standing) -> Table:
    return next(
        table
        for table in site.tables
        if "terminal" in table.formats
        and any((r.values["dataset"], r.values["protocol"]) == standing.place for r in table.rows)
    )


def overview_table(site: Site, standing: Standing) -> Markup:
    """All methods of a place in the few columns that everybody asks for."""
    table = _comparison(site, standing)
    keys = [NAMED.key, standing.figure, standing.cost, "params_m", "macs_g", "size_mib", "train_s"]
    headlines = (standing.figure, standing.cost)
    columns = [
        replace(column, priority=HEADLINE) if column.key in headlines else column
        for column in table.columns
        if column.key in keys
    ]
    rows = [
        replace(row, block=RowBlock())
        for row in table.rows
        if (row.values["dataset"], row.values["protocol"]) == standing.place
    ]
    return table_html(method.only(table, rows, columns), site.links.addresses(ENTRY))


def _first_note(site: Site, standing: Standing) -> str:
    notes = _comparison(site, standing).notes
    return notes[0] if notes else ""


def _compare_address(site: Site, standing: Standing) -> str:
    if standing.place not in site.galleries or len(standing.picks) < 2:
        return ""
    first, second = (pick.row.method for pick in standing.picks[:2])
    asked = f"#place={anchor(*standing.place)}&a={first}&b={second}"
    return site.links.page(ENTRY, COMPARE) + asked


def dataset_values(site: Site, entries: Sequence[Entry], page: str) -> dict[str, Any]:
    """What the page of a dataset is filled with."""
    name = entries[0].first.dataset
    card = dataset.dataset_card(name, site.study.models_dir)
    return {
        "title": name,
        "facts": dataset.card_facts(card) if card else [],
        "overlaps": site.overlaps.get(name, []),
        "places": [_place_values(site, entry, page) for entry in entries],
    }


def _place_values(site: Site, entry: Entry, page: str) -> dict[str, Any]:
    place = key_of(entry)[:2]
    section = site.sections.get(page, {}).get(anchor(*place))
    gallery = site.galleries.get((place[0], place[1]))
    block = section.block if section else RowBlock()
    return {
        "id": anchor(*place),
        "title": ", ".join(place),
        "block": block,
        "certificate": site.links.to(page, entry.certificate_path.as_posix()),
        "facts": dataset.certificate_facts(entry),
        "histograms": dataset.histograms(entry) if site.photos else [],
        "samples": [(name, gallery.shots[key]) for name, key in gallery.samples.items()]
        if gallery
        else [],
        "content": section_html(section, page, site.links) if section else "",
    }


def method_values(site: Site, entries: Sequence[Entry], page: str) -> dict[str, Any]:
    """What the page of a method is filled with."""
    name = entries[0].first.method
    card = method.method_card(name, site.study.models_dir)
    claims = method.claims_on(site.tables, name)
    addresses = site.links.addresses(page)
    return {
        "title": entries[0].title,
        "name": name,
        "facts": method.card_facts(card, name) if card else [],
        "reconstructed": card.reconstructed if card else [],
        "claims": table_html(replace(claims, columns=claims.columns[1:]), addresses)
        if claims
        else "",
        "places": [_run_values(site, entry, page) for entry in entries],
    }


def _run_values(site: Site, entry: Entry, page: str) -> dict[str, Any]:
    dataset_name, protocol_name, name = key_of(entry)
    gallery = site.galleries.get((dataset_name, protocol_name))
    compared = method.row_of_entry(site.tables, entry)
    has_answers = gallery is not None and name in gallery.answers
    place = anchor(dataset_name, protocol_name)
    return {
        "title": f"{dataset_name}, {protocol_name}",
        "dataset": f"{site.links.page(page, dataset_page(dataset_name))}#{place}",
        "scores": method.scores(*compared, page, site.links) if compared else [],
        "flag": compared[1].flag if compared else "",
        "curves": method.curves(entry),
        "records": method.records(entry, page, site.links),
        "gallery": gallery if has_answers else None,
        "answers": gallery.answers[name] if gallery and has_answers else {},
        "worst": gallery.worst[name] if gallery and has_answers else [],
        "threshold": gallery.thresholds.get(name) if gallery else None,
        "compare": f"{site.links.page(page, COMPARE)}#place={place}&a={name}",
        "seed": entry.first.seed,
    }


def tables_values(site: Site, page: str) -> dict[str, Any]:
    """What a page of tables is filled with."""
    return {
        "title": TITLES[page],
        "about": ABOUT[page],
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "content": section_html(section, page, site.links),
            }
            for section in site.sections[page].values()
        ],
    }


def protocol_values(site: Site) -> dict[str, Any]:
    """What the page of the protocol is filled with."""
    addresses = site.links.addresses(PROTOCOL)
    tables = [protocol.part_table(site.study.entries), protocol.training_table(site.study.entries)]
    return {
        "title": TITLES[PROTOCOL],
        "tables": [(table.title, table_html(table, addresses)) for table in tables if table.rows],
        "settings": protocol.settings(site.study.entries),
        "notes": protocol.notes_of(site.tables),
    }
