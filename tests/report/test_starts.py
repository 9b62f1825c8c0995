"""Tables say where rows of different starts stand beside each other."""

from defectbench.report.columns import start_notes


def test_rows_of_two_starts_are_told_apart():
    (note,) = start_notes(["a", "a+from_coco", "b+from_imagenet_3epochs", "control_oracle"])
    assert note.startswith("Rows from COCO or from ImageNet start from weights that others")
    assert "all others from scratch" in note


def test_rows_of_one_start_need_no_comparison():
    assert start_notes(["a", "a+3epochs", "b+slim2mib"]) == []
    (note,) = start_notes(["a+from_coco", "control_oracle"])
    assert "no row from scratch" in note
