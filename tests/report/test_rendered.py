"""Reports of stored runs say what they said, byte for byte."""

import pytest
from rendered import REPORTS, kept, rendered


@pytest.mark.parametrize("name", REPORTS)
def test_a_stored_report_renders_to_the_same_bytes(name, tmp_path):
    made, before = rendered(name, tmp_path), kept(name)
    assert sorted(made) == sorted(before)
    for file, text in made.items():
        assert text.decode().split("\n") == before[file].decode().split("\n"), file
