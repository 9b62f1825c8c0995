"""Processor seconds of tests, programs that they start included: ``python -m pytest -p tests.costs --costs FILE.csv``.

The clock on the wall says little on a machine that does other things, too, or that runs tests side by side.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

import pytest

SHOWN = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", type=Path, help="CSV of processor seconds, a row a file of tests")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs(config.getoption("--costs")))


def processor_s() -> float:
    """What this process and its ended children have used so far."""
    return sum(os.times()[:4])


class Costs:
    """Adds up the phases of each test."""

    def __init__(self, path: Path | None):
        self.path, self.last = path, processor_s()
        self.tests: Counter[str] = Counter()
        self.phases: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logstart(self) -> None:
        self.last = processor_s()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = processor_s()
        report.processor_s, self.last = (
            now - self.last,
            now,
        )  # goes along to the process that prints
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.phases[report.nodeid, report.when or ""] += report.processor_s
        if report.when == "call" or report.skipped:
            self.tests[file_of(report.nodeid)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files: Counter[str] = Counter()
        for (test, _), seconds in self.phases.items():
            files[file_of(test)] += seconds
        terminalreporter.section("processor seconds")
        for (test, phase), seconds in self.phases.most_common(SHOWN):
            terminalreporter.write_line(f"{seconds:8.2f} {phase:8} {test}")
        for file, seconds in files.most_common(SHOWN):
            terminalreporter.write_line(f"{seconds:8.2f} {file}")
        terminalreporter.write_line(f"{files.total():8.2f} all tests")
        terminalreporter.write_line(f"{processor_s():8.2f} this process and its children")
        if self.path:
            with self.path.open("w", newline="") as handle:
                write_files(handle, files, self.tests)


def file_of(test: str) -> str:
    return test.partition("::")[0]


def write_files(handle: TextIO, files: Counter[str], tests: Counter[str]) -> None:
    """Write a row a file, in the order of their names."""
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(("file", "tests", "processor_s"))
    for file in sorted(files):
        writer.writerow((file, tests[file], f"{files[file]:.2f}"))
