"""Runs of trtexec as they come back from a board, made by hand."""

import json

HEAD = "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec\n"
TAIL = "&&&& PASSED TensorRT.trtexec [TensorRT v100300] # trtexec\n"
MARKS = "[11/29/2026-10:00:00] "


def run(entry, latency, compute, said=""):
    ends = {"startComputeMs": 0.0, "endComputeMs": compute, "computeMs": compute}
    times = json.dumps([{"latencyMs": ms, **ends} for ms in latency])
    printed = f"{HEAD}{said}{TAIL}"
    return {"entry": entry, "status": 0, "printed": printed, "export_times": times}
