"""What runs inside mmdetection's own environment: `mmdet_program.py check`, or `... train|export ... SETTINGS.json`.

Nothing of it is imported by the suite, and it imports nothing of the suite. What it is told stands in the settings.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import operators
import torch

MEAN = "ExpMomentumEMA"


def configuration(settings: dict[str, Any]) -> Any:
    """The configuration of a run for its runner."""
    from mmengine.config import Config

    every = settings["validate_every"]
    options = {
        **network_configuration(settings),
        "default_scope": "mmdet",
        "work_dir": settings["work"],
        "randomness": {"seed": settings["seed"]},
        "train_cfg": {"by_epoch": True, "max_epochs": settings["epochs"], "val_interval": every},
        "train_dataloader": loader(settings, "train"),
        "val_dataloader": loader(settings, "val"),
        "val_cfg": {},
        "val_evaluator": {
            "type": "CocoMetric",
            "ann_file": f"{settings['data']}/val.json",
            "metric": "bbox",
        },
        "optim_wrapper": optimiser(settings),
        "default_hooks": {
            "checkpoint": {
                "type": "CheckpointHook",
                "interval": 1,
                "max_keep_ckpts": 2,
                "save_best": "coco/bbox_mAP",
                "rule": "greater",
                "save_param_scheduler": False,
            },
        },
        "custom_hooks": [
            {
                "type": "EMAHook",
                "ema_type": MEAN,
                "momentum": 1 - settings["ema"]["decay"],
                "gamma": settings["ema"]["tau"],
                "update_buffers": True,
            }
        ],
        "resume": settings["resume"] is not None,
        "load_from": settings["resume"],
    }
    return Config(options)


def network_configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """The network as its method's folder describes it, for the classes at hand."""
    from mmengine.config import Config

    network = Config.fromfile(settings["network"]).to_dict()
    network["model"]["bbox_head"]["num_classes"] = len(settings["classes"])
    return {"model": network["model"]}


def optimiser(settings: dict[str, Any]) -> dict[str, Any]:
    """The recipe's optimiser in mmengine's terms."""
    chosen = settings["optimizer"]
    common = {"lr": chosen["lr"], "weight_decay": chosen["weight_decay"]}
    if chosen["name"] == "sgd":
        optimizer = {"type": "SGD", "momentum": chosen["momentum"], **common}
    else:
        optimizer = {"type": "AdamW", "betas": tuple(chosen["betas"]), **common}
    kind = "NarrowOptimWrapper" if settings["precision"] == "bfloat16" else "OptimWrapper"
    wrapper: dict[str, Any] = {"type": kind, "optimizer": optimizer}
    if not chosen["decay_norm_and_bias"]:
        # levels may share kernels, which are in one group then
        groups = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "bypass_duplicate": True}
        wrapper["paramwise_cfg"] = groups
    if settings["grad_clip"]:
        wrapper["clip_grad"] = {"max_norm": settings["grad_clip"]}
    return wrapper


def loader(settings: dict[str, Any], part: str) -> dict[str, Any]:
    """Images of one part; they have the input's size already."""
    is_train = part == "train"
    flips = [
        {"type": "RandomFlip", "prob": settings[name], "direction": way}
        for name, way in (("flip_lr", "horizontal"), ("flip_ud", "vertical"))
        if settings[name]
    ]
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True},
        *(flips if is_train else []),
        {
            "type": "PackDetInputs",
            "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        },
    ]
    if not is_train:
        steps.insert(
            1, {"type": "Resize", "scale_factor": 1.0}
        )  # states a scale, which scoring asks for
    return {
        "batch_size": settings["batch"] if is_train else 16,
        "num_workers": 0,
        "persistent_workers": False,
        "sampler": {"type": "DefaultSampler", "shuffle": is_train},
        "dataset": {
            "type": "CocoDataset",
            "ann_file": f"{settings['data']}/{part}.json",
            "data_prefix": {"img": f"{settings['data']}/{part}"},
            "metainfo": {"classes": tuple(settings["classes"])},
            "test_mode": not is_train,
            "pipeline": steps,
        },
    }


def train(settings: dict[str, Any]) -> None:
    """Train; write rows while it runs and, at its end, the averaged weights that the settings keep."""
    import precision  # noqa: F401 - names its wrapper
    from learning import Epochs, Scores
    from mmengine.runner import Runner

    runner = Runner.from_cfg(configuration(settings))
    history = Path(settings["history"])
    for hook in (Epochs(settings, history), Scores(settings, history)):
        runner.register_hook(hook)
    runner.train()
    best = runner.message_hub.runtime_info.get("best_ckpt")
    kept = (best if settings["keep"] == "best" else None) or runner.message_hub.get_info(
        "last_ckpt"
    )
    weights = torch.load(kept, map_location="cpu", weights_only=False)["state_dict"]
    target = Path(settings["weights"])
    torch.save(weights, target.with_suffix(".part"))
    target.with_suffix(".part").rename(target)


def build(settings: dict[str, Any]) -> Any:
    """The network in evaluation, on the processor, as it is before training."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules()
    model = MODELS.build(network_configuration(settings)["model"])
    model.init_weights()
    return model.eval()


def export(settings: dict[str, Any]) -> None:
    """Export the weights and write down what mmdetection itself gives on three images."""
    from artifact import Deployed, outputs_by_mmdetection

    model = build(settings)
    model.load_state_dict(torch.load(settings["weights"], weights_only=True))
    size = settings["size"]
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    boxes, scores = outputs_by_mmdetection(model, images)
    np.savez(settings["outputs"], images=images, boxes=boxes, scores=scores)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    deployed = Deployed(model, size).eval()
    count = number_to_trace(deployed, settings["traced"])
    dynamic = None if count else ({0: torch.export.Dim("N", min=1, max=4096)},)
    program = torch.onnx.export(
        deployed,
        (torch.zeros(count or 2, 3, size, size),),
        dynamo=True,
        input_names=["images"],
        output_names=["boxes", "scores"],
        dynamic_shapes=dynamic,
        opset_version=18,
        external_data=False,
        verbose=False,
    )
    program.save(settings["exported"])


def number_to_trace(network: torch.nn.Module, numbers: list[int]) -> int | None:
    """The first of the numbers that no side of the weights is a multiple of; what reads the export tells it by that."""
    sides = {side for tensor in network.state_dict().values() for side in tensor.shape if side}
    return next((number for number in numbers if all(side % number for side in sides)), None)


def check() -> None:
    """Import everything, suppress one box of two, and hold one focal loss against the other."""
    import mmdet
    import mmengine.runner
    import onnx
    import onnxscript

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    kept = operators.suppress(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        raise SystemExit(f"non-maximum suppression kept {kept}, not [0, 2]")
    from mmdet.models.losses import focal_loss as focal

    logits, labels = torch.linspace(-4, 4, 15).reshape(5, 3), torch.tensor([0, 1, 2, 3, 3])
    truth = torch.nn.functional.one_hot(labels, 4)[:, :3]
    mine = focal.sigmoid_focal_loss(logits, labels, None, 1.5, 0.4, "mean", 2)
    theirs = focal.py_sigmoid_focal_loss(logits, truth, None, 1.5, 0.4, "mean", 2)
    if not torch.equal(mine, theirs):
        raise SystemExit(f"the focal loss is {mine}, not {theirs}")
    modules = (mmdet, mmengine, onnx, onnxscript, torch)
    sys.stdout.write(" ".join(f"{m.__name__} {m.__version__}" for m in modules) + "\n")


def main() -> None:
    """Do what the command line says."""
    operators.install()
    if sys.argv[1] == "check":
        check()
        return
    *verbs, path = sys.argv[1:]
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    for verb in verbs:
        {"train": train, "export": export}[verb](settings)


if __name__ == "__main__":
    main()
