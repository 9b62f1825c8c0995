"""A model file opened by another engine, for tests."""

from defectbench.base.engines import CONVERTED, Form
from defectbench.deploy.engines import load_engine

OTHER_ENGINES = (Form("openvino"), Form("ncnn"))


def open_form(artifact, form, folder):
    """The model file in an engine; its own files, where it has some, are made in a folder."""
    if form.engine in CONVERTED:
        from defectbench.deploy.engines.ncnn import convert

        convert(artifact, folder / "model", form.precision)
        return load_engine(form.engine, folder / "model", 1)
    return load_engine(form.engine, artifact, 1)
