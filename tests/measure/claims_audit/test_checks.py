"""Every check on a made-up paper: without a slip it finds none, and each planted slip comes out with its arithmetic."""

import pytest
from made_up import audit, clean_paper, slips


def test_a_paper_without_slips_has_none():
    outcomes = audit(clean_paper())
    assert slips(clean_paper()) == []
    assert {(o.about, o.verdict) for o in outcomes if o.verdict == "not reproduced"} == set()
    uncounted = {o.about for o in outcomes if o.verdict == "not comparable"}
    assert uncounted == {"Ours"}, "only what nobody has counted cannot be held against anything"
    assert {o.check for o in outcomes if o.verdict in ("consistent", "reproduced")} == {
        *("scaling", "unit", "parameters", "statement", "printed twice", "speed"),
    }
    assert all(o.arithmetic and o.read for o in outcomes)


def test_no_table_gives_no_outcome():
    assert audit({}) == []


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("0.0278", "one of the two is wrong: a decimal slip: 0.100 at 192 px would be 0.0100"),
        ("0.150", "one of the two is wrong: 0.100 at 192 px would be 0.0540"),
    ],
)
def test_operations_that_do_not_grow_with_pixels(printed, why):
    paper = clean_paper()
    paper["large"]["rows"][0]["operations_g"] = printed
    ((check, about, arithmetic),) = slips(paper)
    assert (check, about) == ("scaling", "Alpha")
    assert arithmetic.startswith(f"{printed} / 0.100 = ")
    assert "pixels (320 / 192)² = 2.78" in arithmetic
    assert arithmetic.endswith(why)


def test_the_one_row_of_three_that_is_odd_is_named_and_three_that_do_not_fit_are_told():
    third = {"place": "table 3", "data_set": "wood", "size": 480}
    for value, why in [
        ("0.0625", "a decimal slip: 0.0625 at 480 px would be 0.625"),
        ("0.700", "0.700 at 480 px would be 0.625"),
    ]:
        paper = clean_paper()
        rows = [{"method": "Alpha", "operations_g": value}]
        paper["third"] = paper["small"] | third | {"rows": rows, "statements": []}
        ((check, about, arithmetic),) = slips(paper)
        assert (check, about) == ("scaling", "Alpha")
        assert arithmetic.endswith(why)
        (wrong,) = next(o for o in audit(paper) if o.verdict == "inconsistent").wrong
        assert (wrong.figure, wrong.value) == ("operations_g", float(value))
    paper["large"]["rows"][0]["operations_g"] = "0.350"
    ((_, _, arithmetic),) = slips(paper)
    assert arithmetic.endswith("no two of these rows fit: not one network, one unit or one counter")


def test_a_column_in_two_units_and_an_advantage_that_comes_of_them():
    paper = clean_paper()
    says = paper["small"]["statements"]
    paper["small"]["statements"] = says[3:]
    for name, value in (("small", "0.720"), ("large", "2.000")):
        paper[name]["rows"][1]["operations_g"] = value
    assert slips(paper) == [
        ("mixed units", "all rows", "2 x MAC: Beta; MAC: Alpha"),
        ("mixed units", "all rows", "2 x MAC: Beta; MAC: Alpha"),
    ]
    (beside,) = (o for o in audit(paper) if o.check == "statement")
    assert beside.verdict == "not comparable"
    assert beside.arithmetic.endswith("the unit of Ours is not known")
    # A table of the same paper with one unit tells that of Ours.
    rows = [paper["small"]["rows"][n] | {"map50": "70.0"} for n in (0, 2)]
    paper["other"] = paper["small"] | {"place": "table 4", "data_set": "felt", "statements": []}
    paper["other"]["rows"] = rows
    ((_, about, arithmetic),) = (slip for slip in slips(paper) if slip[0] == "statement")
    assert about == "Ours against Beta"
    assert arithmetic == (
        "as printed 0.720 / 0.090 = 8.00; Ours is in MAC (as Alpha in its table 4), "
        "Beta in 2 x MAC (by our count); in one unit 0.720 / 0.18 = 4.00"
    )


def test_units_that_the_table_states_are_no_mix_but_must_be_right():
    paper = clean_paper()
    paper["small"]["statements"] = []
    for name, value in (("small", "0.720"), ("large", "2.000")):
        paper[name]["rows"][1] |= {"operations_g": value, "unit": "2 x MAC"}
    assert slips(paper) == []
    paper["small"]["rows"][0]["unit"] = "2 x MAC"
    ((check, about, arithmetic),) = slips(paper)
    assert (check, about) == ("unit", "Alpha")
    assert arithmetic.endswith("in MAC at 192 px by conv; the paper says 2 x MAC")


def test_the_nearest_counter_is_taken_and_what_fits_no_unit_is_not_reproduced():
    paper = clean_paper()
    paper["small"]["rows"][0]["operations_g"] = "0.107"
    paper["large"]["rows"][0]["operations_g"] = "0.297"
    units = {o.printed: o for o in audit(paper) if o.check == "unit" and o.about == "Alpha"}
    assert units["0.107 at 192 px"].verdict == "reproduced"
    assert "by thop" in units["0.107 at 192 px"].arithmetic
    paper["small"]["rows"][0]["operations_g"] = "0.150"
    (odd,) = (o for o in audit(paper) if o.verdict == "not reproduced")
    assert odd.arithmetic.endswith("neither MAC nor 2 x MAC")


def test_a_network_rebuilt_from_a_figure_proves_nothing_about_it():
    paper = clean_paper()
    for table in (paper["small"], paper["large"]):
        table["rows"][0]["rebuilt_from_it"] = True
    about = [o for o in audit(paper) if o.about == "Alpha" and o.check in ("unit", "parameters")]
    assert {o.verdict for o in about} == {"not comparable"}
    assert all("proves nothing" in o.arithmetic for o in about)


@pytest.mark.parametrize(
    ("number", "value", "arithmetic"),
    [
        (0, "3.2", "74.5 - 72.5 = +2.0, printed +3.2"),
        (1, "-50", "0.80 / 2.00 - 1 = -60.0 %, printed -50 %, for a base of 0.80 / 0.5 = 1.60"),
        (
            2,
            "-85",
            "0.090 / 0.360 - 1 = -75.0 %, printed -85 %, for a base of 0.090 / 0.15 = 0.600",
        ),
    ],
)
def test_a_change_that_its_figures_do_not_have(number, value, arithmetic):
    paper = clean_paper()
    paper["small"]["statements"][number]["value"] = value
    assert slips(paper) == [("statement", "Ours against Beta", arithmetic)]


def test_two_percentages_that_fit_only_when_exchanged_are_swapped():
    paper = clean_paper()
    paper["small"]["statements"][1]["value"] = "-75"
    paper["small"]["statements"][2]["value"] = "-60"
    ((_, _, arithmetic),) = slips(paper)
    assert arithmetic == (
        "swapped: as printed they need bases of 0.80 / 0.25 = 3.20 and 0.090 / 0.4 = 0.225; "
        "known are 2.00 and 0.360; exchanged, 0.80 / 0.4 = 2.00 and 0.090 / 0.25 = 0.360, "
        "which fit within rounding"
    )


def test_a_base_that_is_not_printed_is_taken_from_the_counts_of_its_network():
    paper = clean_paper()
    says = paper["small"]["statements"]
    paper["small"]["statements"] = [says[1] | {"against": "beta"}, says[2] | {"against": "beta"}]
    assert slips(paper) == []
    paper["small"]["statements"][0]["value"] = "-75"
    ((_, about, arithmetic),) = slips(paper)
    assert about == "Ours against beta"
    assert "0.80 / 2.00 (beta) - 1 = -60.0 %" in arithmetic
    paper["small"]["statements"] = [says[0] | {"against": "nobody"}, says[1] | {"of": "nobody"}]
    open_ends = [o.arithmetic for o in audit(paper) if o.check == "statement"]
    assert open_ends == [
        "not printed: mAP50 of nobody; 74.5 - 2.0 = 72.5 follows",
        "not printed: parameters of nobody; 2.00 x 0.4 = 0.800 follows",
    ]


@pytest.mark.parametrize(
    ("figure", "value", "fits"),
    [
        ("params_m", "0.9", False),
        ("params_m", "0.80", True),
        ("map50", "75.4", False),
        ("map50", "74", True),
    ],
)
def test_an_abstract_that_says_another_figure_than_its_table(figure, value, fits):
    paper = clean_paper()
    paper["abstract"]["rows"][0][figure] = value
    found = slips(paper)
    assert [(check, about) for check, about, _ in found] == (
        [] if fits else [("printed twice", "Ours")]
    )
    assert fits or found[0][2].endswith(": differ")


@pytest.mark.parametrize("lacking", ["batch", "precision", "boundary", "device"])
def test_a_speed_without_its_setting_cannot_be_compared(lacking):
    paper = clean_paper()
    speed = dict(paper["small"]["rows"][1]["speeds"][0])
    del speed[lacking]
    paper["small"]["rows"][1]["speeds"] = [speed]
    (outcome,) = (o for o in audit(paper) if o.check == "speed" and o.verdict == "not comparable")
    assert outcome.arithmetic == f"no {lacking} is said"
    assert slips(paper) == []


def test_images_a_second_that_are_no_inverse_of_milliseconds():
    paper = clean_paper()
    speed = paper["small"]["rows"][1]["speeds"][0]
    paper["small"]["rows"][1]["speeds"] = [speed | {"fps": "60"}]
    assert slips(paper) == [
        ("speed", "Beta", "60 x 8.0 / 1000 = 0.480 images a call, for a batch of 1")
    ]
    paper["small"]["rows"][1]["speeds"] = [speed | {"fps": "1000", "batch": 8}]
    assert slips(paper) == []


def test_two_speeds_of_one_network_in_one_setting():
    paper = clean_paper()
    speed = {
        "fps": "200",
        **{
            k: v
            for k, v in paper["small"]["rows"][1]["speeds"][0].items()
            if k not in ("fps", "ms")
        },
    }
    paper["large"]["rows"][1]["speeds"] = [speed]
    assert slips(paper) == [], "at another size it is no wonder"
    paper["other"] = paper["small"] | {"place": "table 5", "data_set": "felt", "statements": []}
    paper["other"]["rows"] = [{"method": "Beta", "speeds": [speed]}]
    paper["large"]["rows"][1]["speeds"] = []
    ((check, about, arithmetic),) = slips(paper)
    assert (check, about) == ("speed", "Beta")
    assert arithmetic == "200 / 125 = 1.60 for one network: in the same setting"


def test_gains_within_the_spread_of_their_baseline_mean_nothing_without_the_split():
    def paper(name, score, gain):
        says = {
            "figure": "map50",
            "kind": "difference",
            "of": name,
            "against": "Base",
            "value": gain,
        }
        head = {"paper": name, "place": "abstract", "citation": name, "read": "abstract"}
        return head | {
            "data_set": "steel",
            "rows": [{"method": name, "map50": score}],
            "statements": [says],
        }

    papers = {"a": paper("One", "77.6", "3.2"), "b": paper("Two", "79.8", "2.6")}
    (outcome,) = (o for o in audit(papers) if o.check == "baselines")
    assert outcome.verdict == "not comparable"
    assert outcome.printed == "74.4 (One), 77.2 (Two)"
    assert outcome.arithmetic.startswith(
        "77.2 - 74.4 = 2.80 points between papers, gains of 2.6 to 3.2"
    )
    papers["b"] = paper("Two", "79.8", "5.0")
    (outcome,) = (o for o in audit(papers) if o.check == "baselines")
    assert (outcome.verdict, outcome.paper) == ("consistent", "One, Two")


def test_what_is_wrong_stands_first():
    paper = clean_paper()
    paper["abstract"]["rows"][0]["map50"] = "60.0"
    verdicts = [o.verdict for o in audit(paper)]
    assert verdicts[0] == "inconsistent"
    assert (
        verdicts.index("consistent")
        > verdicts.index("reproduced")
        > verdicts.index("not comparable")
    )
