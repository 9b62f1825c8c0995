"""Two files in turn: medians, the ratio with its interval by hand, and reasons against it."""

import pytest
from test_latency import SHORT, model, pack  # noqa: F401 - fixtures

from defectbench.base.errors import ProgramError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from defectbench.measure.beside import invalid_because, summarise_beside, time_beside

MS = 1_000_000


def answer(*blocks, busy=0.0):
    """What a worker answers: milliseconds of both files, by block."""
    evidence = {"foreign_cores_busy": busy, "usable_cores": 2}
    samples = [[[MS * ms for ms in side] for side in block] for block in blocks]
    return {"blocks": samples, "images": 6, "evidence": evidence}


def test_medians_and_ratio_of_steady_files():
    figures = summarise_beside([answer(([2, 2, 2], [4, 4, 4]), ([2, 2, 2], [4, 4, 4]))] * 2)
    assert (figures["latency_ms_p50"], figures["base_latency_ms_p50"]) == (2.0, 4.0)
    names = [f"ratio_to_base{end}" for end in ("", "_low", "_high")]
    assert [figures[name] for name in names] == [0.5, 0.5, 0.5]
    assert (figures["n_calls"], figures["n_base_calls"], figures["n_processes"]) == (12, 12, 2)


def test_what_slows_both_leaves_the_ratio_alone():
    slow, quick = ([20, 20], [40, 40]), ([2, 2], [4, 4])
    figures = summarise_beside([answer(slow), answer(quick)])
    assert figures["ratio_to_base_low"] == figures["ratio_to_base_high"] == 0.5
    assert figures["latency_ms_p50_high"] > 5 * figures["latency_ms_p50_low"]
    assert invalid_because(figures, [answer(quick)]) == []


def test_a_wide_interval_and_foreign_load_invalidate_the_ratio():
    answers = [answer(([2], [4])), answer(([3], [4]), busy=1.0)]
    reasons = invalid_because(summarise_beside(answers), answers)
    assert len(reasons) == 2
    assert "of the ratio, over 5%" in reasons[0]
    assert reasons[1] == "other programs used 50% of the processor"


def test_the_record_of_a_short_measurement(model, pack, tmp_path):  # noqa: F811
    record = time_beside(model, model, pack, tmp_path / "beside.json", SHORT)
    assert record == read_record(tmp_path / "beside.json", "latency_beside")
    figures = record["figures"]
    assert (figures["n_calls"], figures["n_base_calls"], figures["n_images"]) == (80, 80, 6)
    low, ratio, high = (figures[f"ratio_to_base{end}"] for end in ("_low", "", "_high"))
    assert low <= ratio <= high
    assert ratio == pytest.approx(1.0, rel=0.5)  # one file beside itself
    assert figures["valid"] == (not figures["invalid_because"])
    assert record["inputs"]["base"]["sha256"] == sha256_file(model)
    assert record["settings"]["thresholds"] == [0.25, 0.25]


def test_a_failed_worker_is_named(model, pack, tmp_path):  # noqa: F811
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ProgramError, match=r"latency worker: got .*ArtifactError"):
        time_beside(model, broken, pack, tmp_path / "beside.json", SHORT)
    assert not (tmp_path / "beside.json").exists()
