"""The time of each part of the suite, as a ratio to a fixed piece of work, against the record of repeats.

What has changed on purpose is recorded anew by ``benchmarks/record_parts.py``.
"""

import pytest

from part_limits import RECORD, offence, read_limits
from parts import PARTS, ratio_of


@pytest.mark.parametrize("name", PARTS)
def test_part(name, benchmark, tmp_path):
    part = PARTS[name]
    ratio = ratio_of(part, tmp_path)
    benchmark.extra_info["ratio_to_fixed_work"] = ratio
    (tmp_path / "shown").mkdir()
    benchmark.pedantic(part.prepare(tmp_path / "shown"), rounds=3, warmup_rounds=1)
    told = offence(name, ratio, read_limits(RECORD))
    if told:  # what passed by may have been the machine
        (tmp_path / "again").mkdir()
        told = offence(name, ratio_of(part, tmp_path / "again"), read_limits(RECORD))
    assert told is None, told
