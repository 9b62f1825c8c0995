"""What classifiers are trained with: one flip at most, the image's own pixels, Adam with L2 decay."""

import torch

from defectbench.base.methods import Augmentation, Optimizer
from defectbench.data.pack import load_pack
from defectbench.training.augment import augment
from defectbench.training.batches import Batch, PackBatches
from defectbench.training.optimizer import build_optimizer
from tests.class_packs import write_class_pack


def batch(count=64, side=8, scale=1.0):
    images = torch.arange(side * side).view(1, 1, side, side).expand(count, 3, -1, -1)
    boxes = torch.tensor([0.0, 0.0, side, side]).repeat(count, 1, 1)
    labels, ids = torch.zeros(count, 1, dtype=torch.long), torch.arange(count)
    return Batch(images.to(torch.uint8), boxes, labels, ids, torch.full((count,), scale))


def orientations(flips):
    settings = Augmentation(flip_lr=0.5, flip_ud=0.5, flips=flips)
    taken = batch()
    found, _, labels = augment(taken, settings, 0, 0)
    assert (labels == 0).all()
    whole = taken.images[0] / 255
    kinds = {"none": whole, "lr": whole.flip(2), "ud": whole.flip(1), "both": whole.flip(1, 2)}
    return [
        next(k for k, v in kinds.items() if torch.allclose(v, image, atol=1e-4)) for image in found
    ]


def test_flips_never_combine_where_one_is_drawn():
    assert set(orientations("one")) == {"none", "lr", "ud"}
    assert set(orientations("independent")) == {"none", "lr", "ud", "both"}


def test_an_image_in_its_own_pixels_is_cropped_or_gets_a_border():
    settings = Augmentation(native_crop=1.0)
    smaller, _, labels = augment(batch(2, 8, scale=2.0), settings, 0, 0)  # 4 px, shown at 8
    assert (labels == 0).all()
    assert (smaller[:, :, :2] == 0).all()
    assert (smaller[:, :, 3:5, 3:5] > 0).all()
    larger, _, _ = augment(batch(2, 8, scale=0.5), settings, 0, 0)  # 16 px, its middle is shown
    assert larger.min() > smaller[0, 0, 0, 0]
    same, _, _ = augment(batch(2, 8, scale=1.0), settings, 0, 0)
    torch.testing.assert_close(same, batch(2, 8).images / 255)


def test_half_of_the_images_are_seen_so():
    found, _, _ = augment(batch(200, 8, scale=2.0), Augmentation(native_crop=0.5), 0, 0)
    bordered = (found[:, 0, 0] == 0).all(1).float().mean()
    assert 0.4 < bordered < 0.6


def test_adam_adds_the_decay_to_the_gradient():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(3.0)
    optimizer = build_optimizer(layer, Optimizer(name="adam", lr=0.1, weight_decay=0.5))
    layer.weight.grad = torch.zeros(1, 1)
    optimizer.step()  # the first step of Adam is the rate times the sign of decay * weight
    torch.testing.assert_close(layer.weight.data, torch.tensor([[2.9]]))


def test_a_balanced_order_shows_rare_classes_as_often(tmp_path):
    path = write_class_pack(tmp_path / "train@8.safetensors", 8, (40, 8, 2))
    pack = load_pack(path, task="classification")
    batches = PackBatches(pack, 10, 0, balanced=True)
    drawn = torch.cat([pack.labels[batches.order(epoch), 0] for epoch in range(40)])
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.04, rtol=0)
    assert sorted(PackBatches(pack, 10, 0).order(0).tolist()) == list(range(50))
