"""LaTeX documents of a report, compiled where there is an engine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

ENGINES = ("pdflatex", "lualatex", "xelatex", "tectonic")


def latex_engine() -> str | None:
    """The first engine at hand; None without any."""
    return next((name for name in ENGINES if shutil.which(name)), None)


def compile_latex(document: Path, engine: str) -> None:
    """Compile a document beside nothing else, as one who is sent it would."""
    options = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(document, folder)
        command = [engine, *options, document.name]
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
        assert run.returncode == 0, f"{document}: {run.stdout[-2000:]}"
        pdf = Path(folder) / document.with_suffix(".pdf").name
        assert pdf.stat().st_size > 1000, f"{document}: an empty page"


def check_documents(report: Path) -> str:
    """Compile all LaTeX tables of a report; says how many, or that none could be."""
    documents = sorted(report.glob("*.tex"))
    assert documents, f"{report}: no table in LaTeX"
    engine = latex_engine()
    if engine is None:
        return f"{len(documents)} tables in LaTeX are not compiled: none of {', '.join(ENGINES)} is here"
    for document in documents:
        compile_latex(document, engine)
    return f"{len(documents)} tables in LaTeX compile with {engine}"
