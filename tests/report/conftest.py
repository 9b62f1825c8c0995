"""Results folders made by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shelf import Shelf


@pytest.fixture
def shelf(tmp_path):
    """An empty shelf with the protocol ``clean`` split and certified."""
    made = Shelf(tmp_path)
    made.split("clean")
    return made


@pytest.fixture
def filled(shelf):
    """Two methods, one with two seeds and one with an invalid timing, controls, a leaked protocol."""
    truth = shelf.oracle()
    half = shelf.oracle(images={1, 2})
    shelf.method("alpha", seed=0, map50=0.6, p50=4.0, results=truth)
    shelf.method("alpha", seed=1, map50=0.7, p50=4.2, results=truth)
    shelf.method(
        "beta_net", map50=0.5, p50=8.0, params_m=2.5, results=half, invalid_because=["drift"]
    )
    shelf.control("memoriser", 0.0)
    shelf.control("oracle", 1.0)
    shelf.split("paper", seen_in_training=9)
    shelf.method("beta_net", "paper", map50=0.9, p50=8.0, params_m=2.5, results=truth)
    return shelf
