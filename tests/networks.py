"""Small classifiers that tests share, and what a pruned one must compute."""

import importlib
from pathlib import Path

import torch
from torch import nn

from defectbench.base.methods import load_method

MODELS = Path(__file__).parents[1] / "models"

PRUNABLE = ["vgg16", "resnet50", "mobilenet_v2", "repvgg_a0_plain"]


def piece(method, file):
    """A file of a method's folder as a module."""
    module = load_method(method, MODELS).module
    assert module is not None
    return importlib.import_module(f"{module.__package__}.{file}")


def networks():
    """Classes of all classifiers by the names of the networks."""
    classes = [
        piece("vgg16", "vgg16").VGG16,
        piece("resnet50", "resnet50").ResNet50,
        piece("mobilenetv2", "mobilenetv2").MobileNetV2,
        piece("repvgg_a0", "repvgg_a0").RepVGGA0,
    ]
    classes.append(classes[-1].cut_form)
    return {network.name: network for network in classes}


CLASSIFIERS = networks()


def build_classifier(name, nc, widths=None):
    """A fresh network."""
    return CLASSIFIERS[name](nc, widths)


def scaled_widths(name, factor):
    """Every width of a network times a factor."""
    return CLASSIFIERS[name].scaled_widths(factor)


def sketch(name, nc, widths=None):
    """A network without memory: shapes only."""
    with torch.device("meta"):
        return build_classifier(name, nc, widths)


def lively(name, nc=6, factor=0.125, seed=0):
    """A narrow network in eval mode, its biases and batch norms not as they start."""
    if name == "repvgg_a0_plain":
        return lively("repvgg_a0", nc, factor, seed).pruning_form()
    torch.manual_seed(seed)
    network = build_classifier(name, nc, scaled_widths(name, factor))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.bias.normal_(0, 0.3)
                module.weight.uniform_(0.5, 1.5)
                module.momentum = 1.0
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.3)
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_()
        network.train()(torch.rand(8, 3, 32, 32))  # statistics that let images through
    return network.eval()


def masked_forward(network, kept, images):
    """Logits of the whole network with the dropped channels zeroed at every tap."""

    def zeroing(indices):
        def hook(_module, _inputs, output):
            mask = torch.zeros(output.shape[1], dtype=output.dtype)
            mask[indices] = 1
            return output * mask.view(1, -1, *[1] * (output.dim() - 2))

        return hook

    handles = [
        network.get_submodule(tap).register_forward_hook(zeroing(kept[channels.name]))
        for channels in network.channel_sets
        for tap in channels.taps
    ]
    try:
        with torch.no_grad():
            return network(images)
    finally:
        for handle in handles:
            handle.remove()
