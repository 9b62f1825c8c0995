"""Runs in mmdetection's own environment: a network built, run and taught on single batches.

Told in JSON: `network` (a file), `classes` (counts to build for), `sizes` (sides of images, pixels), `steps` and `rate`
of the learning of one batch, `taught` (whether precisions are compared behind it) and `out`, the file for what came out.
"""

import json
import sys
from pathlib import Path

import operators
import torch
from mmdet_program import build
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

EPOCHS = (
    0,
    50,
)  # TOOD assigns by ATSS at first and by alignment later; no other asks for the epoch
SIDE = 64  # of the images of gradients, pixels


def network(told, count):
    torch.manual_seed(0)
    return build({"network": told["network"], "classes": [f"class {n}" for n in range(count)]})


def sample(boxes, labels, size):
    from mmdet.structures import DetDataSample  # after the operators are in their places

    found = DetDataSample(
        metainfo={"img_shape": (size, size), "ori_shape": (size, size), "scale_factor": (1.0, 1.0)}
    )
    found.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    found.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])
    return found


def truth(kind, count, size=SIDE):
    """Two images: with three boxes and one, with none, or full of boxes."""
    if kind == "few":
        boxes = [
            [[0.08, 0.1, 0.55, 0.7], [0.5, 0.5, 0.95, 0.92], [0, 0, 0.24, 0.2]],
            [[0.16, 0.06, 0.7, 0.5]],
        ]
        rows = [torch.tensor(some) * size for some in boxes]
    elif kind == "none":
        rows = [torch.zeros(0, 4)] * 2
    else:
        corner = torch.rand(2, 200, 2) * (size - 28)
        rows = list(torch.cat((corner, corner + 4 + torch.rand(2, 200, 2) * 24), -1))
    return [sample(boxes, torch.arange(len(boxes)) % count, size) for boxes in rows]


def loss_of(model, images, samples):
    batch = model.data_preprocessor({"inputs": list(images), "data_samples": samples}, True)
    return model.parse_losses(model.loss(batch["inputs"], batch["data_samples"]))[0]


def gradients(model, kind, count, epoch):
    """The loss and the names of what got no gradient or none that is finite."""
    model.train().zero_grad()
    MessageHub.get_current_instance().update_info("epoch", epoch)
    loss = loss_of(model, torch.rand(2, 3, SIDE, SIDE) * 255, truth(kind, count))
    loss.backward()
    learnt = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    missing = [name for name, p in learnt if p.grad is None]
    broken = [name for name, p in learnt if p.grad is not None and not p.grad.isfinite().all()]
    return {"loss": loss.item(), "missing": missing, "broken": broken}


def losses_by_precision(model, count):
    """Of one batch, in float32 and as bfloat16 is trained here, and types of the predictions in the latter."""
    from precision import NarrowOptimWrapper, predictors

    model.train()
    MessageHub.get_current_instance().update_info("epoch", EPOCHS[-1])
    # narrow arithmetic is slow on processors without instructions for it
    images, samples = torch.rand(1, 3, 96, 96) * 255, truth("few", count, 96)[1:]
    wrapper = NarrowOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), 0.1))
    with torch.no_grad():
        wide = loss_of(model, images, samples).item()
        with wrapper.optim_context(model):
            types = {
                str(conv(torch.rand(1, conv.in_channels, 4, 4).bfloat16()).dtype)
                for conv in predictors(model.bbox_head)
            }
            narrow = loss_of(model, images, samples).item()
    return {"float32": wide, "bfloat16": narrow, "predictions": sorted(types)}


def shapes(model, size):
    """Of each level's scores and boxes for two images."""
    model.eval()
    inputs = model.data_preprocessor({"inputs": list(torch.rand(2, 3, size, size) * 255)})["inputs"]
    with torch.no_grad():
        scores, boxes = model(inputs, mode="tensor")
    assert all(level.isfinite().all() for level in (*scores, *boxes))
    return [[list(s.shape), list(b.shape)] for s, b in zip(scores, boxes, strict=True)]


def learning_of_one_batch(told):
    """The network; losses of the steps, and names of what had a gradient of zero in the last one.

    Zero at the start are the branches behind a norm that starts at zero.
    """
    model = network(told, 6).train()
    optimizer = torch.optim.AdamW(model.parameters(), told["rate"])
    images, samples = torch.rand(2, 3, SIDE, SIDE) * 255, truth("few", 6)
    losses = []
    MessageHub.get_current_instance().update_info("epoch", EPOCHS[-1])
    for _ in range(told["steps"]):
        optimizer.zero_grad()
        loss = loss_of(model, images, samples)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35.0)
        optimizer.step()
        losses.append(loss.item())
    learnt = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    untouched = [name for name, grad in learnt if not grad.any()]
    return model, {"losses": losses, "untouched": untouched}


def of_classes(told, count):
    model = network(told, count)
    epochs = EPOCHS if hasattr(model.bbox_head, "initial_epoch") else EPOCHS[-1:]
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "shapes": {size: shapes(model, size) for size in told["sizes"]},
        "few": [gradients(model, "few", count, epoch) for epoch in epochs],
        "none": [gradients(model, "none", count, epoch) for epoch in epochs],
        "full": [gradients(model, "full", count, epoch) for epoch in epochs],
    }


def main():
    operators.install()
    torch.set_num_threads(1)
    told = json.loads(sys.argv[1])
    found = {"classes": {count: of_classes(told, count) for count in told["classes"]}}
    taught, found["one batch"] = learning_of_one_batch(told)
    found["precision"] = losses_by_precision(taught if told["taught"] else network(told, 6), 6)
    Path(told["out"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
