"""Texts in the form that trtexec prints; all figures are made up."""

TIME = "[11/29/2026-10:00:00]"
COMMAND = "/usr/src/tensorrt/bin/trtexec --loadEngine=m.engine"
SECTIONS = """\
I === Build Options ===
I Precision: FP32+FP16
I Calibration:
I Skip inference: Disabled
I === Inference Options ===
I Iterations: 10
I Duration: 3s (+ 200ms warm up)
I Inference Streams: 1
I Data transfers: Enabled
I Spin-wait: Disabled
I CUDA Graph: Disabled
I === Device Information ===
I Selected Device: Orin
I Compute Capability: 8.7
I TensorRT version: 10.3.0
I Input binding for images with dimensions 1x3x192x192 is created.
I Warmup completed 45 queries over 200 ms
I Timing trace has 680 queries over 3.01 s
I === Trace details ===
I Average on 10 runs - GPU latency: 4.41 ms - Host latency: 5.18 ms (enqueue 0.52 ms)
I
"""
SUMMARY = """\
I === Performance summary ===
I Throughput: 221.5 qps
I Latency: min = 5.02 ms, max = 6.31 ms, mean = 5.2 ms, median = 5.17 ms, percentile(90%) = 5.33 ms, percentile(95%) = 5.41 ms, percentile(99%) = 5.9 ms
I Enqueue Time: min = 0.41 ms, max = 1.1 ms, mean = 0.52 ms, median = 0.5 ms, percentile(90%) = 0.6 ms, percentile(95%) = 0.64 ms, percentile(99%) = 0.9 ms
I H2D Latency: min = 0.2 ms, max = 0.4 ms, mean = 0.26 ms, median = 0.25 ms, percentile(90%) = 0.3 ms, percentile(95%) = 0.31 ms, percentile(99%) = 0.36377 ms
I GPU Compute Time: min = 4.3 ms, max = 5.4 ms, mean = 4.45 ms, median = 4.41 ms, percentile(90%) = 4.6 ms, percentile(95%) = 4.7 ms, percentile(99%) = 5 ms
I D2H Latency: min = 0.1 ms, max = 0.3 ms, mean = 0.15 ms, median = 0.14 ms, percentile(90%) = 0.2 ms, percentile(95%) = 0.21 ms, percentile(99%) = 0.25 ms
I Total Host Walltime: 3.01 s
I Total GPU Compute Time: 2.98 s
I Explanations of the performance metrics are printed in the verbose logs.
I
"""


def stamped(lines):
    """Lines as the program writes them: time, severity, text."""
    return "".join(f"{TIME} [{line[0]}] {line[2:]}\n" for line in lines.splitlines())


def log(body=SECTIONS + SUMMARY, code=100300, end="PASSED", tag=""):
    """A whole log, or without its last line where ``end`` is None."""
    name = f"TensorRT.trtexec [TensorRT v{code}]{tag} # {COMMAND}\n"
    last = f"&&&& {end} {name}" if end else ""
    return f"&&&& RUNNING {name}{stamped(body)}{last}"
