"""The short form of ``make fuzz``: a few mutations of every format come out as a result or as a named error."""

import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import fuzz

FIRST, CASES, SECONDS = 1_000_000, 6, 30


@pytest.mark.parametrize("name", fuzz.FORMATS)
def test_a_result_or_a_named_error(name):
    found = fuzz.fuzz([name], FIRST, SECONDS, CASES)[name]
    assert found["cases"] > 0
    assert found["finds"] == []


def test_what_is_not_mutated_is_a_result():
    assert fuzz.outcome(fuzz.prepare("predictions"), None) == "result"


def test_a_case_is_drawn_from_its_number_alone():
    kind = fuzz.prepare("card")
    data = kind.seeds["s.yaml"]
    first, again, other = (kind.mutate(data, random.Random(n)) for n in (7, 7, 8))
    assert first == again != other


def test_finds_are_told_with_the_number_that_repeats_them(monkeypatch):
    kind = fuzz.Format(
        lambda home: None, ("a",), fuzz.mutate_bytes, lambda home: {}["b"], {"a": b"x"}
    )
    monkeypatch.setitem(fuzz.FORMATS, "broken", kind)
    (find,) = fuzz.fuzz(["broken"], 5, 10, 3)["broken"]["finds"]
    assert (find["times"], find["first"]) == (3, 5)
    assert find["what"].startswith("KeyError at test_fuzz.py")


def test_a_process_that_ends_is_a_find(monkeypatch):
    def end(home):
        fuzz.os.kill(fuzz.os.getpid(), 9)

    kind = fuzz.Format(lambda home: None, ("a",), fuzz.mutate_bytes, end, {"a": b"x"})
    monkeypatch.setitem(fuzz.FORMATS, "ending", kind)
    (find,) = fuzz.fuzz(["ending"], 0, 10, 1)["ending"]["finds"]
    assert find["what"] == "the process ended with -9"


@pytest.mark.parametrize(("works", "finds"), [(True, ["no end in 0.2 s"]), (False, [])])
def test_a_case_that_works_without_end_is_a_find_and_one_that_waits_is_none(
    monkeypatch, works, finds
):
    """A loaded machine lets a case wait; that is no fault of a reader."""

    def take(home):
        until = time.monotonic() + (30 if works else 0.6)
        while time.monotonic() < until:
            time.sleep(0 if works else 0.1)

    monkeypatch.setattr(fuzz, "CASE_S", 0.2)
    kind = fuzz.Format(lambda home: None, ("a",), fuzz.mutate_bytes, take, {"a": b"x"})
    monkeypatch.setitem(fuzz.FORMATS, "slow", kind)
    found = fuzz.fuzz(["slow"], 0, 10, 1)["slow"]["finds"]
    assert [find["what"] for find in found] == finds
