"""`defectbench serve`: a report and its records, on this machine alone, until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from threading import Thread
from urllib.request import urlopen

import pytest

from defectbench.base.errors import ReportError
from defectbench.report.site.serving import newest_report, site_server


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "results" / "a study" / "report"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("the page")
    (folder.parent / "runs").mkdir()
    (folder.parent / "runs" / "accuracy.json").write_text("{}")
    (tmp_path / "secret.txt").write_text("not to be served")
    return folder


def test_the_page_and_the_records_beside_it_are_served(report):
    with site_server(report, 0) as (server, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/a%20study/report/index\.html", address)
        Thread(target=server.serve_forever, daemon=True).start()
        assert urlopen(address).read() == b"the page"
        record = address.replace("report/index.html", "runs/accuracy.json")
        assert urlopen(record).read() == b"{}"
        root = address.partition("/a%20study")[0]
        with pytest.raises(OSError, match="404"):
            urlopen(f"{root}/../secret.txt")
        server.shutdown()


def test_the_newest_report_is_taken(report):
    other = report.parents[1] / "b" / "report"
    other.mkdir(parents=True)
    (other / "index.html").write_text("later")
    os.utime(report / "index.html", (1, 1))
    assert newest_report(report.parents[1]) == other
    with pytest.raises(ReportError, match="run snakemake"):
        newest_report(report)


def test_a_folder_without_a_page_and_a_taken_port_are_told(report):
    with pytest.raises(ReportError, match=r"index\.html: got 'nothing'"):
        site_server(report.parent, 0).__enter__()
    with site_server(report, 0) as (server, _):
        port = server.server_address[1]
        with pytest.raises(ReportError, match=f"port: got '{port} .*0 for any that is free"):
            site_server(report, port).__enter__()


def test_the_verb_prints_the_address_and_ends_with_an_interrupt(report):
    command = [sys.executable, "-m", "defectbench.cli", "serve", str(report), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[0]
        assert urlopen(address).read() == b"the page"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
