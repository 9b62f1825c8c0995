"""What a user types: each slip that was seen in the field ends in one named error, before anything is made."""

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from defectbench.base import planning
from defectbench.base.cards import load_dataset_card
from defectbench.base.catalogue import load_catalogue
from defectbench.base.commandline import parse_settings
from defectbench.base.errors import ConfigError, DefectBenchError
from defectbench.base.methods import (
    Optimizer,
    Recipe,
    build_network,
    load_card,
    load_method,
    load_recipe,
    method_names,
    override_recipe,
    recipe_fields,
)
from defectbench.base.mirrors import is_address, mirror_state
from defectbench.base.options import options_of
from defectbench.base.planning import plan_study
from defectbench.base.settings import TrainingSettings
from defectbench.base.steps import ChannelPruning, FilterPruning, PruningCheck
from defectbench.base.studies import LatencySettings, load_study, parse_study
from defectbench.base.yaml_text import parse_yaml
from defectbench.cli import main
from defectbench.data.acquire import acquire

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
SHELVES = (MODELS, ROOT / "datasets")
RECIPE = Recipe(optimizer=Optimizer(lr=0.1))
LIGHT_CLASSIFIERS = tuple(
    name
    for name in method_names(MODELS)
    if (card := load_card(MODELS / name)).task == "classification" and not card.heavy
)


@pytest.fixture(scope="module", autouse=True)
def catalogue():
    """The cards of all methods, read once."""
    cards = load_catalogue(MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "load_catalogue", lambda _: cards)
        yield cards


def plan(*blocks, **study):
    """The plan of a study whose blocks are on the embedded set unless they say otherwise."""
    content = [{"datasets": ["demo-steel"], "methods": ["lidd_net"], **block} for block in blocks]
    return plan_study(
        parse_study("mine.yaml", {"study": "t", "blocks": content, **study}), "mine.yaml", *SHELVES
    )


def refused(match, *blocks, **study):
    with pytest.raises(ConfigError, match=match):
        plan(*blocks, **study)


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Call the verb of training as a user does; nothing of what it is given is read before the settings hold."""
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out"

    def call(*changes, method="tinydefectnet"):
        words = ["train", "--method", f"models/{method}", "--train", "x", "--val", "y"]
        sets = [word for change in changes for word in ("--set", change)]
        status = main([*words, *sets, "--out", str(out)])
        told = capsys.readouterr().err.splitlines()
        assert status == 2
        assert len(told) == 1
        assert not out.exists()
        return told[0]

    return call


# Figures


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("batch=-1", "batch: got -1; Input should be greater than or equal to 1"),
        ("batch=0", "batch: got 0"),
        ("epochs=0", "epochs: got 0"),
        ("epochs=-5", "epochs: got -5"),
        ("epochs=2.5", "epochs: got 2.5"),
        ("epochs=1e400", "epochs: got '1e400'"),
        ("epochs=.nan", "epochs: got nan"),
        ("epochs=yes", "epochs: got True; give a number; YAML reads yes"),
        ("threads=-1", "threads: got -1"),
        ("threads=100000", "threads: got 100000"),
        ("seed=-1", "seed: got -1"),
        ("seed=9223372036854775808", "seed: got 9223372036854775808"),
        ("epohcs=3", "epohcs: got 3; there is no such field; did you mean epochs?"),
        ("size=640", "size: got 640; there is no such field"),
        ("recipe.size=640", "`size` in a recipe has no effect here"),
        ("recipe.epochs=7", "`epochs` in a recipe has no effect here"),
        (
            "recipe.threads=2",
            "`threads` in a recipe has no effect here; it is a field of the settings",
        ),
        ("device=gpu", "device: got 'gpu'; .*did you mean cuda?"),
        ("epochs=010", "epochs: got '010'; write JSON or YAML: 010 is 8 to YAML"),
        ("recipe.optimizer={name: sgd, lr: .1, betas: [.9, .9]}", "recipe.optimizer.betas: got "),
        ("recipe.optimzer.lr=1", "got 'optimzer.lr'; .*did you mean optimizer.lr?"),
        ("recipe.optimizer=null", "recipe.optimizer: got None; the engine needs one"),
        ("recipe.order=class_balanced", "recipe.order: got 'class_balanced'; images of detection"),
        ("recipe.options.fom=edge", "recipe.options.fom: got 'edge'; .*did you mean form?"),
        ("recipe.options.gamma=1e-3", "recipe.options.gamma: got '1e-3'; give a number: 0.001"),
        ("recipe.schedule.warmup_steps=9", ""),
        ("epochs=2020-13-45", "epochs: got '2020-13-45'; write JSON or YAML: month must be"),
    ],
)
def test_a_slip_at_the_verb_of_training_is_one_line(change, told, train):
    line = train(change)
    if told:
        assert re.search(f"^ConfigError: --set: .*{told}", line), line
    else:
        assert line.startswith("PackError"), (
            line
        )  # what is right goes on to the files, which are not there


def test_a_change_that_another_field_outweighs_is_one_line(train):
    line = train("recipe.schedule.warmup_steps=9", "recipe.schedule.warmup_epochs=3")
    assert "recipe.schedule.warmup_epochs: got 3.0; schedule.warmup_steps is 9 and wins" in line
    line = train("recipe.optimizer.lr=1", "recipe.optimizer={name: sgd, lr: 2}")
    assert "recipe.optimizer.lr stands before it and would have no effect" in line


def test_a_program_is_led_to_its_rule(train):
    assert "run the rule in its method.smk" in train("epochs=1", method="yolov8n_ultralytics")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["split", "--dataset", "d", "--protocol", "random", "--seed", "-1"], "'--seed'"),
        (["synthesize", "--out", "o", "--seed", "-1"], "'--seed'"),
        (["pack", "--dataset", "d", "--protocol", "clean", "--size", "0"], "'--size'"),
        (["pack", "--dataset", "d", "--protocol", "clean", "--size", "99999"], "'--size'"),
        (["split", "--dataset", "d", "--protocol", "cleen"], "did you mean clean?"),
        (["split", "--dataset", "d", "--protocol", "../x"], "--protocol: name: got '../x'"),
        (["certify", "--dataset", "d", "--protocol", "paper-few"], "`paper` has none"),
        (
            ["control", "--kind", "orcle", "--dataset", "d", "--protocol", "clean", "--out", "o"],
            "did you mean oracle?",
        ),
        (["report", "d", "--study", "s", "--out", "o", "--models", "modls"], "--models: folder:"),
        (["report-reference", "d", "--out", "o", "--models", "modls"], "--models: folder: got"),
        (["race", "d", "--set", "processes=1"], "processes: got 1"),
        (["race", "d", "--set", "rounds=0"], "rounds: got 0"),
        (["race", "d", "--form", "onnx"], "name one of onnxruntime"),
        (["race", "d", "--form", "onnxruntim"], "did you mean onnxruntime?"),
        (
            ["check-pruning", "--method", "models/yolov4_thin", "--classes", "0", "--out", "o"],
            "'--classes'",
        ),
        (
            ["check-pruning", "--method", "models/lidd_net", "--classes", "3", "--out", "o"],
            "prunable: true",
        ),
        (
            [
                "check-rates",
                "--method",
                "models/yolov8n",
                "--classes",
                "3",
                "--out",
                "o",
                "--set",
                "rates=.5*3",
            ],
            "a method for classification whose card says prunable",
        ),
        (
            ["train", "--method", "models/yolov8", "--train", "x", "--val", "y", "--out", "o"],
            "did you mean yolov8",
        ),
    ],
)
def test_a_slip_at_any_other_verb_is_one_line(words, told, tmp_path, monkeypatch, capsys):
    for name in ("models", "datasets"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line, line
    assert sorted(os.listdir(tmp_path)) == ["datasets", "models"]


@pytest.mark.parametrize("option", ["--train", "--val", "--teacher", "--start", "--plan"])
def test_a_folder_in_the_place_of_a_file_is_called_one(option, tmp_path, capsys):
    words = ["train", "--method", str(MODELS / "tinydefectnet"), "--out", str(tmp_path / "out")]
    files = {"--train": "x", "--val": "y", option: str(tmp_path)}
    assert main([*words, *(word for pair in files.items() for word in pair)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(f"'{option}': file '.*' is a directory", line), line


BOUNDS = {
    "optimizer.lr": (
        [1e-6, 10],
        [0, -1, 10.1, 1e9, float("inf"), float("nan"), True, "fast", None],
    ),
    "optimizer.weight_decay": ([0, 1], [-1e-9, 1.1, float("inf")]),
    "optimizer.momentum": ([0, 0.999], [-0.1, 1, 1.5]),
    "optimizer.betas": ([[0, 0.9], [0.9, 0.999]], [[0.9, 1], [-1, 0.9], [0.9], 0.9]),
    "schedule.warmup_steps": ([0, 500], [-1, 10**10, 1.5, True]),
    "schedule.warmup_epochs": ([0, 0.5], [-1, 1e7, float("inf")]),
    "schedule.warmup_ratio": ([0, 1], [-0.1, 1.1]),
    "schedule.min_lr_ratio": ([0, 1], [-0.1, 1.1]),
    "grad_clip": ([0.1, 1e6, None], [0, -1, 1e10, float("inf")]),
    "ema.decay": ([0, 0.9999], [-0.1, 1]),
    "ema.tau": ([1e-3, 20_000], [0, -1, 1e9, float("inf")]),
    "ema.short_run_share": ([0, 1], [-0.1, 1.1]),
    "augmentation.scale": (
        [[1, 1], [0.1, 2]],
        [[2, 1], [0, 1], [-1, 1], [1], 1, [1, 101], [1, float("inf")]],
    ),
    "augmentation.stretch": ([[0.5, 2]], [[2, 0.5], [0, 0], [1, "wide"]]),
    "augmentation.contrast": ([[0, 2]], [[-1, 1], [2, 1], [1, 101]]),
    "augmentation.saturation": ([[0, 2]], [[-1, 1], [2, 1], [1, 101]]),
    "augmentation.translate": ([0, 1], [-0.1, 1.1]),
    "augmentation.rotate_deg": ([0, 180], [-1, 181]),
    "augmentation.flip_lr": ([0, 1], [-0.1, 1.1, True]),
    "augmentation.flip_ud": ([0, 1], [-0.1, 1.1]),
    "augmentation.native_crop": ([0, 1], [-0.1, 1.1]),
    "augmentation.brightness": ([0, 1], [-0.1, 1.1]),
    "augmentation.probability": ([0, 1], [-0.1, 1.1]),
    "augmentation.noise_std": ([0, 1], [-0.1, 1.1]),
    "augmentation.mosaic": ([0, 1], [-0.1, 1.1]),
    "augmentation.close_epochs": ([0, 15], [-1, 10**7]),
    "augmentation.fill": ([0, 1], [-0.1, 1.1]),
    "augmentation.min_side_px": ([0, 2.5], [-1, 1e5, float("nan")]),
    "augmentation.min_visible": ([0, 1], [-0.1, 1.1]),
    "validate_every": ([1, 1000], [0, -1, 1.5, 10**7]),
    "epochs": ([1, 300], [0, -1, 10**7, True]),
    "batch": ([1, 64], [0, -1, 10**7]),
    "size": ([32, 640], [0, 31, -64, 10**6]),
    "sparsity": (
        [{"strength": "auto"}, {"strength": 0.1}, None],
        [{"strength": 0}, {"strength": -1}, {"strength": 1e9}, {"strenght": 1}],
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_every_figure_of_a_recipe_has_its_bounds(name):
    fit, wrong = BOUNDS[name]
    for value in fit:
        assert override_recipe(RECIPE, {name: value})
    for value in wrong:
        with pytest.raises(ConfigError, match=f"recipe.{name.partition('.')[0]}"):
            override_recipe(RECIPE, {name: value})


@pytest.mark.parametrize("name", method_names(MODELS))
def test_the_bounds_leave_ten_times_a_published_figure(name):
    recipe = load_recipe(MODELS / name)
    figures = ["ema.tau", "schedule.warmup_steps", "validate_every", "epochs", "batch"]
    if recipe.optimizer is not None:
        figures += ["optimizer.lr", "optimizer.weight_decay"]
    figures += ["grad_clip"] if recipe.grad_clip else []
    figures += [f"augmentation.{span}" for span in ("scale", "stretch", "contrast", "saturation")]
    for field in figures:
        value = recipe
        for part in field.split("."):
            value = getattr(value, part)
        larger = [10 * end for end in value] if isinstance(value, tuple) else 10 * value
        assert override_recipe(recipe, {field: larger})


def test_no_figure_of_a_recipe_is_forgotten_above():
    inner = {
        name
        for name in recipe_fields()
        if not any(f.startswith(f"{name}.") for f in recipe_fields())
    }
    words = {
        "optimizer.name",
        "optimizer.decay_norm_and_bias",
        "schedule.kind",
        "schedule.per",
        "precision",
        "order",
        "keep",
    }
    words |= {
        "options",
        "augmentation.flips",
        "augmentation.mosaic_form",
        "sparsity.strength",
        "sparsity.mode",
    }
    assert inner - words <= set(BOUNDS)


@pytest.mark.parametrize(
    ("block", "match"),
    [
        ({"seeds": [-1]}, "blocks.0.seeds.0: got -1"),
        ({"seeds": [2**32]}, "blocks.0.seeds.0: got 4294967296"),
        ({"seeds": [True]}, "blocks.0.seeds: got .True.; give a number"),
        ({"seeds": "0,1,2"}, r"blocks.0.seeds: got '0,1,2'; write a list: \[0,1,2\]"),
        ({"seeds": [1, 1]}, "blocks.0.seeds: got .*1 stands twice"),
        ({"methods": "yolov8n"}, r"blocks.0.methods: got 'yolov8n'; write a list: \[yolov8n\]"),
        ({"budget": {"epochs": 0}}, "blocks.0.budget.epochs: got 0"),
        ({"budget": {"batch": -1}}, "blocks.0.budget.batch: got -1"),
        ({"budget": {"threads": 0}}, "blocks.0.budget.threads: got 0"),
        ({"budget": {"size": 0}}, "blocks.0.budget.size: got 0"),
        ({"budget": {"size": 100}}, "blocks.0.budget.size: got 100"),
        ({"budget": {"device": "gpu"}}, "blocks.0.budget.device: got 'gpu'; .*did you mean cuda?"),
        ({"budget": None}, "blocks.0.budget: got None; it is empty: fill it in or leave it out"),
        ({"budgets": None}, "blocks.0.budgets: got None; it is empty: fill it in or leave it out"),
        ({"controls": ["orcle"]}, "blocks.0.controls.0: got 'orcle'; .*did you mean oracle?"),
        ({"protocols": ["cleen"]}, "blocks.0.protocols.0: got 'cleen'; .*did you mean clean?"),
        ({"protcols": ["clean"]}, "blocks.0.protcols: got .*did you mean protocols?"),
        ({"budget": {"epoch": 3}}, "blocks.0.budget.epoch: got 3; .*did you mean epochs?"),
        (
            {"compress": [{"method": "yolov8n", "how": "slimming", "taget_mib": 3}]},
            "blocks.0.compress.0.slimming.taget_mib: got 3; .*did you mean target_mib?",
        ),
        (
            {"compress": [{"method": "yolov8n", "how": "slimming", "batches": 0}]},
            "blocks.0.compress.0.slimming.batches: got 0",
        ),
        ({"compress": [{"method": "yolov8n"}]}, "blocks.0.compress.0: got .*; say which with how"),
    ],
)
def test_a_slip_in_a_block_is_named(block, match):
    refused(f"mine.yaml: {match}", block)


@pytest.mark.parametrize(
    ("study", "match"),
    [
        ({"split_seed": -1}, "split_seed: got -1"),
        ({"split_sed": 1}, "split_sed: got 1; .*did you mean split_seed?"),
        ({"latency": {"processes": 1}}, "latency.processes: got 1"),
        ({"latency": {"rounds": 0}}, "latency.rounds: got 0"),
        ({"latency": {"warmups": 1}}, "latency.warmups: got 1; .*did you mean warmup?"),
        ({"mirrors": {"demo-steel": " "}}, "mirrors: .*has an empty one"),
        (
            {"mirrors": {"demo-stel": "/x"}},
            "mirrors.demo-stel: got '/x'; no block .*did you mean demo-steel?",
        ),
        ({"study": "x" * 101}, "study: .*use at most 100 bytes"),
        ({"study": "a; rm -rf x"}, "study: got 'a; rm -rf x'; .*use letters"),
        ({"study": None}, "study: got None"),
        ({"mirrors": None}, "mirrors: got None; it is empty: fill it in or leave it out"),
        ({"latency": None}, "latency: got None; it is empty: fill it in or leave it out"),
    ],
)
def test_a_slip_beside_the_blocks_is_named(study, match):
    refused(f"mine.yaml: {match}", {}, **study)


# What is taken and has no effect


@pytest.mark.parametrize(
    ("block", "match"),
    [
        ({"methods": []}, "blocks.0: got .*the block makes no cell"),
        ({"protocols": []}, "blocks.0.protocols: got .*; name at least one"),
        (
            {"compress": [{"method": "yolov8n", "how": "slimming", "target_mib": 1e-7}]},
            r"compress.0.name: got 'yolov8n.slim1e-07mib'; no folder can be called so",
        ),
        (
            {"compress": [{"method": "yolov8n", "how": "slimming", "name": "a" * 99}]},
            "compress.0.name: got .*; no folder can be called so",
        ),
        (
            {"methods": [], "controls": ["oracle"], "seeds": [1]},
            "`seeds` has no effect: the block trains no method",
        ),
        (
            {"methods": [], "controls": ["oracle"], "budget": {"epochs": 3}},
            "`budget` has no effect",
        ),
        (
            {"budget": {"recipe": {"epochs": 2, "batch": 8, "size": 64}}},
            "`epochs` in a recipe has no effect here",
        ),
        (
            {"budget": {"recipe": {"device": "cpu"}}},
            "`device` in a recipe has no effect here; it is a field of the budget",
        ),
        (
            {"budget": {"recipe": {"seed": 3}}},
            "`seed` in a recipe has no effect here; write `seeds` of the block",
        ),
        (
            {"budgets": {"yolov8n": {"epochs": 3}}},
            "blocks.0.budgets: got 'yolov8n'; the block does not make it",
        ),
        (
            {
                "methods": ["lidd_net", "yolov8n"],
                "budget": {"epochs": 5, "batch": 8},
                "budgets": {"lidd_net": {"epochs": 3}, "yolov8n": {"epochs": 4}},
            },
            "blocks.0: budget.epochs: got 5; `budgets` say it for every method of the block",
        ),
        (
            {
                "datasets": ["demo-steel-cls"],
                "methods": "all",
                "budget": {"epochs": 5, "size": 64},
                "budgets": {key: {"epochs": 3} for key in LIGHT_CLASSIFIERS},
            },
            "blocks.0: budget.epochs: got 5; `budgets` say it for every method of the block",
        ),
        (
            {"budget": {"recipe": {"optimizer": {"name": "sgd", "lr": 0.1, "betas": [0.9, 0.99]}}}},
            "recipe.optimizer.betas: got .*; it is of adamw and adam, and the optimizer is sgd",
        ),
        (
            {
                "methods": ["yolov8n"],
                "budget": {"epochs": 4, "recipe": {"augmentation.close_epochs": 4}},
            },
            "recipe.augmentation.close_epochs: got 4; all of the 4 epochs are among the last 4 without mosaic",
        ),
        (
            {
                "methods": ["yolov8n"],
                "budget": {"epochs": 9, "recipe": {"augmentation.mosaic": 0.5}},
            },
            "recipe.augmentation.mosaic: got 0.5; all of the 9 epochs are among the last 10",
        ),
        (
            {"budget": {"recipe": {"sparsity": {"strength": 1.0}, "keep": "best"}}},
            "recipe.keep: got 'best'; a training with sparsity keeps its last epoch",
        ),
        ({"methods": ["lid_net"]}, "blocks.0.methods: got 'lid_net'; .*did you mean lidd_net?"),
        ({"datasets": ["demo-stel"]}, "datasets: got 'demo-stel'; .*did you mean demo-steel?"),
        (
            {"datasets": ["x-sdd"], "methods": ["vgg16"], "train_list": "imbalnced"},
            "train_list: .*did you mean imbal",
        ),
        ({"train_list": "few"}, "blocks.0.train_list: got 'few'; the card of demo-steel has none"),
        (
            {"budget": {"recipe": {"optimizer": None}}},
            "recipe.optimizer: got None; the engine needs one",
        ),
        (
            {"budget": {"recipe": {"options.kd": "ekl"}}},
            "recipe.options.kd: got 'ekl'; name one of latm",
        ),
        (
            {"budget": {"recipe": {"options": {"latn": "ath"}}}},
            "recipe.options.latn: .*did you mean latm?",
        ),
        (
            {"budget": {"recipe": {"options.shuffle": "four"}}},
            "options.shuffle: got 'four'; give a whole number",
        ),
        (
            {"methods": ["picodet_s"], "budget": {"recipe": {"options.width": 2}}},
            "picodet_s has no options",
        ),
        (
            {"budget": {"recipe": {"optimizer.momentum": 0.5}}},
            "recipe.optimizer.momentum: got 0.5; it is of sgd",
        ),
        (
            {"budget": {"recipe": {"schedule.warmup_epochs": 3}}},
            "schedule.warmup_steps is 500 and wins",
        ),
        (
            {"budget": {"recipe": {"augmentation.mosaic_form": "windows"}}},
            "augmentation.mosaic is 0",
        ),
        ({"budget": {"recipe": {"order": "class_balanced"}}}, "recipe.order: got 'class_balanced'"),
        (
            {"budget": {"recipe": {"augmentation": {"probability": 0.0, "brightness": 0.5}}}},
            "recipe.augmentation.brightness: got 0.5; augmentation.probability is 0",
        ),
        (
            {"budget": {"recipe": {"augmentation": {"probability": 0.5}}}},
            "recipe.augmentation.probability: got 0.5; no colour is changed",
        ),
        (
            {"budget": {"recipe": {"augmentation": {"flips": "one"}}}},
            "recipe.augmentation.flips: got 'one'; augmentation.flip_lr and augmentation.flip_ud are 0",
        ),
        (
            {"budget": {"recipe": {"augmentation.close_epochs": 5}}},
            "recipe.augmentation.close_epochs: got 5; augmentation.mosaic is 0",
        ),
        (
            {"budget": {"recipe": {"schedule": {"warmup_ratio": 0.5}}}},
            "recipe.schedule.warmup_ratio: got 0.5; the schedule has no warm-up",
        ),
        (
            {
                "budget": {
                    "recipe": {
                        "optimizer": {"name": "sgd", "lr": 0.1, "decay_norm_and_bias": False}
                    }
                }
            },
            "recipe.optimizer.decay_norm_and_bias: got False; optimizer.weight_decay is 0",
        ),
        ({"methods": ["all"]}, "got 'all'; all of them are written without brackets"),
        ({"methods": ["LIDD-Net"]}, "got 'LIDD-Net'; .*did you mean lidd_net?"),
        (
            {"datasets": ["../datasets/demo-steel"]},
            "datasets: got '../datasets/demo-steel'; give the name alone: demo-steel",
        ),
        (
            {
                "methods": ["yolov8n_ultralytics"],
                "budget": {"recipe": {"augmentation.mosaic": 0.0}},
            },
            "got 'augmentation.mosaic'; yolov8n_ultralytics does not read it; it reads options",
        ),
        (
            {"methods": ["foveabox_r50"], "budget": {"recipe": {"augmentation.scale": [0.5, 1]}}},
            "got 'augmentation.scale'; foveabox_r50 does not read it",
        ),
    ],
)
def test_a_field_or_a_name_that_cannot_matter_is_refused(block, match):
    refused(match, block)


@pytest.mark.parametrize(
    "block",
    [
        {"methods": ["yolov8n"], "budget": {"epochs": 4}},  # its own last 10 epochs are without
        {"budget": {"epochs": 5}, "budgets": {"lidd_net": {"batch": 8}}},
        {  # one method of all is left that the budget is of
            "datasets": ["demo-steel-cls"],
            "methods": "all",
            "budget": {"epochs": 5, "size": 64},
            "budgets": {key: {"epochs": 3} for key in LIGHT_CLASSIFIERS[1:]},
        },
        {
            "methods": ["yolov8n"],
            "budget": {"epochs": 9, "recipe": {"augmentation.close_epochs": 3}},
        },
        {"budget": {"recipe": {"optimizer": {"name": "adamw", "lr": 0.1, "betas": [0.9, 0.99]}}}},
        {"budget": {"recipe": {"sparsity": {"strength": 1.0}, "keep": "last"}}},
        {"budget": {"recipe": {"augmentation": {"probability": 0.5, "contrast": [0.5, 1.5]}}}},
        {"budget": {"recipe": {"augmentation": {"flips": "one", "flip_ud": 0.5}}}},
        {"budget": {"recipe": {"schedule": {"warmup_ratio": 0.5, "warmup_epochs": 1}}}},
    ],
)
def test_a_field_that_matters_is_planned(block):
    assert plan(block).cells


def test_a_mirror_of_a_set_that_is_made_here_is_refused(tmp_path, capsys):
    refused(
        "mirrors.demo-steel: got '/x'; a synthetic set is made here",
        {},
        mirrors={"demo-steel": "/x"},
    )
    words = ["acquire", "--card", str(ROOT / "datasets" / "demo-steel.yaml")]
    assert main([*words, "--out", str(tmp_path / "out"), "--mirror", "/x"]) == 2
    assert "demo-steel: mirror: got '/x'; a synthetic set is made here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    card = load_dataset_card(ROOT / "datasets" / "demo-steel.yaml")
    with pytest.raises(ConfigError, match=r"demo-steel: mirror: got .*; a synthetic set is made"):
        acquire(card, tmp_path / "out", mirror=tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_empty_mirror_is_refused(tmp_path, capsys):
    """As a shell gives it whose variable is not set; the set would be fetched from its addresses."""
    words = ["acquire", "--card", str(ROOT / "datasets" / "neu-det.yaml"), "--mirror", ""]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "neu-det: mirror: got ''; give a path or an address" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", ["file", "ftp", "s3", "gs", "hf+ssh"])
def test_an_address_that_is_not_fetched_is_named(scheme, tmp_path):
    told = f"got '{re.escape(scheme)}://'; give a path of this machine, or an address that begins"
    card = load_dataset_card(ROOT / "datasets" / "neu-det.yaml")
    with pytest.raises(ConfigError, match=told):
        acquire(card, tmp_path / "out", mirror=f"{scheme}://host/set.zip")
    with pytest.raises(ConfigError, match=told):
        mirror_state(card, f"{scheme}://host/set.zip", tmp_path / "out")
    assert is_address("HTTPS://host/set.zip")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": ["pit\nscratch"]}, r"classes: got .*holds a line break or a sign that cannot"),
        ({"expected": {"images": 5}}, "expected.boxes_labelled: got 'nothing'; write it"),
        ({"drop": ["pit"]}, r"file: got \['aliases', .*'title'\]; pit is dropped, and a class"),
    ],
)
def test_a_slip_in_a_card_is_named(change, told, tmp_path):
    content = yaml.safe_load((ROOT / "datasets" / "neu-det.yaml").read_text(encoding="utf-8"))
    content["classes"] = ["pit", *content["classes"]]
    (tmp_path / "neu-det.yaml").write_text(yaml.safe_dump({**content, **change}), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"neu-det.yaml: {told}"):
        load_dataset_card(tmp_path / "neu-det.yaml")


@pytest.mark.parametrize("content", ["", "- a\n", "text"])
def test_a_card_that_is_no_mapping_is_named(content, tmp_path):
    (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a.yaml: content: .*mapping of fields: name, title"):
        load_dataset_card(tmp_path / "a.yaml")


def test_a_latency_protocol_of_a_study_that_times_nothing_is_refused():
    controls = {"methods": [], "controls": ["oracle"]}
    refused("latency: got {'rounds': 3}; it has no effect", controls, latency={"rounds": 3})
    assert plan(controls, {}, latency={"rounds": 3})


def test_a_block_that_later_ones_make_anew_is_refused():
    refused(
        "mine.yaml: blocks.0: .*later blocks make all of its cells", {}, {"budget": {"epochs": 3}}
    )
    assert plan({"methods": "all"}, {"budget": {"epochs": 3}})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lidd_net", {"shuffle": 3}),
        ("lidd_net", {"shuffle": -1}),
        ("lidd_net", {"shuffle": 10**9}),
        ("lidd_net", {"dilations": [0]}),
        ("lidd_net", {"latm": "athh"}),
        ("yolov8n", {"box_loss": "iou"}),
        ("yolov8n", {"least_side": float("inf")}),
        ("sd_gasnet", {"kd": ""}),
        ("vgg16", {"plan": "plan.json"}),
        ("vgg16", {"width": 0}),
        ("yolov4_thin", {"width": 1000}),
    ],
)
def test_a_value_that_a_network_cannot_be_built_of_is_named(name, options):
    method = load_method(name, MODELS)
    with pytest.raises(DefectBenchError):
        build_network(method, 3, options)


def test_options_are_read_from_the_source_of_a_method():
    assert options_of(MODELS / "yolov4")["kd"] == "str"
    assert options_of(MODELS / "yolox_nano") == {}
    assert options_of(MODELS / "foveabox_r50") is None


# Studies beside one another


def cells_of(study, plan_of):
    return {f"results/{study.study}/runs/{folder}": cell for folder, cell in plan_of.cells.items()}


def test_no_two_documented_studies_share_the_folder_of_a_cell():
    made = {}
    for path in sorted((ROOT / "config").glob("*.yaml")):
        study = load_study(path)
        for folder, cell in cells_of(study, plan_study(study, path, *SHELVES)).items():
            assert made.setdefault(folder, (path, cell)) == (path, cell), folder
    assert len(made) > 100


def test_a_linked_study_file_leads_to_the_same_cells(tmp_path):
    (tmp_path / "link.yaml").symlink_to(ROOT / "config" / "neu-det.yaml")
    studies = [load_study(tmp_path / "link.yaml"), load_study(ROOT / "config" / "neu-det.yaml")]
    one, other = (cells_of(study, plan_study(study, "s", *SHELVES)) for study in studies)
    assert one == other


@pytest.mark.parametrize("more", [{}, {"split_seed": 1}])
def test_two_studies_with_other_budgets_or_split_seeds_share_no_folder(more):
    block = {"datasets": ["demo-steel"], "methods": ["lidd_net"]}
    first = parse_study("a", {"study": "a", "blocks": [{**block, "budget": {"epochs": 3}}]})
    second = parse_study(
        "b", {"study": "b", "blocks": [{**block, "budget": {"epochs": 1}}], **more}
    )
    folders = [set(cells_of(study, plan_study(study, "s", *SHELVES))) for study in (first, second)]
    assert not folders[0] & folders[1]


# Any tree at all

NAMES = st.sampled_from(
    [
        *(
            "study",
            "blocks",
            "datasets",
            "methods",
            "protocols",
            "seeds",
            "controls",
            "budget",
            "budgets",
            "compress",
        ),
        *(
            "mirrors",
            "latency",
            "split_seed",
            "recipe",
            "epochs",
            "batch",
            "size",
            "threads",
            "device",
            "optimizer",
        ),
        *(
            "optimizer.lr",
            "options",
            "augmentation.scale",
            "sparsity",
            "how",
            "method",
            "name",
            "rates",
            "train_list",
        ),
        *(
            "demo-steel",
            "lidd_net",
            "vgg16",
            "processes",
            "kd",
            "sparse",
            "seed",
            "role",
            "heavy",
            "",
            ".",
            "a.b",
        ),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | NAMES
    | st.sampled_from(
        ["all", "slimming", "cfp", "auto", "cpu", ".5*12", "oracle", "clean", 10**400, -1, 0, 1, 64]
    )
    | st.dates()
    | st.binary(max_size=3)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = [TrainingSettings, LatencySettings, ChannelPruning, FilterPruning, PruningCheck]
BLOCKS = st.fixed_dictionaries(
    {"datasets": st.just(["demo-steel"])},
    optional=dict.fromkeys(
        ("methods", "seeds", "controls", "budget", "budgets", "compress", "protocols"), TREES
    ),
)
FEW = settings(max_examples=100, deadline=None)


def holds(call):
    """Make a call; a named error in one line is as good as what it gives, anything else is not."""
    told = ""
    try:
        call()
    except DefectBenchError as error:
        told = str(error)
    assert "\n" not in told


@FEW
@given(TREES)
def test_any_tree_is_a_study_or_a_named_error(tree):
    holds(lambda: parse_study("any.yaml", tree))
    holds(lambda: parse_study("any.yaml", {"study": "t", "blocks": tree}))


@FEW
@given(BLOCKS, st.dictionaries(NAMES, TREES, max_size=2))
def test_any_block_is_planned_or_a_named_error(block, more):
    holds(lambda: plan(block, **more))


@FEW
@given(st.dictionaries(st.sampled_from(recipe_fields()) | NAMES, TREES, max_size=3))
def test_any_change_of_a_recipe_holds_or_is_a_named_error(changes):
    holds(lambda: override_recipe(load_recipe(MODELS / "lidd_net"), changes))
    holds(lambda: plan({"budget": {"recipe": changes}}))


@FEW
@given(st.sampled_from(KINDS), NAMES, st.text(max_size=12) | TREES.map(str))
def test_any_change_of_a_command_line_holds_or_is_a_named_error(kind, name, value):
    holds(lambda: parse_settings(kind, None, [f"{name}={value}"]))
    holds(lambda: parse_settings(kind, value))
    holds(lambda: parse_settings(kind, "{" + value))


@FEW
@given(st.text(max_size=30) | st.text("{}[]:,-&*!?|><%@`'\"# \n\tab01.e_", max_size=30))
def test_any_text_is_yaml_or_a_named_error(text):
    holds(lambda: parse_yaml(text, "any.yaml"))


def test_what_is_planned_can_be_written_as_yaml_and_read_again():
    study = {"study": "t", "blocks": [{"datasets": ["demo-steel"], "methods": ["lidd_net"]}]}
    assert parse_yaml(yaml.safe_dump(study), "t") == study
