"""Memory that is full, in the words of each library that is called."""

import numpy as np
import pytest
import torch

from defectbench.base.errors import ArtifactError, DeviceMemoryError
from defectbench.base.memory import lacks_memory, memory_refusal
from defectbench.deploy.runtime import engine_refusal

FAR_TOO_MUCH = 2**60


def raised(call):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation: std::bad_alloc\nat core.cpp"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 9"),
        RuntimeError("Error Code 2: OutOfMemory (no further information)"),
    ],
    ids=repr,
)
def test_every_library_s_words_are_one_error(error):
    refusal = engine_refusal("model.onnx", "run", error)
    assert isinstance(refusal, DeviceMemoryError)
    assert "end what else holds memory" in str(refusal)


def test_numpy_and_torch_are_taken_at_their_words():
    for call in (lambda: np.empty(FAR_TOO_MUCH // 8), lambda: torch.empty(FAR_TOO_MUCH // 8)):
        error = raised(call)
        assert isinstance(engine_refusal("m", "run", error), DeviceMemoryError)
        assert isinstance(engine_refusal("m", "run", RuntimeError(str(error))), DeviceMemoryError)


def test_an_error_without_words_and_one_of_many_lines_have_one_line():
    assert memory_refusal("m", "run", "").value == "out of memory"
    assert memory_refusal("m", "run", "[E] at 7\n[E] out of memory\n").value == "[E] out of memory"


def test_other_errors_are_of_the_model():
    error = RuntimeError("the node allocates a shape that is not known")
    assert not lacks_memory(error)
    assert isinstance(engine_refusal("m", "run", error), ArtifactError)
