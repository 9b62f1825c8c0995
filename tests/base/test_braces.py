"""Names in braces: the order is a shell's, and a brace that stands alone is an error."""

import subprocess

import pytest

from defectbench.base.braces import expanded

PATTERNS = [
    "stem",
    "stage.{0..3}",
    "{a,b}.{c,d}",
    "a{,.tail}",
    "x.{0.{left.{0,1},right.{0..2}},{1..3}.right.{0..2}}",
    "head.{0..2}.{enter,tower.{0,1}.{0,1},boxes}.end",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_expands_as_a_shell_does(pattern):
    shell = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True
    )
    assert expanded(pattern) == shell.stdout.splitlines()


@pytest.mark.parametrize("pattern", ["a{b", "a}b", "{a,{b}", "a{b}}"])
def test_a_brace_that_stands_alone_is_refused(pattern):
    with pytest.raises(ValueError, match="brace"):
        expanded(pattern)
