"""Results folders made by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shelf import Shelf, fill


@pytest.fixture
def shelf(tmp_path):
    """An empty shelf with the protocol ``clean`` split and certified."""
    made = Shelf(tmp_path)
    made.split("clean")
    return made


@pytest.fixture
def filled(shelf):
    """A shelf with two methods, two controls and a leaked protocol."""
    return fill(shelf)
