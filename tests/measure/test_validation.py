"""The validator scores a detector as the evaluator scores its file."""

import pytest
import torch
from torch import nn

from defectbench.base.errors import PackError
from defectbench.data.pack import write_pack
from defectbench.measure.validation import make_validator


def make_pack(path, boxes):
    count = len(boxes)
    tensors = {
        "images": torch.zeros(count, 3, 32, 32, dtype=torch.uint8),
        "boxes": torch.tensor(boxes).view(count, 1, 4),
        "labels": torch.tensor([[0 if any(box) else -1] for box in boxes]),
        "image_ids": torch.arange(count) + 1,
        "scale": torch.full((count,), 0.5),
        "pad": torch.zeros(count, 2),
        "original_size": torch.full((count, 2), 64),
    }
    write_pack(path, tensors, {"classes": '["pit"]'})
    return path


class SaysOneBox(nn.Module):
    """Says the same box for every image."""

    def __init__(self, box):
        super().__init__()
        self.box = torch.tensor(box)

    def deploy(self):
        return self

    def forward(self, images):
        count = len(images)
        return self.box.expand(count, 1, 4), torch.full((count, 1, 1), 0.9)


def test_the_right_box_scores_one_and_a_wrong_one_nothing(tmp_path):
    validate = make_validator(make_pack(tmp_path / "val", [[4.0, 4.0, 20.0, 20.0]] * 3))
    assert validate(SaysOneBox([4.0, 4.0, 20.0, 20.0])) == pytest.approx(1.0)
    assert validate(SaysOneBox([22.0, 22.0, 30.0, 30.0])) == 0.0
    # IoU of 0.5 counts at one of ten thresholds.
    assert validate(SaysOneBox([4.0, 4.0, 20.0, 12.0])) == pytest.approx(0.1)


def test_a_part_without_true_boxes_is_refused(tmp_path):
    with pytest.raises(PackError, match="validation needs true boxes"):
        make_validator(make_pack(tmp_path / "val", [[0.0] * 4]))
