"""The reference of the gate in a configuration."""

import shlex

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.references import take_reference


def test_a_configuration_keeps_what_is_no_reference():
    config = {"study": "a", "reference": "kept here", "files": 5}
    gate = take_reference(config)
    assert config == {"study": "a"}
    assert shlex.split(gate.options) == ["--reference", "kept here", "--files", "5"]
    assert take_reference(config) is None


def test_files_without_a_reference_are_named():
    with pytest.raises(ConfigError, match="--config: reference"):
        take_reference({"files": "a"})
