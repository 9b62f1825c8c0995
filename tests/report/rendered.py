"""Reports of stored runs, rendered anew and held against texts that are kept.

A change that means to change what a report says renews them: ``python tests/report/rendered.py``.
"""

import gzip
import shutil
import sys
import tarfile
import tempfile
from contextlib import chdir
from pathlib import Path

from defectbench.report.render import make_report, write_tables
from defectbench.report.writers.html import Addresses, table_html
from defectbench.report.writers.markdown import relative
from defectbench.report.writers.stored import FILE

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
KEPT = Path(__file__).parent / "fixtures" / "rendered"
GZIP_FROM = 60_000

# Folders of stored runs of each report, by where they lie below results/. Some certificates are kept beside other runs of
# the same parts.
CLEAN = "runs/neu-det/clean"
HELD = {
    *("comparison", "classification", "compression", "leakage", "pairs", "claims", "runs"),
    "By class",
}
STUDY = "default-study"
REPORTS = {
    "neu-det": {"reference/neu-det": ["neu-det-own-recipes/neu-det"]},
    "neu-det-60-epochs": {CLEAN: ["neu-det-60-epochs/clean"]},
    "cfp-neu-cls": {"reference/cfp-neu-cls": ["cfp-neu-cls"]},
    "cfp-neu-cls-resnet50": {
        "runs/neu-cls/clean": ["cfp-neu-cls-resnet50/clean", "cfp-neu-cls/clean/certificate.json"]
    },
    "cfp-x-sdd": {"reference/cfp-x-sdd": ["cfp-x-sdd"]},
    "demo-heavy": {
        "runs/demo-steel/clean": ["demo-heavy/clean", "parity/demo-steel/clean/certificate.json"]
    },
    "neu-det-heavy": {CLEAN: ["neu-det-own-recipes/neu-det/clean", "neu-det-heavy/clean"]},
    # the default study whole, with the predictions and the truth that its cells were scored with
    STUDY: {},
    "slimming-yolov8n": {
        CLEAN: ["neu-det-own-recipes/neu-det/clean/certificate.json", "slimming-yolov8n/clean"]
    },
}


def is_held(table):
    """Whether a table is one of those that are held; a new one does not touch them."""
    return table.name in HELD or table.anchor in HELD or table.title in HELD


def lay_out(name, folder):
    """Copy the runs of a report below a folder; returns where they lie, relative to it."""
    if name == STUDY:
        with tarfile.open(KEPT.parent / "default-study.tar.xz") as archive:
            if hasattr(tarfile, "data_filter"):  # which the first releases of Python 3.11 lack
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(folder)  # our own archive
        return [Path("results/runs")]
    for target, sources in REPORTS[name].items():
        place = folder / "results" / target
        for source in (REFERENCE / path for path in sources):
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)
    return [Path("results") / target for target in REPORTS[name]]


def render(runs, out):
    """Write all that is text of the tables that are held: their files, and those that stand on pages as HTML."""
    tables = [table for table in make_report(runs, ROOT / "models").tables if is_held(table)]
    write_tables(tables, out)
    addresses = Addresses(lambda path: path if path.startswith("#") else relative(path, out))
    shown = [table_html(table, addresses) for table in tables if "page" in table.formats]
    (out / "tables.html").write_text("\n".join(shown), encoding="utf-8")
    (out / FILE).unlink()


def report_of(name, folder):
    """What the report of some stored runs says; nothing is written but the runs, into a folder."""
    runs = lay_out(name, folder)
    with chdir(folder):
        return make_report(runs, ROOT / "models")


def rendered(name, folder):
    """Lay a report's runs out in a folder and render them; returns its texts by file name."""
    runs, out = lay_out(name, folder), Path("results/report")
    with chdir(folder):
        render(runs, out)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def kept(name):
    """The texts that are kept of a report, by file name."""
    read = {".gz": gzip.decompress}
    return {
        path.name.removesuffix(".gz"): read.get(path.suffix, bytes)(path.read_bytes())
        for path in sorted((KEPT / name).iterdir())
    }


def keep(name):
    """Render a report and keep its texts, compressed where they are long."""
    with tempfile.TemporaryDirectory() as folder:
        texts = rendered(name, Path(folder))
    shutil.rmtree(KEPT / name, ignore_errors=True)
    (KEPT / name).mkdir(parents=True)
    for file, text in texts.items():
        if len(text) < GZIP_FROM:
            (KEPT / name / file).write_bytes(text)
        else:
            (KEPT / name / f"{file}.gz").write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    for report in sys.argv[1:] or REPORTS:
        keep(report)
