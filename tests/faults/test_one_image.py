"""One image in a step, and maps of one pixel: every method trains on them, and says what its batch norms then do."""

import inspect
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.class_packs import write_class_pack
from tests.runs import run_training
from tests.training.conftest import write_tiny_pack
from torch import nn

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_card, load_method, method_names, override_recipe
from defectbench.data.pack import load_pack
from defectbench.nn.batch_norm import make_batch_norms_exact, norms_of_one_value
from defectbench.nn.rep import RepDepthwise
from defectbench.training.batches import PackBatches

MODELS = Path(__file__).parents[2] / "models"
CARDS = {name: load_card(MODELS / name) for name in method_names(MODELS)}
ENGINE = [name for name, card in CARDS.items() if card.family == "engine" and not card.fitted]


def narrow(name):
    """A method for one epoch, at a fraction of its widths where it can be built so: the same maps, less work."""
    method = load_method(name, MODELS)
    changes = {"validate_every": 1}
    if "width" in inspect.signature(method.module.build).parameters:
        changes["options.width"] = 0.25 if method.card.task == "detection" else 0.125
    return replace(method, recipe=override_recipe(method.recipe, changes))


def part(method, folder, count, side):
    """A pack of a few images for a method's task."""
    if method.card.task == "detection":
        return write_tiny_pack(folder / "train.st", count=count, size=side)
    return write_class_pack(folder / "train.st", side, counts=(1, count - 1, 0))


@pytest.mark.parametrize("name", ENGINE)
@pytest.mark.parametrize("batch", [1, 2])
def test_every_method_learns_from_a_step_of_one_image_at_the_smallest_side(name, batch, tmp_path):
    method = narrow(name)
    pack = part(method, tmp_path, 3, 32)
    run_training(pack, method, tmp_path / "out", epochs=1, batch=batch, threads=1)
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert record["figures"]["train_images"] == 3
    assert record["figures"]["steps"] == (3 if batch == 1 else 2)
    assert torch.isfinite(torch.tensor(record["figures"]["final_loss"]))


def test_what_norms_of_one_value_do_is_told_on_the_screen_and_in_the_record(tmp_path, capsys):
    method = narrow("vgg16")
    pack = part(method, tmp_path, 3, 64)
    run_training(pack, method, tmp_path / "one", epochs=1, batch=2, threads=1)
    # the hidden layer of the head; its convolutions see 2 x 2 pixels or more
    assert "64 px 1 batch norms meet one value a channel" in capsys.readouterr().out
    effective = json.loads((tmp_path / "one" / "train.json").read_text())["effective"]
    assert effective["norms_by_running_moments"] == 1
    run_training(pack, method, tmp_path / "three", epochs=1, batch=3, threads=1)
    assert "one value" not in capsys.readouterr().out
    effective = json.loads((tmp_path / "three" / "train.json").read_text())["effective"]
    assert "norms_by_running_moments" not in effective


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm2d, (1, 4, 1, 1)), (nn.BatchNorm1d, (1, 4))]
)
def test_a_norm_of_one_value_computes_what_it_does_when_deployed(norm, shape):
    network = nn.Sequential(norm(4))
    make_batch_norms_exact(network)
    network.train()(torch.rand(8, *shape[1:]) + 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    value = torch.rand(shape)
    out = network(value)
    assert all(torch.equal(network.state_dict()[name], kept) for name, kept in before.items())
    assert torch.equal(out, network.eval()(value))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(4).train()(value)  # the library's own


def test_a_branched_depthwise_layer_of_one_value_computes_what_it_does_when_deployed():
    torch.manual_seed(0)
    layer = RepDepthwise(4)
    make_batch_norms_exact(layer)
    layer.train()(torch.rand(8, 4, 3, 3))
    value = torch.rand(1, 4, 1, 1)
    assert torch.equal(layer(value.clone()), layer.eval()(value.clone()))


def test_norms_are_counted_without_a_trace():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 16, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert [norms_of_one_value(network, side) for side in (16, 32)] == [1, 0]
    assert all(torch.equal(network.state_dict()[name], kept) for name, kept in before.items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("count", range(1, 14))
def test_an_epoch_shows_every_image_once_whatever_the_batch(count, tmp_path):
    pack = load_pack(write_tiny_pack(tmp_path / "train.st", count=count))
    for batch in range(1, count + 1):
        batches = PackBatches(pack, batch, seed=0)
        order = batches.order(0)
        shown = [batches.take(order, n).image_ids for n in range(batches.steps_per_epoch)]
        assert sorted(torch.cat(shown).tolist()) == list(range(1, count + 1))
        assert batches.fewest == min(map(len, shown))
        assert max(map(len, shown)) <= batch


@pytest.mark.parametrize(("name", "side"), [("vgg16", 8), ("yolov4_thin", 100), ("sd_gasnet", 16)])
def test_a_side_that_a_network_cannot_take_is_named_before_the_first_step(name, side, tmp_path):
    method = narrow(name)
    pack = part(method, tmp_path, 3, side)
    with pytest.raises(ConfigError, match=rf"size in pixels: got {side}; the network cannot take"):
        run_training(pack, method, tmp_path / "out", epochs=1, batch=1, threads=1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".train.lock"]
