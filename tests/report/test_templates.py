"""Templates: found, or named."""

import pytest

from defectbench.base.errors import ReportError
from defectbench.report.writers.templates import render


def test_a_missing_template_is_named():
    with pytest.raises(ReportError, match=r"absent\.j2.*reports"):
        render("absent.j2", {})


def test_a_missing_value_is_named():
    with pytest.raises(ReportError, match=r"table\.html\.j2: value: got \"'.*is undefined"):
        render("site/table.html.j2", {})
