"""The reader of state dictionaries: plain tensors go through, code is named and not run, damage is named."""

import contextlib
import os
import zipfile
from collections import OrderedDict

import pytest
import torch

from defectbench.base.errors import WeightsError
from defectbench.weights.state_dict import read_state_dict


class Hostile:
    """Unpickled, it would write a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch '{self.trace}'",)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(OrderedDict(a=torch.arange(6.0).view(2, 3), b=torch.tensor(7)), path)
    return path


def test_tensors_come_back(saved):
    state = read_state_dict(saved)
    assert list(state) == ["a", "b"]
    assert state["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["b"].item() == 7


def test_code_is_named_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    torch.save({"a": torch.zeros(1), "b": Hostile(trace)}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=r"hostile.pth: pickled code: got 'posix.system'"):
        read_state_dict(tmp_path / "hostile.pth")
    assert not trace.exists()


def test_a_whole_network_is_refused(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "network.pth")
    with pytest.raises(WeightsError, match=r"pickled code: .*torch.nn.modules.conv.Conv2d"):
        read_state_dict(tmp_path / "network.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(1)], "content: got 'list'"),
        ({"state": {"a": torch.zeros(1)}}, "entry 'state': got 'dict'"),
        ({"epoch": 3, "a": torch.zeros(1)}, "entry 'epoch': got 'int'"),
        ({1: torch.zeros(1)}, "entry 1: got 'Tensor'"),
    ],
)
def test_what_is_no_plain_state_dictionary_is_refused(content, words, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=words):
        read_state_dict(tmp_path / "other.pth")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_named(share, saved):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"weights.pth: content"):
        read_state_dict(saved)


def test_a_flipped_bit_is_seen(saved):
    with zipfile.ZipFile(saved) as archive:
        (info,) = (i for i in archive.infolist() if i.filename.endswith("data/0"))
    data = bytearray(saved.read_bytes())
    place = data.index(torch.arange(6.0).numpy().tobytes())
    data[place + 5] ^= 1
    saved.write_bytes(data)
    with pytest.raises(WeightsError, match=info.filename):
        read_state_dict(saved)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_damaged_ends_in_a_named_error_or_in_tensors(seed, saved):
    """Bytes anywhere, the directory of the archive and the pickle included."""
    data = bytearray(saved.read_bytes())
    draw = torch.Generator().manual_seed(seed)
    for place in torch.randint(len(data), (4,), generator=draw).tolist():
        data[place] = int(torch.randint(256, (1,), generator=draw))
    saved.write_bytes(data)
    with contextlib.suppress(WeightsError):
        assert set(read_state_dict(saved)) <= {"a", "b"}


def test_a_file_that_is_no_archive_or_is_not_there(tmp_path):
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(WeightsError, match="begins with b'weights'"):
        read_state_dict(tmp_path / "text.pth")
    with pytest.raises(WeightsError, match="file: got 'nothing'"):
        read_state_dict(tmp_path / "none.pth")


def test_the_older_form_is_read_and_runs_no_code(tmp_path):
    path = tmp_path / "older.pth"
    torch.save({"a.weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_state_dict(path)["a.weight"], torch.ones(2))
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:40], whole[:20] + b"\0" * 30 + whole[50:]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"older\.pth: content"):
            read_state_dict(path)
    marker = tmp_path / "ran"
    hostile = {"a": torch.ones(1), "b": Hostile(marker)}
    torch.save(hostile, path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match="code, or no tensors"):
        read_state_dict(path)
    assert not marker.exists()
