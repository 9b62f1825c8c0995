"""Pages of a report and where they lie: what has a name on one page is reached from each other one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ..table import Row
from ..writers.html import Addresses
from ..writers.markdown import relative

ENTRY, FOLDER, FIGURES, GALLERY = "index", "pages", "figures", "gallery"


@dataclass
class Links:
    """Where pages, names on them, and records lie.

    Attributes:
        out: Folder of the report.
        methods: Methods that have a page.
        names: The page of each name that links may ask for.
    """

    out: Path
    methods: Mapping[str, str]
    names: dict[str, str] = field(default_factory=dict)

    def to(self, page: str, target: str) -> str:
        """The address of a path, as seen from the working folder, or of ``#name``, on a page."""
        if not target.startswith("#"):
            folder = self.out if page == ENTRY else self.out / FOLDER
            return quote(relative(target, folder))
        name = target[1:]
        holder = self.names.get(name, page)
        return f"#{name}" if holder == page else f"{self.page(page, holder)}#{name}"

    def page(self, page: str, other: str) -> str:
        """The address of another page, on a page."""
        if other == ENTRY:
            return f"{self.root(page)}index.html"
        return quote(f"{'' if page != ENTRY else FOLDER + '/'}{other}.html")

    def root(self, page: str) -> str:
        """The folder of the report, on a page."""
        return "" if page == ENTRY else "../"

    def of_methods(self, page: str) -> dict[str, str]:
        """Addresses of the pages of methods, on a page."""
        return {name: self.page(page, method_page(name)) for name in self.methods}

    def addresses(self, page: str) -> Addresses:
        """Where links of tables on a page lead."""

        def about(row: Row) -> str:
            name = str(row.values.get("method"))
            is_asked = name in self.methods and method_page(name) != page
            return self.page(page, method_page(name)) if is_asked else ""

        return Addresses(lambda target: self.to(page, target), about, self.root(page))


def method_page(method: str) -> str:
    """Name of the page of a method."""
    return f"method-{method}"


def dataset_page(dataset: str) -> str:
    """Name of the page of a dataset."""
    return f"dataset-{dataset}"
