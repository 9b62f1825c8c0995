"""Two-teacher distillation: values by hand."""

import math

import pytest
import torch
from torch import nn

from defectbench.base.errors import CompressionError, ConfigError
from defectbench.compression.cfp.fusion import Teachers, fused_loss, share_of_r, softened_kl


def test_shares_by_hand():
    assert share_of_r(0, 3) == 1.0
    assert share_of_r(1, 3) == pytest.approx(math.sqrt(3) / 2)
    assert share_of_r(2, 3) == pytest.approx(0.5)
    assert share_of_r(299, 300) == pytest.approx(math.pi / 600, rel=1e-4)
    assert [share_of_r(e, 2, s) for s in ("r", "c", "half") for e in (0, 1)] == [1, 1, 0, 0, 0.5, 0.5]  # fmt: skip


def test_softened_kl_by_hand():
    # T = 2 turns logits 2 ln 3, 0 into 3/4, 1/4, and 0, 0 into 1/2, 1/2
    teacher = torch.tensor([[2 * math.log(3), 0.0], [0.0, 0.0]], dtype=torch.float64)
    student = torch.zeros(2, 2, dtype=torch.float64)
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert softened_kl(student, teacher).item() == pytest.approx(4 * first / 2, abs=1e-12)
    # the other way round: 1/2 ln(1/2 / 3/4) + 1/2 ln(1/2 / 1/4)
    other = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert softened_kl(teacher, student).item() == pytest.approx(4 * other / 2, abs=1e-12)
    hot = 1.0 * (0.9 * math.log(1.8) + 0.1 * math.log(0.2)) / 2  # T = 1: 2 ln 3 is 9/10, 1/10
    assert softened_kl(student, teacher, 1.0).item() == pytest.approx(hot, abs=1e-12)


def test_fused_loss_by_hand():
    r = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    c = torch.tensor([[0.0, 2 * math.log(7)]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    by_r = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    by_c = 4 * (0.125 * math.log(0.25) + 0.875 * math.log(1.75))
    found = fused_loss(student, (r, c), 0.3).item()
    assert found == pytest.approx(0.3 * by_r + 0.7 * by_c, abs=1e-12)
    assert fused_loss(student, (r, c), 1.0).item() == pytest.approx(by_r, abs=1e-12)
    assert fused_loss(student, (r, c), 0.0).item() == pytest.approx(by_c, abs=1e-12)


def test_the_gradient_is_the_difference_of_softened_probabilities():
    # d/ds T^2 KL = T (softmax(s / T) - softmax(t / T)) / B
    student = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64, requires_grad=True)
    fused_loss(student, (teacher, teacher), 0.4).backward()
    torch.testing.assert_close(student.grad, torch.tensor([[-0.5, 0.5]], dtype=torch.float64))
    assert teacher.grad is None


def test_a_student_that_equals_both_teachers_has_no_loss():
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert fused_loss(logits, (logits, logits), 0.5).item() == pytest.approx(0, abs=1e-12)


def some_network():
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_teachers_are_frozen_copies():
    r, c = some_network().train(), some_network().train()
    teachers = Teachers(r, c)
    images = torch.rand(5, 3, 1, 1)
    by_r, by_c = teachers(images)
    torch.testing.assert_close(by_r, r.eval()(images).detach())
    torch.testing.assert_close(by_c, c.eval()(images).detach())
    assert not by_r.requires_grad
    assert not any(p.requires_grad for p in teachers.c.parameters())
    assert all(p.requires_grad for p in (*r.parameters(), *c.parameters()))


def test_teacher_c_in_training_mode_drifts_as_published():
    r, c = some_network(), some_network()
    teachers = Teachers(r, c, c_in_eval=False)
    _, by_c = teachers(torch.rand(5, 3, 1, 1))
    torch.testing.assert_close(by_c.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert teachers.c[2].running_mean.any()
    assert not teachers.r[2].running_mean.any()
    assert not c[2].running_mean.any()


@pytest.mark.parametrize("epoch", [-1, 3])
def test_an_epoch_out_of_the_run_is_a_named_error(epoch):
    with pytest.raises(CompressionError, match="give 0 to 2"):
        share_of_r(epoch, 3)


def test_wrong_settings_are_named_errors():
    with pytest.raises(ConfigError, match="r_to_c, r, c, half"):
        share_of_r(0, 3, "c_to_r")
    logits = torch.zeros(1, 2)
    with pytest.raises(CompressionError, match="share"):
        fused_loss(logits, (logits, logits), 1.5)
