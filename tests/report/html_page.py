"""A page of HTML as tests look at it."""

from html.parser import HTMLParser
from urllib.parse import unquote


class Page(HTMLParser):
    """Links, sources, names, tags and cells of a page; an element that is left open is told."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.links, self.sources, self.names, self.open, self.tags = [], [], set(), [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(held["href"])
        if tag in ("img", "script"):
            self.sources.append(held["src"])
        if tag == "link":
            self.sources.append(held["href"])
        if "id" in held:
            self.names.add(held["id"])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def broken(self):
        """Links and sources that lead nowhere."""
        return [
            target
            for target in dict.fromkeys([*self.links, *self.sources])
            if not target.startswith("data:") and not self._leads(target)
        ]

    def _leads(self, target):
        file, _, name = target.partition("#")
        path = self.path.parent / unquote(file) if file else self.path
        if not path.is_file():
            return False
        is_asked = "=" in name  # what a script reads, not a name on the page
        return not name or is_asked or name in (self if not file else Page(path)).names


def pages_of(report):
    """All pages of a report, the entry first."""
    return [
        Page(path) for path in (report / "index.html", *sorted((report / "pages").glob("*.html")))
    ]
