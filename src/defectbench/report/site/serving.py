"""A report under an address of this machine, for browsers that are shy of files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from ...base.errors import ReportError

HOST = "127.0.0.1"
RESULTS = "results"
PAGE = "index.html"


def newest_report(results: Path) -> Path:
    """The folder of the report that was rendered last.

    Args:
        results: Folder of the studies.

    Raises:
        ReportError: There is none.
    """
    pages = sorted(results.glob(f"*/report/{PAGE}"), key=lambda path: path.stat().st_mtime)
    if not pages:
        raise ReportError(results, "reports", "none", "run snakemake --cores 8 all first")
    return pages[-1].parent


@contextmanager
def site_server(folder: Path, port: int) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """A server of a report, seen from this machine alone; and the address of its first page.

    It serves the folder ``results`` that the report lies in, so that links to records lead there; a report that lies
    elsewhere is served by itself.

    Args:
        folder: Folder of the report.
        port: Where it listens; 0 takes any port that is free.

    Raises:
        ReportError: There is no page in the folder, or the port is taken.
    """
    whole = folder.resolve()
    if not (whole / PAGE).is_file():
        raise ReportError(
            folder, PAGE, "nothing", "name the folder of a report, such as results/demo/report"
        )
    root = next((path for path in whole.parents if path.name == RESULTS), whole)
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(root)))
    except OSError as error:
        fix = "name another, or 0 for any that is free"
        raise ReportError("--port", "port", f"{port} ({error.strerror})", fix) from error
    below = quote((whole / PAGE).relative_to(root).as_posix())
    with server:
        yield server, f"http://{HOST}:{server.server_address[1]}/{below}"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of each."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of its base
        """Requests are not printed."""
