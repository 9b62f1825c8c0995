"""The paragraph says what the table says: the front, what is not told apart, what would settle it."""

import pytest

from defectbench.advice.on_validation import Choice
from defectbench.advice.verdict import alike, choice_words, defect_sides, front, paragraph
from defectbench.report.records.comparison import UNKNOWN, Pair
from defectbench.report.topics.detection.rows import DetectionRow

SIDES = defect_sides(
    [{"id": 1, "width": 200, "height": 100}],
    [{"image_id": 1, "bbox": [0, 0, 4, 30]}] * 3 + [{"image_id": 1, "bbox": [0, 0, 50, 50]}] * 7,
)


def row(method, map50, ratio, **more):
    fields = {
        "dataset": "d",
        "protocol": "clean",
        "title": method.upper(),
        "interval_over": "groups",
        "n_seeds": 1,
        "seeds": "0",
        "n_images": 20,
        "n_boxes": 30,
        "n_groups": 20,
        "leak_share": 0.0,
        "escape_rate_images": None,
        "map75": 0.1,
    }
    scores = {f"map50{end}": map50 + by for end, by in (("", 0), ("_low", -0.1), ("_high", 0.1))}
    scores |= {f"map50_95{end}": 0.2 for end in ("", "_low", "_high")}
    return DetectionRow(**fields, **scores, method=method, ratio_to_reference=ratio, **more)


def pair(first, second, difference, verdict):
    return Pair(
        "d",
        "clean",
        "map50",
        first,
        second,
        difference,
        difference - 0.1,
        difference + 0.1,
        20,
        "t",
        0.3,
        0.3,
        verdict,
    )


ROWS = [
    row("a", 0.70, 3.0),
    row("b", 0.65, 1.0),
    row("c", 0.40, 0.5),
    row("d", 0.38, 2.0),
    row("control_oracle", 1.0, None),
]
PAIRS = [
    pair("a", "b", 0.05, UNKNOWN),
    pair("a", "c", 0.30, "A is better"),
    pair("a", "d", 0.32, "A is better"),
    pair("b", "c", 0.25, "B is better"),
]


def test_the_front_holds_what_no_other_beats_in_both():
    assert [entry.method for entry in front(ROWS)] == ["c", "b", "a"]


def test_those_that_are_not_told_apart_from_the_best_come_by_their_time():
    assert [entry.method for entry in alike(ROWS, PAIRS)] == ["b", "a"]


def test_the_choice_is_said_with_its_score_on_the_test_part():
    scores = {"a": 0.62, "b": 0.60, "c": 0.1, "d": 0.2}
    said = choice_words(Choice("b", 0, "a", scores), ROWS)
    assert "Taken is B, by the validation part alone, where it scores 60.0 %" in said
    assert "the best there, A with 62.0 %, that is not told apart" in said
    assert said.endswith("On the test part it scores 65.0 % [55.0, 75.0].")
    assert "A, by the validation part alone" in choice_words(Choice("a", 0, "a", scores), ROWS)
    unlearnt = [row("a", 0.70, 3.0, flags="not above Class prior"), *ROWS[1:]]
    assert "has not learnt" in choice_words(Choice("a", 0, "a", scores), unlearnt)


def test_the_paragraph_names_groups_and_seeds_that_would_settle_it():
    said = paragraph(ROWS, PAIRS, SIDES, 320)
    assert (
        "On the front of mAP50 against time: C (40.0 % [30.0, 50.0], 0.50 times the reference)"
        in said
    )
    assert "D is beaten in both" in said
    assert "A scores highest, and B cannot be told apart from it" in said
    # 20 groups and a half width of 10 points: 5 points need four times as many
    assert "80 groups would settle it, 400 in all" in said
    assert "1 seed was trained" in said


def test_small_defects_are_held_against_the_stride():
    assert SIDES.small == pytest.approx(0.02)
    assert SIDES.needed_side() == 416  # 8 pixels of 4 / 200, in steps of 32
    assert "6.4 at the input of 320" in paragraph(ROWS, PAIRS, SIDES, 320)
    assert "need an input of 416 pixels" in paragraph(ROWS, PAIRS, SIDES, 320)
    assert "large enough" in paragraph(ROWS, PAIRS, SIDES, 416)


def test_what_has_not_learnt_is_said():
    rows = [row("a", 0.70, 3.0, flags="not above Class prior"), ROWS[1]]
    said = paragraph(rows, PAIRS[:1], SIDES, 320)
    assert "Not to be trusted" in said
    assert "A (not above Class prior)" in said


def test_rows_of_two_starts_are_said_to_be_such():
    assert "start from weights" not in paragraph(ROWS, PAIRS, SIDES, 320)
    rows = [*ROWS[:3], row("d+from_coco", 0.38, 2.0), ROWS[4]]
    assert "Rows from COCO start from weights that others trained on" in paragraph(
        rows, PAIRS, SIDES, 320
    )
