"""A method folder of a tiny detector, with a card that names weights which the test writes itself."""

import hashlib

import torch
import yaml

from defectbench.base.methods import load_method
from tests.weights.ncnn_files import FLOAT16, convolution, param, weights

NETWORK = '''
"""Three convolutions."""

from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock
from defectbench.nn.detector import Detector, Normalise
from defectbench.nn.heads import join_levels


class Tiny(Detector):
    """Raw output [B, P, 4 + nc]."""

    strides = (4,)

    def __init__(self, nc: int) -> None:
        super().__init__()
        self.nc = nc
        self.normalise = Normalise((120.0, 110.0, 100.0), (50.0, 60.0, 70.0))
        self.stem = ConvBlock(3, 8, 3, 2)
        self.body = nn.Sequential(ConvBlock(8, 8, 3, 2, groups=8), nn.Identity())
        self.head = nn.Conv2d(8, 4 + nc, 1)

    def forward(self, images: Tensor) -> Tensor:
        return join_levels([self.head(self.body(self.stem(self.normalise(images))))])


def build(nc: int) -> Tiny:
    """Build it."""
    return Tiny(nc)
'''
CARD = {
    "name": "tiny",
    "title": "Tiny",
    "family": "engine",
    "paper": "none",
    "licence": "Apache-2.0",
    "golden": {"params": 1},
}
PUBLISHED = {
    "data": "noise",
    "nc": 3,
    "classes": ["a", "b", "c"],
    "size": 32,
    "source": "the test",
    "licence": "Apache-2.0",
    "input": {
        "blob": "data",
        "colours": "bgr",
        "mean": [100.0, 110.0, 120.0],
        "std": [70.0, 60.0, 50.0],
        "convolution": "stem",
    },
    "convolutions": ["{stem,body.0,head}"],
    "class_channels": {"head": [4, 7]},
    "outputs": {
        "boxes": {"columns": [0, 4], "blobs": ["boxes"], "bound": 1e-5},
        "classes": {"columns": [4, 7], "blobs": ["scores"], "probability": True, "bound": 1e-5},
    },
}


def write_method(folder, published):
    """The folder ``models/tiny`` with its card, loaded."""
    home = folder / "models" / "tiny"
    home.mkdir(parents=True, exist_ok=True)
    (home / "tiny.py").write_text(NETWORK)
    (home / "recipe.yaml").write_text("epochs: 1\n")
    (home / "card.yaml").write_text(
        yaml.safe_dump(
            {**CARD, "weights": {"noise": published} if published else {}}, sort_keys=False
        )
    )
    return load_method("tiny", folder / "models")


def trained(method, nc=3):
    """A network whose every number is drawn, batch norms too."""
    network = method.module.build(nc).eval()
    draw = torch.Generator().manual_seed(1)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=draw) + 0.1)
    network.stem[0].weight.data.sub_(0.6)
    network.body[0][0].weight.data.sub_(0.6)
    return network


def graph(network, slope=0.1):
    """Lines of the graph of a folded network, its classes behind a sigmoid."""
    stem, body, head = network.stem[0], network.body[0][0], network.head
    return [
        "Input data 0 1 data",
        convolution("stem", "data", "a", stem, slope),
        convolution("body", "a", "b", body, slope),
        convolution("head", "b", "raw", head),
        "Slice cut 1 2 raw boxes logits -23300=2,4,-233",
        "Sigmoid sigmoid 1 1 logits scores",
    ]


def write_files(folder, network, flag=FLOAT16, slope=0.1):
    """Files of ncnn of a folded network that sees BGR; their hashes by suffix."""
    convs = [network.stem[0], network.body[0][0], network.head]
    first, *rest = ([c.weight.detach().numpy(), c.bias.detach().numpy()] for c in convs)
    first[0] = first[0][:, ::-1]
    (folder / "net.param").write_text(param(graph(network, slope)))
    (folder / "net.bin").write_bytes(b"".join(weights(*pair, flag) for pair in (first, *rest)))
    return {s: sha256(folder / f"net{s}") for s in (".param", ".bin")}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_all(folder, flag=FLOAT16, slope=0.1, change=None):
    """A method and the files of its weights in one folder; the method loaded."""
    published = {
        **PUBLISHED,
        **(change or {}),
        "sha256": dict.fromkeys((".param", ".bin"), "0" * 64),
    }
    method = write_method(folder, published)
    hashes = write_files(folder, trained(method).deploy().detector, flag, slope)
    return write_method(folder, {**published, "sha256": hashes})
