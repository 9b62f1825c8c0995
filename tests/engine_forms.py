"""A model file opened by another engine, for tests."""

import onnx

from defectbench.base.engines import CONVERTED, Form
from defectbench.base.files import sha256_file
from defectbench.base.records import write_record
from defectbench.compression.cut_files import write_weights
from defectbench.deploy.artifact import read_metadata, set_metadata
from defectbench.deploy.engines import load_engine

OTHER_ENGINES = (Form("openvino"), Form("ncnn"))


def open_form(artifact, form, folder):
    """The model file in an engine; its own files, where it has some, are made in a folder."""
    if form.engine in CONVERTED:
        from defectbench.deploy.engines.ncnn import convert

        convert(artifact, folder / "model", form.precision)
        return load_engine(form.engine, folder / "model", 1)
    return load_engine(form.engine, artifact, 1)


def write_network(cell, artifact, network, method, options):
    """A cell of a network and the model file that was exported from it: weights and the record of their training."""
    weights = write_weights(network, cell)
    model, digest = onnx.load(str(artifact)), sha256_file(weights)
    of_cell = {"method": method.name, "weights_sha256": digest}
    set_metadata(model, read_metadata(model) | of_cell)
    onnx.save(model, str(cell / "model.onnx"))
    record = {"recipe": {"options": options}, "weights_sha256": digest}
    write_record(cell / "train.json", "train", {}, {}, extra=record)
    return cell / "model.onnx"


def open_network(cell, method):
    """The network of such a cell, as torch runs it."""
    from defectbench.deploy.engines.torch import convert

    convert(cell / "model.onnx", cell / "engines" / "torch" / "model", "fp32", method)
    return load_engine("torch", cell / "engines" / "torch" / "model", 1)
