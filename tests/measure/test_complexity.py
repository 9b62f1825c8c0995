"""Counts by hand, by two counters, and against fvcore."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from onnx import TensorProto, helper
from torch import nn

from defectbench.base.errors import ArtifactError, MeasurementError
from defectbench.base.records import read_record
from defectbench.deploy.artifact import read_metadata, set_metadata
from defectbench.deploy.export import export_onnx
from defectbench.measure.complexity import (
    count,
    count_params,
    cross_check,
    declared_macs,
    executed_macs,
    peak_memory,
)

torch.set_num_threads(1)

PROVENANCE = {
    "method": "tiny",
    "dataset": "demo-steel",
    "protocol": "clean",
    "seed": 0,
    "weights_sha256": "0" * 64,
}


class Mixed(nn.Module):
    """Dense, grouped, dilated and transposed convolutions, a linear layer and a product."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Conv2d(3, 8, 3, 2, 1)  # 16x16: 256*8*27 = 55,296
        self.grouped = nn.Conv2d(8, 16, 3, 1, 2, dilation=2, groups=4)  # 256*16*18 = 73,728
        self.depthwise = nn.Conv2d(16, 16, 5, 2, 2, groups=16)  # 8x8: 64*16*25 = 25,600
        self.up = nn.ConvTranspose2d(16, 6, 2, 2)  # 64*16*6*4 = 24,576
        self.linear = nn.Linear(6, 4)  # 256*6*4 = 6,144
        self.register_buffer("project", torch.arange(6.0)[:, None])  # 256*6 = 1,536

    def forward(self, images):
        features = self.up(self.depthwise(self.grouped(torch.relu(self.dense(images)))))
        rows = features.flatten(2).transpose(1, 2)
        return self.linear(rows) + torch.matmul(rows, self.project), rows[..., :2]


CONVOLUTIONS = 55_296 + 73_728 + 25_600 + 24_576
PRODUCTS = 6_144 + 1_536
PARAMS = (8 * 27 + 8) + (16 * 18 + 16) + (16 * 25 + 16) + (16 * 6 * 4 + 6) + (24 + 4)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mixed") / "model.onnx"
    export_onnx(Mixed().eval(), 32, path, ["pit", "scratch"], PROVENANCE)
    return path


def test_declared_count_by_hand(mixed):
    counts = declared_macs(onnx.load(str(mixed)), 32)
    assert (counts.convolutions, counts.products) == (CONVOLUTIONS, PRODUCTS)


def test_executed_count_agrees(mixed, tmp_path):
    model = onnx.load(str(mixed))
    assert executed_macs(model, 32, tmp_path / "probed.onnx") == declared_macs(model, 32)


def test_params_by_hand_without_constants_of_the_decoding(mixed):
    assert count_params(onnx.load(str(mixed))) == PARAMS


class Shared(nn.Module):
    """One convolution and one group norm at two levels, behind a fixed filter and its learnt mixture."""

    def __init__(self):
        super().__init__()
        self.register_buffer("filter", torch.tensor([[1.0, 0, -1]] * 3).expand(3, 1, 3, 3).clone())
        self.mix = nn.Conv2d(3, 8, 1)
        self.tower = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.SiLU())
        nn.init.uniform_(self.tower[1].weight)
        nn.init.uniform_(self.tower[1].bias)

    def forward(self, images):
        x = self.mix(nn.functional.conv2d(images, self.filter, padding=1, groups=3))
        levels = [self.tower(level).flatten(2) for level in (x, nn.functional.max_pool2d(x, 2))]
        rows = torch.cat(levels, 2).transpose(1, 2)
        return rows[..., :4], rows[..., 4:6]


class Repeated(nn.Module):
    """One linear layer that is run three times, a norm of rows, and a scale and a shift of one value."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 8, 4, 4)
        self.scale, self.shift = nn.Parameter(torch.ones(1) * 2), nn.Parameter(torch.ones(1))
        self.step, self.norm = nn.Linear(8, 8), nn.RMSNorm(8)
        nn.init.uniform_(self.norm.weight)

    def forward(self, images):
        x = torch.relu(self.mix(images)) * self.scale + self.shift
        x = x.flatten(2).transpose(1, 2)
        for _ in range(3):
            x = x + nn.functional.silu(self.step(x))
        x = self.norm(x)
        return x[..., :4], x[..., 4:6].sigmoid()


def test_params_of_layers_that_exporters_take_apart_or_store_several_times(tmp_path):
    path = tmp_path / "model.onnx"
    model = Repeated().eval()
    export_onnx(model, 32, path, ["pit", "scratch"], PROVENANCE)
    by_hand = (3 * 8 * 16 + 8) + 2 + (8 * 8 + 8) + 8
    assert count_params(onnx.load(str(path))) == by_hand
    assert sum(p.numel() for p in model.parameters()) == by_hand


def test_params_of_a_shared_layer_count_once_and_fixed_filters_not_at_all(tmp_path):
    path = tmp_path / "model.onnx"
    model = Shared().eval()
    export_onnx(model, 32, path, ["pit", "scratch"], PROVENANCE)
    by_hand = (3 * 8 + 8) + (8 * 8 * 9 + 8) + (8 + 8)
    assert count_params(onnx.load(str(path))) == by_hand
    assert sum(p.numel() for p in model.parameters()) == by_hand


def test_fvcore_agrees_on_the_torch_module(mixed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(Mixed().eval(), torch.zeros(1, 3, 32, 32))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = analysis.by_operator()
    counted = sum(by_operator[name] for name in ("conv", "linear", "matmul"))
    assert counted == pytest.approx(CONVOLUTIONS + PRODUCTS, rel=0.01)


def test_record(mixed, tmp_path):
    record = count(mixed, tmp_path / "complexity.json")
    assert record == read_record(tmp_path / "complexity.json", "complexity")
    figures = record["figures"]
    assert figures["macs"] == CONVOLUTIONS + PRODUCTS
    assert figures["gflops"] == 2 * figures["macs_g"]
    assert figures["macs_conv_g"] + figures["macs_matmul_g"] == pytest.approx(figures["macs_g"])
    assert figures["size_px"] == 32
    assert figures["size_mib"] == mixed.stat().st_size / 2**20
    assert figures["peak_rss_mib"] > figures["peak_rss_model_mib"] >= 0


@pytest.mark.parametrize("name", ["macs_fvcore", "params_torch"])
def test_a_count_of_the_torch_module_that_differs_stops_the_job(mixed, tmp_path, name):
    model = onnx.load(str(mixed))
    set_metadata(model, read_metadata(model) | {name: "1000"})
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(MeasurementError, match=f"{name}: got .* counts 1000"):
        count(path, tmp_path / "complexity.json")
    assert not (tmp_path / "complexity.json").exists()


def test_memory_is_that_of_the_worker_not_of_its_parent(mixed):
    ballast = np.ones(80 * 2**20)
    assert peak_memory(mixed)["peak_rss_mib"] < 400 < ballast.nbytes / 2**20


def test_counters_may_differ_by_one_percent(tmp_path):
    cross_check(tmp_path, "macs", 1000, {"other": 1010})
    with pytest.raises(MeasurementError, match="other counts 1011"):
        cross_check(tmp_path, "macs", 1000, {"other": 1011})


def test_an_operator_that_cannot_be_counted_is_named():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Einsum", ["images", "images"], ["out"], "e", equation="nchw,nchw->n")],
        "g",
        [value("images", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [value("out", TensorProto.FLOAT, ["N"])],
    )
    with pytest.raises(MeasurementError, match="operator e: got 'Einsum'"):
        declared_macs(helper.make_model(graph), 8)


def test_a_shape_that_depends_on_the_data_is_named():
    value = helper.make_tensor_value_info
    weight = helper.make_tensor("w", TensorProto.FLOAT, [5, 4], np.zeros(20, np.float32))
    graph = helper.make_graph(
        [
            helper.make_node("NonZero", ["images"], ["where"]),
            helper.make_node("Cast", ["where"], ["rows"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["w", "rows"], ["out"]),
        ],
        "g",
        [value("images", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [value("out", TensorProto.FLOAT, [5, None])],
        [weight],
    )
    with pytest.raises(MeasurementError, match="shape of rows at MatMul"):
        declared_macs(helper.make_model(graph), 8)


def test_files_without_the_signature_are_refused(mixed, tmp_path):
    model = onnx.load(str(mixed))
    del model.metadata_props[:]
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="metadata names"):
        count(tmp_path / "model.onnx", tmp_path / "complexity.json")
