"""The site: it is built without a warning, asks no other host for anything, and no link of the front pages is dead."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from defectbench.cli.document import verbs_of
from defectbench.cli.main import TOPICS
from defectbench.documentation.markdown import write_pages
from defectbench.documentation.run import fresh_pages

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link(?=[^>]*\brel=["']?(?:stylesheet|icon|preload|preconnect|modulepreload)))"""
    r"""[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^>]*>""",
    re.IGNORECASE,
)
LOADED_BY_CSS = re.compile(r"""url\(\s*["']?(?:https?:)?//|@import""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    home = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", home / "docs")
    shutil.copy(ROOT / "mkdocs.yml", home)
    write_pages(fresh_pages(verbs_of(TOPICS), ROOT), home)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return home / "site"


def test_each_page_is_there(site):
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html")
        for path in (ROOT / "docs").rglob("*.md")
    }
    assert not [page for page in pages if not (site / page).is_file()]
    assert "epochs" in (site / "studies.html").read_text()


def test_nothing_is_loaded_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for path in pages:
        text = path.read_text()
        assert not LOADED.search(text), path
        assert 'class="mermaid"' not in text, "the theme fetches its program from elsewhere"
    for path in site.rglob("*.css"):
        assert not LOADED_BY_CSS.search(path.read_text()), path
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "repo_url" not in settings, "the theme asks the host of the repository for its stars"
    assert "analytics" not in settings


@pytest.mark.parametrize(
    "tag",
    [
        '<script async src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link href="https://fonts.example" rel=preconnect>',
        '<img alt="x" src=http://example.com/x.png>',
    ],
)
def test_such_a_load_would_be_seen(tag):
    assert LOADED.search(tag)
    assert not LOADED.search(
        '<a href="https://example.com">x</a><script src="assets/a.js"></script>'
    )


MADE = {"studies.md", "shelves.md", "cli.md"}
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]


@pytest.mark.parametrize(
    "path", [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_relative_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"https?://|mailto:", target):
            assert (path.parent / target).exists() or Path(target).name in MADE, target


def links(text):
    return {Path(target).name for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)}


@pytest.mark.parametrize(
    "path",
    [path for path in [*PAGES, *(ROOT / "docs").rglob("*.md")] if path.name not in MADE],
    ids=lambda p: p.name,
)
def test_links_to_pages_that_are_not_kept_say_how_these_are_made(path):
    lines = path.read_text().splitlines()
    assert [
        line for line in lines if links(line) & MADE and "made by `make docs`" not in line
    ] == []


def test_the_front_page_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
