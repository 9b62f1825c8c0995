"""The tables of the shelf: the slips that are known of them come out by themselves, each by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from defectbench.base.methods import load_card
from defectbench.measure.claims import check_claim
from defectbench.measure.claims_audit.audit import audit_folder, held_against_audit

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def outcomes():
    return audit_folder(MODELS)


def one(outcomes, paper, check, about, figure=""):
    (outcome,) = (
        o
        for o in outcomes
        if (o.paper, o.check, o.about) == (paper, check, about) and figure in o.figure
    )
    return outcome


def test_two_rows_of_lidd_net_do_not_grow_with_pixels_and_the_others_do(outcomes):
    fastest = one(outcomes, "LIDD-Net", "scaling", "YOLO-FastestV2")
    assert fastest.verdict == "inconsistent"
    assert "0.0944 / 0.0034 = 27.8, pixels (320 / 192)² = 2.78" in fastest.arithmetic
    assert fastest.arithmetic.endswith("a decimal slip: 0.0034 at 192 px would be 0.0340")
    picodet = one(outcomes, "LIDD-Net", "scaling", "PP-PicoDet-S")
    assert picodet.verdict == "inconsistent"
    assert "0.7302 / 0.4628 = 1.58" in picodet.arithmetic
    assert "1.4625 / 0.7302 = 2.00" in picodet.arithmetic
    assert "not one network" in picodet.arithmetic
    scaled = [o for o in outcomes if o.paper == "LIDD-Net" and o.check == "scaling"]
    assert len([o for o in scaled if o.verdict == "consistent"]) == 8 == len(scaled) - 2


def test_the_flops_column_of_lidd_net_mixes_two_units(outcomes):
    mixed = {o.place: o for o in outcomes if o.check == "mixed units"}
    assert set(mixed) == {"table 3", "table 4", "table 5"}
    assert {o.verdict for o in mixed.values()} == {"inconsistent"}
    twice, once, _ = mixed["table 3"].arithmetic.split("; ")
    assert twice == "2 x MAC: YOLOv5n, YOLOv8n"
    assert once == "MAC: YOLOX-Nano, Nanodet, Nanodet-plus, TOOD, FoveaBox"
    assert "PP-PicoDet-S" in mixed["table 4"].arithmetic.split("; ")[0]


def test_the_advantage_of_lidd_net_over_yolov8n_is_half_of_what_it_looks_like(outcomes):
    beside = one(outcomes, "LIDD-Net", "statement", "LIDD-Net against YOLOv8n", "operations")
    assert beside.verdict == "inconsistent"
    assert beside.arithmetic.startswith("as printed 0.7380 / 0.1104 = 6.68")
    assert "LIDD-Net is in MAC (as BaseLine" in beside.arithmetic
    assert beside.arithmetic.endswith("in one unit 0.7380 / 0.2208 = 3.34")
    base = one(outcomes, "LIDD-Net", "parameters", "BaseLine")
    assert base.verdict == "reproduced"  # it is NanoDet-Plus-m, whose count we have


@pytest.mark.parametrize(
    ("place", "about", "arithmetic"),
    [
        ("table 3", "LIDD-Net against YOLOv8n", "98.30 - 90.43 = +7.87, printed +9.07"),
        ("table 4", "LIDD-Net against YOLOv5n", "98.12 - 96.48 = +1.64, printed +0.64"),
        (
            "table of the ablation",
            "BaseLine + LATM + CISB-Net against BaseLine + LATM",
            "98.06 - 96.68 = +1.38, printed +1.44",
        ),
    ],
)
def test_gains_in_the_text_of_lidd_net_that_its_tables_do_not_have(
    outcomes, place, about, arithmetic
):
    wrong = [o for o in outcomes if o.check == "statement" and o.verdict == "inconsistent"]
    assert (place, about, arithmetic) in [(o.place, o.about, o.arithmetic) for o in wrong]


def test_the_two_percentages_of_tinydefectnet_are_swapped(outcomes):
    swap = one(outcomes, "TinyDefectNet", "statement", "TinyDefectNet against yolov8n")
    assert swap.verdict == "inconsistent"
    assert swap.printed == "-43.7 % and -52.9 % on augmented NEU-DET"
    assert swap.arithmetic.startswith("swapped: ")
    for piece in (
        "1.4 / 0.563 = 2.49",
        "4.6 / 0.471 = 9.77",
        "1.4 / 0.471 = 2.97",
        "4.6 / 0.563 = 8.17",
    ):
        assert piece in swap.arithmetic


def test_the_speeds_of_sd_gasnet_and_tinydefectnet_cannot_be_compared(outcomes):
    for paper, printed in (("SD-GASNet", "180 images/s"), ("TinyDefectNet", "265 images/s")):
        (speed,) = (o for o in outcomes if (o.paper, o.printed) == (paper, printed))
        assert speed.verdict == "not comparable"
        assert speed.arithmetic == "no batch, precision, boundary or device is said"


def test_one_network_at_two_speeds_and_frames_that_are_no_inverse_of_milliseconds(outcomes):
    litesteel = [o for o in outcomes if o.paper == "LiteSteel-YOLO" and o.check == "speed"]
    assert "530 / 338 = 1.57 for one network: size or setting differ, and are not said" in [
        o.arithmetic for o in litesteel
    ]
    wrong = [o for o in outcomes if o.check == "speed" and o.verdict == "inconsistent"]
    assert {o.arithmetic.split(" images")[0] for o in wrong} == {
        "60 x 7.3 / 1000 = 0.438",
        "63 x 5.8 / 1000 = 0.365",
    }


def test_nothing_else_is_called_inconsistent(outcomes):
    wrong = [(o.paper, o.check) for o in outcomes if o.verdict == "inconsistent"]
    assert sorted(wrong) == sorted(
        [
            *[("LIDD-Net", "scaling")] * 2,
            *[("LIDD-Net", "mixed units")] * 3,
            *[("LIDD-Net", "statement")] * 4,
            ("TinyDefectNet", "statement"),
            *[("YOLOv8-ONNX-TensorRT", "speed")] * 2,
        ]
    )


def test_figures_of_recent_papers_that_agree_are_consistent(outcomes):
    ctl = [o for o in outcomes if o.paper == "CTL-YOLO" and o.about.endswith("yolo11n")]
    assert [o.verdict for o in ctl] == ["consistent", "consistent"]
    lho = one(outcomes, "LHO-net", "statement", "LHO-net against yolov12n", "operations")
    assert lho.verdict == "consistent"
    lced = one(outcomes, "LCED-YOLO", "statement", "LCED-YOLO against yolo11n", "parameters")
    assert "2.58 (yolo11n) x 0.81 = 2.09 follows" in lced.arithmetic
    base = next(o for o in outcomes if o.check == "baselines" and "CTL-YOLO" in o.paper)
    assert base.verdict == "not comparable"
    assert "77.7 - 74.4 = 3.30 points between papers, gains of 2.6 to 4" in base.arithmetic


def test_claims_of_cards_become_inconsistent_where_the_audit_says_so(outcomes):
    held = {}
    for name in ("yolo_fastestv2", "picodet_s", "nanodet_m"):
        card = load_card(MODELS / name)
        findings = [check_claim(card, claim, []) for claim in card.claims]
        held |= {(f.method, f.metric): f for f in held_against_audit(findings, outcomes)}
    wrong = {key for key, finding in held.items() if finding.verdict == "inconsistent"}
    assert wrong == {("yolo_fastestv2", "macs_g"), ("picodet_s", "gflops")}
    assert held["yolo_fastestv2", "macs_g"].reason.startswith("0.0944 / 0.0034 = 27.8")
    finding = held["yolo_fastestv2", "macs_g"]
    right = replace(finding, claimed=0.034, verdict="reproduced", reason="ours")
    assert held_against_audit([right], outcomes) == [right]
    assert held_against_audit([right], []) == [right]
