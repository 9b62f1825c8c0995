"""Tiny files of ncnn, written here: a graph line by line, and its weights byte by byte."""

import struct

import numpy as np

MAGIC = "7767517"
FLOAT32, FLOAT16 = 0, 0x01306B47


def param(layers, counts=None):
    """Text of a graph: layers are lines; counts are those of layers and blobs."""
    blobs = set()
    for line in layers:
        words = line.split()
        n_bottoms, n_tops = int(words[2]), int(words[3])
        blobs |= set(words[4 + n_bottoms : 4 + n_bottoms + n_tops])
    head = counts or (len(layers), len(blobs))
    return "\n".join([MAGIC, f"{head[0]} {head[1]}", *layers, ""])


def weights(weight, bias=None, flag=FLOAT32):
    """Bytes of one convolution."""
    kind = "<f2" if flag == FLOAT16 else "<f4"
    data = np.asarray(weight).astype(kind).tobytes()
    padded = data + bytes(-len(data) % 4)
    tail = b"" if bias is None else np.asarray(bias).astype("<f4").tobytes()
    return struct.pack("<I", flag) + padded + tail


def convolution(name, bottom, top, module, slope=None):
    """Line of a torch convolution; slope of a leaky activation behind it, if there is one."""
    kind = "Convolution" if module.groups == 1 else "ConvolutionDepthWise"
    settings = [
        f"0={module.out_channels} 1={module.kernel_size[0]} 3={module.stride[0]}",
        f"4={module.padding[0]} 5={int(module.bias is not None)} 6={module.weight.numel()}",
    ]
    settings += [f"7={module.groups}"] if module.groups > 1 else []
    settings += [f"9=2 -23310=1,{slope:e}"] if slope else []
    return f"{kind} {name} 1 1 {bottom} {top} {' '.join(settings)}"
