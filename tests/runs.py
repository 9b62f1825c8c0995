"""A training in one call, as tests write it: files and settings side by side, on the processor unless they say else."""

from pathlib import Path

from defectbench.base.settings import TrainingSettings
from defectbench.data.pack import load_pack
from defectbench.training import loop
from defectbench.training.preparation import prepare
from defectbench.training.sources import Sources


def split_fields(pack, fields):
    """Settings and sources of keyword arguments."""
    others = {name: fields.pop(name, None) for name in ("teacher", "start", "plan")}
    sources = Sources(Path(pack), **{name: path and Path(path) for name, path in others.items()})
    return TrainingSettings(**{"device": "cpu", "threads": 1, **fields}), sources


def run_training(
    pack, method, out, seed=0, validator=None, objective=None, checkpoint_s=30.0, **fields
):
    """Train a method on a pack."""
    settings, sources = split_fields(pack, {"seed": seed, **fields})
    loop.train(method, settings, sources, out, validator, objective, checkpoint_s)


def prepare_run(path, method, out, seed=0, pack=None, objective=None, **fields):
    """A run before its first step; on another pack than that of the path where one is given."""
    settings, sources = split_fields(path, {"seed": seed, **fields})
    return prepare(pack or load_pack(path), method, settings, sources, out, objective)
