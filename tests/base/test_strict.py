import pytest
from pydantic import ValidationError

from defectbench.base.strict import first_fault
from defectbench.base.studies import Study

BLOCK = {"datasets": ["demo-steel"]}


def fault(content):
    with pytest.raises(ValidationError) as error:
        Study.model_validate(content)
    return first_fault(Study, error.value)


@pytest.mark.parametrize(
    ("content", "field", "fix"),
    [
        ({"studdy": "x", "study": "x", "blocks": [BLOCK]}, "studdy", "did you mean study?"),
        (
            {"study": "x", "blocks": [{**BLOCK, "metods": []}]},
            "blocks.0.metods",
            "did you mean methods?",
        ),
        (
            {"study": "x", "blocks": [{**BLOCK, "budget": {"epoch": 1}}]},
            "blocks.0.budget.epoch",
            "did you mean epochs?",
        ),
        ({"study": "x", "blocks": [{**BLOCK, "zzz": 1}]}, "blocks.0.zzz", "name one of datasets, "),
    ],
)
def test_a_field_that_is_not_known_is_told_with_the_one_that_was_meant(content, field, fix):
    seen, _, mended = fault(content)
    assert seen == field
    assert fix in mended


def test_what_a_check_of_ours_says_stands_without_the_libraries_words():
    field, value, fix = fault({"study": "data", "blocks": [BLOCK]})
    assert (field, value) == ("study", "data")
    assert fix == "results/data is no folder of a study; choose another name"
