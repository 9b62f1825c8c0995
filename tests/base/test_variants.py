"""Rows of other starts and epochs: what they are called, which cells they are, and what a study may not ask for."""

import pytest

from defectbench.base.compressions import compressed_title
from defectbench.base.errors import ConfigError
from defectbench.base.studies import expand_cells, parse_study
from defectbench.base.variants import Variant, is_variant, variant_of

STARTS = {"alpha": ["coco"], "beta": ["coco", "imagenet"], "gamma": []}


def cells(*blocks):
    made = [{"datasets": ["d"], **block} for block in blocks]
    study = parse_study("test", {"study": "t", "blocks": made})
    return expand_cells(study, [*STARTS], "test", prunable=["gamma"], starts=STARTS)


@pytest.mark.parametrize("start", [None, "coco", "a1"])
@pytest.mark.parametrize("epochs", [None, 1, 10])
def test_a_name_says_what_is_other(start, epochs):
    variant = Variant(start, epochs)
    name = variant.name_of("alpha")
    assert variant_of(name) == variant
    assert is_variant(name) == (variant != Variant())


@pytest.mark.parametrize(
    "own", ["mine", "slim4.19mib", "cfpv39", "from_", "3epoch", "0epochs", "x_3epochs"]
)
def test_other_names_are_no_variants(own):
    assert not is_variant(f"alpha+{own}")


def test_titles_say_it():
    assert compressed_title("A", "alpha+from_imagenet") == "A, from ImageNet"
    assert compressed_title("A", "alpha+from_coco_1epochs") == "A, from COCO, 1 epoch"
    assert compressed_title("A", "alpha+10epochs") == "A, 10 epochs"


def test_a_start_is_a_row_of_its_own():
    made = cells(
        {"methods": ["alpha", "beta"]},
        {"methods": ["alpha", "beta"], "budget": {"start": "coco", "epochs": 3}},
    )
    assert [(cell.method, cell.start, cell.budget.epochs) for cell in made] == [
        ("alpha", None, None),
        ("beta", None, None),
        ("alpha+from_coco", "coco", 3),
        ("beta+from_coco", "coco", 3),
    ]


def test_a_single_method_starts_otherwise():
    block = {
        "methods": "all",
        "budget": {"start": "coco"},
        "budgets": {"gamma": {"start": "scratch"}, "beta": {"start": "imagenet"}},
        "controls": ["memoriser"],
    }
    names = [cell.method for cell in cells(block)]
    assert names == ["alpha+from_coco", "beta+from_imagenet", "gamma", "control_memoriser"]


def test_each_number_of_epochs_is_a_row():
    block = {"methods": ["alpha"], "epochs": [1, 3], "seeds": [0, 1], "budget": {"start": "coco"}}
    made = cells(block)
    assert [(cell.method, cell.seed, cell.budget.epochs) for cell in made] == [
        ("alpha+from_coco_1epochs", 0, 1),
        ("alpha+from_coco_1epochs", 1, 1),
        ("alpha+from_coco_3epochs", 0, 3),
        ("alpha+from_coco_3epochs", 1, 3),
    ]


def test_each_share_of_the_training_part_is_a_protocol():
    block = {"methods": ["alpha"], "protocols": ["clean", "random"], "train_shares": [10, 100]}
    assert [cell.folder for cell in cells(block)] == [
        f"d/{protocol}/alpha/seed0"
        for protocol in ("clean-10pct", "clean", "random-10pct", "random")
    ]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"methods": ["alpha"], "train_shares": [10, 10]}, "stands twice"),
        ({"methods": ["alpha"], "train_shares": [0]}, "1"),
        ({"methods": ["alpha"], "train_shares": [10], "protocols": ["paper"]}, "has copies"),
        (
            {"methods": ["alpha"], "train_shares": [10], "train_list": "few"},
            "thins the part already",
        ),
        ({"methods": ["gamma"], "budget": {"start": "coco"}}, "of that name have alpha, beta"),
        ({"methods": ["alpha"], "budget": {"start": "steel"}}, "alpha start from coco: name that"),
        ({"methods": "all", "budget": {"start": "coco"}}, "card of gamma has no weights"),
        ({"methods": ["alpha"], "budget": {"start": "COCO"}}, "pattern|match"),
        ({"methods": ["alpha"], "epochs": [3, 3]}, "stands twice"),
        ({"methods": ["alpha"], "epochs": [3], "budget": {"epochs": 4}}, "no effect"),
        ({"methods": ["alpha"], "epochs": [0]}, "1"),
        ({"methods": [], "controls": ["memoriser"], "epochs": [3]}, "no effect"),
        (
            {
                "methods": [],
                "budget": {"start": "coco"},
                "compress": [{"method": "gamma", "how": "slimming"}],
            },
            "start: scratch",
        ),
        (
            {"methods": [], "epochs": [3], "compress": [{"method": "gamma", "how": "slimming"}]},
            "another block",
        ),
        (
            {
                "methods": [],
                "compress": [{"method": "gamma", "how": "slimming", "name": "from_coco"}],
            },
            "another `name`",
        ),
    ],
)
def test_what_a_study_may_not_ask_for(block, words):
    with pytest.raises(ConfigError, match=words):
        cells(block)
