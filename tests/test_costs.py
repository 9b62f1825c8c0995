"""The plugin that tells what tests cost."""

import csv

pytest_plugins = ["pytester"]

TESTS = """
import subprocess, sys

def test_idle():
    pass

def test_busy():
    sum(range(5_000_000))

def test_with_a_child():
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
"""


def test_a_file_costs_what_its_tests_and_their_children_used(pytester):
    pytester.makepyfile(test_work=TESTS, test_rest="def test_nothing():\n    pass\n")
    run = pytester.runpytest("-p", "tests.costs", "--costs", "costs.csv")
    run.assert_outcomes(passed=4)
    with (pytester.path / "costs.csv").open(newline="") as handle:
        rows = {row["file"]: row for row in csv.DictReader(handle)}
    assert {file: row["tests"] for file, row in rows.items()} == {
        "test_rest.py": "1",
        "test_work.py": "3",
    }
    spent = {
        line.split()[2].partition("::")[2]: float(line.split()[0])
        for line in run.outlines
        if " call " in line
    }
    assert min(spent["test_busy"], spent["test_with_a_child"]) > spent["test_idle"] + 0.03
    assert float(rows["test_work.py"]["processor_s"]) > 0.06
    assert float(rows["test_rest.py"]["processor_s"]) < 0.05
