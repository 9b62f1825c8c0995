"""The times of parts: limits by hand, a part that is really twice as slow, and the record that is kept."""

import math

import pytest

import parts
from defectbench.deploy.nms import nms
from part_limits import RECORD, limits_of, offence, read_limits
from parts import PARTS, ratio_of
from record_parts import summarise


def test_limits_are_those_of_a_further_measurement():
    ratios = [1.0, 1.0, math.e, math.e]  # of logarithms 0, 0, 1, 1: mean 1/2, deviation sqrt(1/3)
    low, high = limits_of(ratios, parts=1)
    reach = 5.840909 * math.sqrt(1 / 3) * math.sqrt(1 + 1 / 4)  # Student, 3 degrees, 0.995
    assert (math.log(low), math.log(high)) == pytest.approx((0.5 - reach, 0.5 + reach), rel=1e-6)
    wider = limits_of(ratios, parts=6)
    assert wider[0] < low < high < wider[1]


def test_a_row_offends_on_either_side_and_is_named():
    limits = {"planning": (0.8, 1.25)}
    assert offence("planning", 0.8, limits) is None
    assert offence("planning", 1.25, limits) is None
    told = "planning: slower: 1.3 times the fixed work; the record holds 0.8 to 1.25"
    assert offence("planning", 1.3, limits) == told
    assert (offence("planning", 0.7, limits) or "").startswith("planning: faster: 0.7 times")


def test_a_load_is_told_apart_in_the_summary():
    repeats = [
        {"loaded": bool(n % 2), "ratios": {"a": 4.0 if n % 2 else 1.0, "b": 3.0}} for n in range(4)
    ]
    figures = summarise(repeats)
    assert figures["a"]["ratio"] == pytest.approx(2.0)
    assert figures["a"]["loaded_over_quiet"] == pytest.approx(4.0)
    assert figures["b"]["lowest"] == pytest.approx(3.0) == figures["b"]["highest"]
    assert (figures["a"]["n"], list(figures)) == (4, ["a", "b"])


def test_the_kept_record_is_of_these_parts_and_would_tell_twice_the_time_of_any():
    limits = read_limits(RECORD)
    assert set(limits) == set(PARTS)
    for name, (low, high) in limits.items():
        assert offence(name, 2 * math.sqrt(low * high), limits), name


def test_a_part_that_does_its_work_twice_is_told(tmp_path, monkeypatch):
    """By the spread of the record, about what this machine comes to without the plant."""
    part = PARTS["suppression"]

    def twice(*args):
        nms(*args)
        return nms(*args)

    before = ratio_of(part, tmp_path)
    monkeypatch.setattr(parts, "nms", twice)
    planted = ratio_of(part, tmp_path)
    low, high = read_limits(RECORD)["suppression"]
    reach = math.sqrt(high / low)
    limits = {"suppression": (before / reach, before * reach)}
    assert offence("suppression", before, limits) is None
    assert (offence("suppression", planted, limits) or "").startswith("suppression: slower: ")
