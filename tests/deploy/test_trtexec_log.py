"""The text of trtexec: its fields, and one test for each of its traps."""

import json

import pytest
from trtexec_texts import SECTIONS, SUMMARY, log

from defectbench.base.errors import FileAccessError, MeasurementError, ProgramError
from defectbench.deploy.trtexec_log import (
    TIMES,
    QueryTimes,
    check_comparable,
    parse_log,
    read_log,
    read_times,
    version_of_code,
)


def parsed(text):
    return parse_log(text, "m.log")


def changed(old, new, body=SECTIONS + SUMMARY):
    assert old in body
    return parsed(log(body.replace(old, new)))


def test_all_fields_of_a_log():
    run = parsed(log())
    assert (run.version, run.command) == (
        "10.3.0",
        "/usr/src/tensorrt/bin/trtexec --loadEngine=m.engine",
    )
    assert run.options["Precision"] == "FP32+FP16"
    assert run.options["Selected Device"] == "Orin"
    assert run.options["Compute Capability"] == "8.7"
    assert run.options["Duration"] == "3s (+ 200ms warm up)"
    assert run.shapes == {"images": (1, 3, 192, 192)}
    assert run.throughput_qps == 221.5
    assert run.latency == QueryTimes(5.02, 6.31, 5.2, 5.17, {90: 5.33, 95: 5.41, 99: 5.9})
    assert run.enqueue.median == 0.5
    assert run.h2d.percentiles[99] == 0.36377
    assert run.d2h.mean == 0.15
    assert (run.walltime_s, run.total_compute_s, run.queries) == (3.01, 2.98, 680)
    assert run.doubts == []


def test_lines_are_matched_from_their_start():
    # "Total GPU Compute Time:" holds "GPU Compute Time:", and "H2D Latency:" holds "Latency:"
    run = parsed(log())
    assert run.compute == QueryTimes(4.3, 5.4, 4.45, 4.41, {90: 4.6, 95: 4.7, 99: 5})
    assert (run.latency.median, run.h2d.median, run.d2h.median) == (5.17, 0.25, 0.14)


def test_the_order_of_the_lines_does_not_matter():
    lines = SUMMARY.splitlines()
    backwards = "\n".join([lines[0], *reversed(lines[1:])])
    assert parsed(log(SECTIONS + backwards)).latency == parsed(log()).latency


def test_without_transfers_latency_is_compute_and_the_log_is_doubted():
    run = changed("Data transfers: Enabled", "Data transfers: Disabled")
    assert run.doubts == ["copies are not timed: latency is compute time alone"]


def test_queries_a_second_count_batches():
    run = changed("dimensions 1x3x192x192", "dimensions 16x3x192x192")
    assert (run.batch, run.throughput_qps, run.images_per_s) == (16, 221.5, 3544.0)
    assert changed("I Input binding for images with", "I Something with").images_per_s is None


@pytest.mark.parametrize(
    ("code", "version"),
    [
        (8502, "8.5.2"),
        (8601, "8.6.1"),
        (100300, "10.3.0"),
        (100700, "10.7.0"),
        (110400, "11.4.0"),
        (100016, "10.0.16"),
    ],
)
def test_a_version_is_read_from_its_number(code, version):
    assert version_of_code(code) == version
    assert parsed(log(code=code)).version == version


def test_a_tag_of_the_build_may_stand_before_the_command():
    run = parsed(log(tag=" [b23]"))
    assert (run.version, run.command.split()[0]) == ("10.3.0", "/usr/src/tensorrt/bin/trtexec")


OLD = """\
I === Performance summary ===
I Throughput: 90.1 qps
I Latency: min = 9 ms, max = 12 ms, mean = 10 ms, median = 9.9 ms, percentile(99%) = 11 ms
I End-to-End Host Latency: min = 17 ms, max = 22 ms, mean = 19 ms, median = 18.5 ms, percentile(99%) = 21 ms
I Enqueue Time: min = 1 ms, max = 2 ms, mean = 1.2 ms, median = 1.1 ms, percentile(99%) = 1.9 ms
I H2D Latency: min = 0.2 ms, max = 0.4 ms, mean = 0.3 ms, median = 0.25 ms, percentile(99%) = 0.4 ms
I GPU Compute Time: min = 8 ms, max = 11 ms, mean = 9 ms, median = 8.8 ms, percentile(99%) = 10 ms
I D2H Latency: min = 0 ms, max = 0.01 ms, mean = 0 ms, median = 0 ms, percentile(99%) = 0 ms
I Total Host Walltime: 3 s
I Total GPU Compute Time: 2.9 s
"""


def test_an_old_log_has_one_percentile_and_a_latency_from_end_to_end():
    run = parsed(log(SECTIONS + OLD, code=8200))
    assert run.latency == QueryTimes(9, 12, 10, 9.9, {99: 11})
    assert run.end_to_end.median == 18.5
    assert run.d2h.max == 0.01


def test_any_set_of_percentiles_is_read():
    some = "percentile(50%) = 4.4 ms, percentile(99.9%) = 5.3 ms"
    run = changed(
        "percentile(90%) = 4.6 ms, percentile(95%) = 4.7 ms, percentile(99%) = 5 ms", some
    )
    assert run.compute.percentiles == {50: 4.4, 99.9: 5.3}
    assert (
        changed(
            f", {'percentile(90%) = 4.6 ms, percentile(95%) = 4.7 ms, percentile(99%) = 5 ms'}", ""
        ).compute.percentiles
        == {}
    )


def test_numbers_may_have_exponents_and_no_point():
    run = changed("Throughput: 221.5 qps", "Throughput: 2.54521e+06 qps")
    assert run.throughput_qps == 2545210.0
    run = changed("GPU Compute Time: min = 4.3 ms", "GPU Compute Time: min = 1e-05 ms")
    assert run.compute.min == 1e-05
    assert changed("Latency: min = 5.02 ms", "Latency: min = 12 ms").latency.min == 12.0


def test_a_run_that_is_called_unstable_is_doubted():
    line = "W * GPU compute time is unstable, with coefficient of variance = 4.7%.\nW   If not already in use, locking GPU clocks may improve it.\n"
    run = parsed(log(SECTIONS + SUMMARY + line))
    assert run.variance_percent == 4.7
    assert run.doubts == ["compute time is unstable: coefficient of variation 4.7 %"]


def test_a_host_that_is_slower_than_the_gpu_is_told():
    line = "W * Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be under-utilized.\n"
    run = parsed(log(SECTIONS + SUMMARY + line))
    assert run.is_host_bound
    assert len(run.doubts) == 1


def test_a_run_that_failed_is_an_error_with_its_first_words():
    text = log(
        "I === Model Options ===\nE [TRT] Could not read the file\nE Engine set up failed\n",
        end="FAILED",
    )
    with pytest.raises(ProgramError, match="got 'Could not read the file'"):
        parsed(text)


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("--workspace 2048", r"--memPoolSize=workspace:<MiB>"),
        ("--explicitBatch", "it is always so"),
        ("--buildOnly", "--skipInference"),
        ("--nonsense", "see trtexec --help"),
    ],
)
def test_an_option_that_is_gone_is_an_error_that_names_the_new_one(option, instead):
    with pytest.raises(ProgramError, match=f"Unknown option: {option}.*{instead}"):
        parsed(log(f"E Unknown option: {option}\n", end="FAILED"))


@pytest.mark.parametrize(
    ("precision", "calibration", "is_doubted"),
    [
        ("FP32+INT8", "", True),
        ("FP32+FP16+INT8", "", True),
        ("FP32+INT8", " Dynamic", False),
        ("FP32+FP16", "", False),
        ("FP32", "", False),
    ],
)
def test_eight_bits_without_calibration_are_doubted(precision, calibration, is_doubted):
    body = (SECTIONS + SUMMARY).replace("Precision: FP32+FP16", f"Precision: {precision}")
    run = parsed(log(body.replace("Calibration:", f"Calibration:{calibration}")))
    assert run.is_uncalibrated is is_doubted
    assert any("without calibration" in doubt for doubt in run.doubts) is is_doubted


def test_a_run_that_only_builds_has_no_figures():
    run = parsed(log(SECTIONS))
    assert run.latency is run.compute is run.throughput_qps is run.images_per_s is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA Graph", "Enabled"),
        ("Inference Streams", "4"),
        ("Data transfers", "Disabled"),
        ("Spin-wait", "Enabled"),
    ],
)
def test_runs_of_different_protocols_are_not_compared(name, value):
    one = parsed(log())
    other = changed(f"{name}: {one.options[name]}", f"{name}: {value}")
    check_comparable(one, one, "one.log")
    with pytest.raises(MeasurementError, match=f"other.log: {name}: got '{value}'"):
        check_comparable(one, other, "other.log")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "RUNNING"),
        ("bash: trtexec: command not found\n", "RUNNING"),
        (log(end=None), "PASSED"),
        (log().split("\n", 1)[1], "RUNNING"),
    ],
    ids=["empty", "another program", "cut at its end", "cut at its beginning"],
)
def test_what_is_no_whole_log_is_named(text, field):
    with pytest.raises(MeasurementError, match=field):
        parsed(text)


@pytest.mark.parametrize(
    ("line", "damaged"),
    [
        ("Latency: min = 5.02 ms, max = 6.31 ms", "Latency: min = 5.02 ms, max = "),
        ("Latency: min = 5.02 ms", "Latency: min = 5,02 ms"),
        ("Latency: min = 5.02 ms, ", "Latency: "),
        ("Throughput: 221.5 qps", "Throughput: nan qps"),
    ],
)
def test_a_damaged_line_is_named(line, damaged):
    with pytest.raises(MeasurementError, match="the line is damaged"):
        changed(line, damaged)


def test_a_stored_log_may_have_a_mark_other_line_ends_and_foreign_lines(tmp_path):
    path = tmp_path / "m.log"
    text = log().replace(f"\n[{'11/29/2026'}", "\nnvpmodel: something\n[11/29/2026", 1)
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_log(path) == parsed(log())
    with pytest.raises(FileAccessError):
        read_log(tmp_path / "none.log")


def exported(queries=3, **fields):
    times = {name: float(n) for n, name in enumerate(TIMES)}
    return [times | fields for _ in range(queries)]


def test_an_export_of_times_is_read_as_a_whole(tmp_path):
    path = tmp_path / "times.json"
    rows = ["{" + ", ".join(f'"{k}" : {v}' for k, v in row.items()) + "}" for row in exported()]
    path.write_text("[\n  " + "\n, ".join(rows) + "\n]\n")  # commas begin the lines
    assert read_times(path) == exported()


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("[", "content"),
        ("{}", "queries"),
        ("[]", "queries"),
        ("[3]", "query 0 startComputeMs"),
        (json.dumps(exported() + exported(1, latencyMs="5")), "query 3 latencyMs"),
        (json.dumps(exported(1, computeMs=True)), "query 0 computeMs"),
        (json.dumps(exported(1, computeMs=-1.0)), "query 0 computeMs"),
        (json.dumps(exported(1, computeMs=float("nan"))), "query 0 computeMs"),
    ],
)
def test_a_damaged_export_is_named(tmp_path, content, field):
    path = tmp_path / "times.json"
    path.write_text(content)
    with pytest.raises(MeasurementError, match=f"times.json: {field}"):
        read_times(path)
