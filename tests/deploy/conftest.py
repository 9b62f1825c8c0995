"""Fixtures of a tiny exported detector."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_module import PROVENANCE, TinyDeployed


@pytest.fixture
def provenance():
    return dict(PROVENANCE)


@pytest.fixture
def tiny():
    return TinyDeployed().eval()


@pytest.fixture(scope="session")
def artifact(tmp_path_factory):
    from defectbench.deploy.export import export_onnx

    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    export_onnx(TinyDeployed().eval(), 32, path, ["pit", "scratch"], PROVENANCE)
    return path
