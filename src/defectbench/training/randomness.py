"""Counted randomness: every draw comes from (seed, step, purpose), so nothing has to be carried."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, step: int, purpose: str) -> int:
    """A 63-bit seed from a run's seed, a step and a purpose.

    Example:
        >>> derived_seed(0, 1, "flip") == derived_seed(0, 1, "flip")
        True
        >>> derived_seed(0, 1, "flip") == derived_seed(0, 2, "flip")
        False
    """
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(
    seed: int, step: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator for one purpose in one step: a processor's, or that of a device for what is large."""
    return torch.Generator(device).manual_seed(derived_seed(seed, step, purpose))
