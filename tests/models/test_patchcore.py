"""PatchCore on MobileNetV2: counts, its bank, its score against distances by brute force, its export."""

import gc
from pathlib import Path

import onnx
import pytest
import torch
from tests.counting import size_of
from tests.free_packs import free_images

from defectbench.base.methods import build_network, load_method
from defectbench.deploy.counts import torch_counts
from defectbench.deploy.export import TOLERANCE, answers, check_equal, export_onnx
from defectbench.nn.fold import fold_all

MODELS = Path(__file__).parents[2] / "models"
SIDE = 64
PROVENANCE = {"method": "p", "dataset": "d", "protocol": "clean", "seed": 0, "weights_sha256": "0"}


@pytest.fixture(scope="module")
def method():
    return load_method("patchcore_mobilenetv2", MODELS)


def shown(count=6, seed=0):
    return free_images(count, SIDE, seed).float() / 255


def fitted(method, images, seed=0, **options):
    torch.manual_seed(0)
    network = build_network(method, 1, {**method.recipe.options, **options})
    facts = network.fit(lambda: iter(images.split(2)), seed, True)
    return network, facts


@pytest.fixture(scope="module")
def usual(method):
    return fitted(method, shown(), bank=40, candidates=10_000)


def scores(network, images):
    with torch.no_grad():
        return network.deploy()(images)[:, 0]


def test_the_card_counts_the_network_without_the_bank(method):
    network = build_network(method, 1, method.recipe.options)
    bare = fold_all(network.used.eval(), norms=False)
    assert size_of(bare) == method.card.golden.params
    search = network.bank.shape[1] * len(network.bank)
    for side, macs in method.card.golden.macs_m.items():
        counted = torch_counts(network.deploy(), side)["macs_fvcore"]
        cells = (side // 8) ** 2
        assert (counted - cells * search) / 1e6 == pytest.approx(macs, abs=0.01)


def test_the_search_counts_cells_by_bank_by_dimensions(usual):
    network, facts = usual
    dimensions = facts["bank_dimensions"]
    assert (facts["bank_vectors"], dimensions) == (40, 32 + 96)
    assert facts["candidates"] == 6 * (SIDE // 8) ** 2
    deployed = network.deploy()
    bare = torch_counts(deployed.features, SIDE)["macs_fvcore"]
    whole = torch_counts(deployed, SIDE)
    assert whole["macs_fvcore"] - bare == (SIDE // 8) ** 2 * 40 * dimensions
    assert whole["params_torch"] - size_of(deployed.features) == 40 * (dimensions + 1)


def test_the_score_is_the_largest_distance_to_the_bank(usual):
    network, _ = usual
    images = shown(3, seed=9)
    patches = network.patches(images).flatten(2).transpose(1, 2).double()
    expected = torch.cdist(patches, network.bank.double()).amin(2).amax(1)
    assert torch.allclose(scores(network, images).double(), expected, atol=1e-3)


def weighed(network, images, neighbours):
    """Scores with the paper's weight, patch by patch in double precision."""
    bank, found = network.bank.double(), []
    for of_image in network.patches(images).flatten(2).transpose(1, 2).double():
        distances = torch.cdist(of_image, bank, compute_mode="donot_use_mm_for_euclid_dist")
        patch = int(distances.amin(1).argmax())
        nearest = int(distances[patch].argmin())
        near = (bank - bank[nearest]).norm(dim=1).argsort()[:neighbours]
        share = distances[patch, nearest].exp() / distances[patch, near].exp().sum()
        found.append((1 - share) * distances[patch, nearest])
    return torch.stack(found)


@pytest.mark.parametrize("neighbours", [2, 9, 50])
def test_neighbours_of_the_nearest_vector_weigh_the_score(method, usual, neighbours):
    plain, _ = usual
    network = build_network(method, 1, {**method.recipe.options, "neighbours": neighbours})
    network.load_state_dict(plain.state_dict())
    images = shown(3, seed=9)
    images[2, :, 16:32, 16:32] = 1
    found = scores(network, images)
    assert torch.allclose(found.double(), weighed(network, images, neighbours), rtol=1e-3)
    assert (found < scores(plain, images)).all()


def test_a_bank_of_one_vector_has_nothing_to_weigh_by(method):
    banks = [fitted(method, shown(), bank=1, neighbours=n)[0] for n in (0, 9)]
    plain, alike = (scores(network, shown(2, seed=9)) for network in banks)
    assert torch.equal(plain, alike)


def test_a_bank_of_all_patches_scores_its_own_images_with_nothing(method):
    images = shown(2)
    network, facts = fitted(method, images, bank=10_000, candidates=10_000)
    assert facts["bank_vectors"] == facts["candidates"] == 2 * (SIDE // 8) ** 2
    assert facts["covering_radius"] == 0
    assert float(scores(network, images).max()) < 0.02
    assert float(scores(network, shown(2, seed=5)).min()) > 0.5


def test_copies_and_another_order_of_the_bank_change_nothing(usual):
    network, _ = usual
    images, bank = shown(4, seed=3), network.bank.clone()
    before = scores(network, images)
    try:
        for other in (bank[torch.randperm(40)], torch.cat((bank, bank[:7]))):
            network.bank = other
            assert torch.allclose(scores(network, images), before, atol=1e-4)
    finally:
        network.bank = bank


def test_a_square_scores_above_all_that_shows_none(usual):
    network, _ = usual
    images = shown(6, seed=4)
    images[3:, :, 16:32, 16:32] = 1
    found = scores(network, images)
    assert found[3:].min() > found[:3].max()


def test_equal_seeds_choose_equal_banks_and_others_do_not(method):
    banks = [fitted(method, shown(), seed, bank=10, candidates=60)[0].bank for seed in (1, 1, 2)]
    assert torch.equal(banks[0], banks[1])
    assert not torch.equal(banks[0], banks[2])


def held_mib():
    """Memory of all tensors that are alive."""
    alive = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    storages = [tensor.untyped_storage() for tensor in alive]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values()) / 2**20


def most_held(method, images):
    """The most that is held, beside the images, whenever a fit asks for more of them."""
    held = []

    def batches():
        for batch in images.split(2):
            held.append(held_mib())
            yield batch

    network = build_network(method, 1, {**method.recipe.options, "bank": 4, "candidates": 40})
    before = held_mib()
    network.fit(batches, 0, False)
    return max(held) - before


def test_memory_of_a_fit_does_not_grow_with_the_number_of_images(method):
    of_an_image = (SIDE // 8) ** 2 * (32 + 96) * 4 / 2**20
    few, many = (most_held(method, shown(count)) for count in (8, 40))
    assert many - few < of_an_image


def test_each_image_gives_as_many_patches_at_random(method):
    images = shown(6)
    network, facts = fitted(method, images, bank=1000, candidates=60)
    generator = torch.Generator().manual_seed(0)
    maps = torch.cat([network.patches(pair) for pair in images.split(2)])
    patches = maps.flatten(2).transpose(1, 2)
    expected = torch.cat([p[torch.randperm(64, generator=generator)[:10]] for p in patches])
    assert facts["candidates"] == 60
    assert torch.equal(network.bank.unique(dim=0), expected.unique(dim=0))


def test_more_images_than_candidates_give_no_more_patches(method):
    network, facts = fitted(method, shown(6), bank=1000, candidates=4)
    assert (facts["candidates"], len(network.bank)) == (4, 4)


def test_a_bank_of_any_size_is_loaded(method, usual):
    network, _ = usual
    other = build_network(method, 1, method.recipe.options)
    other.load_state_dict(network.state_dict())
    assert torch.equal(scores(other, shown(2)), scores(network, shown(2)))


@pytest.mark.parametrize(
    ("layers", "neighbours"), [([6, 13], 0), ([13, 16], 0), ([3, 6, 13], 0), ([6, 13], 9)]
)
def test_the_file_equals_torch_and_pads_nothing_apart(method, tmp_path, layers, neighbours):
    network, _ = fitted(method, shown(), layers=layers, bank=30, neighbours=neighbours)
    deployed, path = network.deploy(), tmp_path / "model.onnx"
    info = export_onnx(deployed, SIDE, path, ["square"], PROVENANCE, "anomaly")
    assert info.task == "anomaly"
    assert check_equal(deployed, path, SIDE, path) <= TOLERANCE
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert "Pad" not in kinds
    assert answers(deployed, shown(5).numpy())[0].shape == (5, 1)


@pytest.mark.parametrize(
    "options",
    [{"layers": [13, 6]}, {"layers": []}, {"layers": [6, 40]}, {"bank": 0}, {"neighbours": 1}],
)
def test_options_out_of_range_are_refused(method, options):
    from defectbench.base.errors import ConfigError

    with pytest.raises(ConfigError, match="refuses it"):
        build_network(method, 1, {**method.recipe.options, **options})
