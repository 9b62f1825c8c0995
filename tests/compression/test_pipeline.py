"""Collaborative filter pruning from end to end on a small network: score, select, cut, recover, save."""

import copy

import torch
from tests.counting import size_of
from tests.networks import lively

from defectbench.compression.fusion import Teachers, fused_loss, share_of_r
from defectbench.compression.plan import load_pruned, plan_of, save_pruned
from defectbench.compression.rates import sets_pruned, solve
from defectbench.compression.sampling import balanced_subset, class_balanced_order
from defectbench.compression.scoring import score_channels
from defectbench.compression.selection import select_cfp
from defectbench.compression.surgery import prune


def test_a_small_network_is_pruned_and_learns_from_its_teachers(tmp_path):
    torch.set_num_threads(1)
    made = torch.Generator().manual_seed(0)
    images, labels = torch.rand(24, 3, 32, 32, generator=made), torch.arange(24) % 3
    r, c = lively("vgg16", 3, seed=1), lively("vgg16", 3, seed=2)
    rates = solve(r, ".7*5,.85*8", 8.0).rates
    rows = balanced_subset(labels, 12, seed=0)
    kept = select_cfp(r, score_channels(r, images[rows].split(4), sets_pruned(r, rates)), rates)
    student, teachers = prune(r, kept).train(), Teachers(r, c)
    assert size_of(r) / size_of(student) > 7.9
    optimizer, losses = torch.optim.Adam(student.parameters(), 5e-3), []
    for epoch in range(6):
        batch = images[class_balanced_order(labels, 0, epoch)]
        loss = fused_loss(student(batch), teachers(batch), share_of_r(epoch, 6, "half"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    save_pruned(tmp_path / "small.safetensors", student, plan_of(r, kept, criterion="cfp"))
    back, plan = load_pruned(tmp_path / "small.safetensors")
    assert plan.kept == kept
    with torch.no_grad():
        assert torch.equal(back(images), copy.deepcopy(student).eval()(images))
