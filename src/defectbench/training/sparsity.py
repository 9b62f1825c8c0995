"""Sparse training: an L1 pull on the scales of batch norms, so that channels without use fade.

Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017. The pull is added once a
step of the optimiser, after the gradient is clipped; it depends on weights and rate alone, so a run taken up again
ends in the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..base.errors import ConfigError
from ..base.methods import Optimizer, Sparsity
from ..base.slimming import FADED


class Sparse:
    """The pull on one model's scales.

    Args:
        model: The model in training; modules that it names ``training_only`` are left alone.
        settings: Strength and form.
        optimizer: What steps the model.
        steps: Steps of the whole run.

    Raises:
        ConfigError: AdamW would normalise a sub-gradient away, or weight decay pulls at the scales too.
    """

    def __init__(
        self, model: nn.Module, settings: Sparsity, optimizer: Optimizer, steps: int
    ) -> None:
        by_default = "subgradient" if optimizer.name == "sgd" else "proximal"
        self.mode = by_default if settings.mode == "auto" else settings.mode
        if self.mode == "subgradient" and optimizer.name != "sgd":
            fix = "AdamW normalises the sub-gradient away: use sgd, or the mode proximal"
            raise ConfigError("recipe", "sparsity.mode", settings.mode, fix)
        if optimizer.decay_norm_and_bias and optimizer.weight_decay:
            fix = "set optimizer.decay_norm_and_bias=false: the scales have a pull of their own"
            raise ConfigError("recipe", "optimizer.decay_norm_and_bias", True, fix)
        self.scales = [scale for scale in scales_of(model) if scale.requires_grad]
        self.strength = (
            automatic_strength(optimizer, self.mode, steps)
            if settings.strength == "auto"
            else settings.strength
        )

    def before_step(self) -> None:
        """Add strength * sign(scale) to the gradients of the scales, in the mode ``subgradient``."""
        if self.mode == "subgradient":
            learnt = [scale for scale in self.scales if scale.grad is not None]
            signs = [scale.detach().sign() for scale in learnt]
            torch._foreach_add_([s.grad for s in learnt], signs, alpha=self.strength)  # type: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def after_step(self, rate: float) -> None:
        """Shrink the scales by rate * strength, to exact zeros, in the mode ``proximal``.

        Args:
            rate: Learning rate of the step.
        """
        if self.mode == "proximal":
            for scale in self.scales:
                scale.copy_(nn.functional.softshrink(scale, rate * self.strength))

    def chosen(self) -> dict[str, float | str]:
        """Strength and form, where the recipe leaves them to the budget and the optimiser."""
        return {"sparsity_strength": self.strength, "sparsity_mode": self.mode}

    def faded_share(self) -> float:
        """Share of all scales whose magnitude is below 0.01."""
        magnitudes = torch.cat([scale.detach().abs() for scale in self.scales])
        return float((magnitudes < FADED).double().mean())


def scales_of(model: nn.Module) -> list[Tensor]:
    """Scales (gamma) [C] of the batch norms that are deployed, in the order of the modules."""
    aside = getattr(model, "training_only", ())
    return [
        module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.affine and name.split(".")[0] not in aside
    ]


def automatic_strength(optimizer: Optimizer, mode: str, steps: int) -> float:
    """Strength 2 (1 - mu) / (lr steps): at the full rate a scale without use goes from 1 to 0 in half the run.

    mu is SGD's momentum in the mode ``subgradient``, where momentum adds the pull up to 1 / (1 - mu) of it, and 0 in
    the mode ``proximal``, where it does not. From the budget of steps alone (*reconstructed*: no paper gives it).

    Example:
        >>> round(automatic_strength(Optimizer(name="sgd", lr=0.01, momentum=0.937), "subgradient", 12600), 5)
        0.001
    """
    momentum = optimizer.momentum if mode == "subgradient" else 0.0
    return 2 * (1 - momentum) / (optimizer.lr * steps)
