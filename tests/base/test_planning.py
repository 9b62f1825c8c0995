"""The plan of a study: what it makes of cells, and what it refuses before anything is made."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from defectbench.base import planning, steps
from defectbench.base.catalogue import load_catalogue
from defectbench.base.errors import ConfigError
from defectbench.base.planning import NOBODY, pattern, plan_study
from defectbench.base.studies import load_study, parse_study

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "models", ROOT / "datasets")


def plan(*blocks, **study):
    content = {"study": "t", "blocks": [{"datasets": ["demo-steel"], **b} for b in blocks], **study}
    return plan_study(parse_study("t", content), "t", *FOLDERS)


@pytest.fixture(scope="module")
def demo():
    return plan_study(load_study(ROOT / "config" / "demo.yaml"), "demo", *FOLDERS)


def test_every_shipped_study_can_be_planned():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        assert plan_study(load_study(path), path, *FOLDERS).cells, path


def test_patterns_match_the_names_and_nothing_else():
    names = pattern(["vgg16+cfpv39", "resnet50"])
    assert re.fullmatch(names, "vgg16+cfpv39")
    assert not re.fullmatch(names, "vgg16ccfpv39")
    assert pattern([]) == NOBODY


def test_records_of_a_compressed_cell_hold_each_of_its_stages(demo):
    records = demo.records()
    assert len(set(records)) == len(records)
    (cell,) = demo.compressed("slimming")
    sparse = f"demo-steel/clean/yolov4_thin/seed0/{cell.compression.sparse_folder}"
    for path in (
        f"{cell.folder}/latency/onnxruntime.json",
        f"{cell.folder}/pruned/prune.json",
        f"{sparse}/complexity.json",
        "demo-steel-cls/clean/vgg16/seed0/teacher_c/accuracy.json",
        "demo-steel/clean/control_oracle/seed0/accuracy.json",
    ):
        assert path in records, path
    assert not [r for r in records if "control_" in r and not r.endswith("accuracy.json")]
    channels = f"{cell.folder}/pruned/channels/accuracy.json"
    assert channels not in records  # no unit goes, so that the cut is of channels alone


def test_a_cut_of_units_has_the_cut_of_channels_as_a_stage():
    cut = {"method": "yolov4_thin", "how": "slimming", "target_mib": 2.2, "drop_units": 2}
    made = plan({"methods": ["yolov4_thin"], "seeds": [0], "compress": [cut]})
    (cell,) = made.compressed("slimming")
    assert f"{cell.folder}/pruned/channels/accuracy.json" in made.records()


def test_a_method_that_predicts_is_not_raced():
    made = plan({"methods": ["lidd_net", "yolov8n"]})
    made.catalogue.cards["lidd_net"] = made.catalogue.cards["lidd_net"].model_copy(
        update={"artifact": "predictions"}
    )
    assert [cell.method for cell in made.raced] == ["yolov8n"]
    assert "demo-steel/clean/lidd_net/seed0/latency/own.json" in made.records()


def test_controls_are_those_of_the_task(demo):
    assert demo.controls_of("detection") == ["memoriser", "class_prior", "oracle"]
    assert demo.controls_of("classification") == ["memoriser", "class_prior"]
    assert plan({"methods": ["lidd_net"]}).controls_of("detection") == []


def test_the_label_jitter_has_three_rows():
    made = plan({"methods": ["lidd_net"], "controls": ["label_jitter", "oracle"]})
    rows = ["label_jitter", "label_jitter_ranked", "label_jitter_half"]
    assert made.controls_of("detection") == ["oracle", *rows]
    assert {f"control_{row}" for row in rows} < {cell.method for cell in made.cells.values()}


def test_a_cell_or_stage_that_the_study_lacks_is_named(demo):
    with pytest.raises(ConfigError, match="demo-steel/clean/nobody/seed0"):
        demo.cell("demo-steel", "clean", "nobody", 0)
    base = demo.cell("demo-steel", "clean", "yolov4_thin", 0)
    with pytest.raises(ConfigError, match="yolov4_thin has sparse-"):
        demo.sparse_cell(base, "sparse-00000000")
    (slimmed,) = demo.compressed("slimming")
    assert demo.sparse_cell(base, slimmed.compression.sparse_folder) == slimmed


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            {"budget": {"recipe": {"optimizer.rate": 1}}},
            "t: demo-steel/clean/lidd_net/seed0: recipe: got 'optimizer.rate'",
        ),
        ({"budget": {"recipe": {"optimizer.lr": -1}}}, "recipe.optimizer.lr: got -1"),
        (
            {"budgets": {"yolov8n": {"epochs": 3}}},
            "blocks.0.budgets: got 'yolov8n'; the block does",
        ),
    ],
)
def test_a_change_without_effect_is_named_before_anything_is_made(block, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        plan({"methods": ["lidd_net"], **block})


def test_a_wrong_change_of_a_stage_is_named():
    one = {"method": "yolov4", "how": "slimming", "recovery": {"recipe": {"sparsty": None}}}
    with pytest.raises(ConfigError, match=r"slim4.19mib/seed0: recovery: recipe: got 'sparsty'"):
        plan({"methods": ["yolov4"], "compress": [one]})


def test_a_mirror_of_no_dataset_of_the_study_is_named():
    with pytest.raises(ConfigError, match=r"mirrors.neu-det: got '/x'; no block has that dataset"):
        plan({"methods": ["lidd_net"]}, mirrors={"neu-det": "/x"})


def test_a_pack_of_tiles_has_a_name_of_its_own_and_the_side_of_a_tile():
    cut = {"side": 128, "overlap": 32}
    made = plan({"methods": ["lidd_net"], "budget": {"tiles": cut}})
    (cell,) = made.trained
    recipe, key = made.recipe(cell), "s128-o32-v0.5-f1.0"
    assert steps.pack_file(cell, recipe, "val") == f"val@128.{key}.safetensors"
    assert made.tiling(key).model_dump(exclude_defaults=True) == cut
    with pytest.raises(ConfigError, match=f"tiles: got 's1'; name one of {key}"):
        made.tiling("s1")
    smaller = cell.model_copy(update={"budget": cell.budget.model_copy(update={"size": 64})})
    assert steps.pack_file(smaller, recipe, "val") == f"val@64.{key}.safetensors"
    whole = cell.model_copy(update={"budget": cell.budget.model_copy(update={"tiles": None})})
    assert steps.pack_file(whole, recipe, "val") == f"val@{recipe.size}.safetensors"


def test_a_method_that_predicts_by_itself_takes_no_tiles(monkeypatch):
    catalogue = planning.load_catalogue(FOLDERS[0])
    own = catalogue.cards["lidd_net"].model_copy(update={"artifact": "predictions"})
    monkeypatch.setitem(catalogue.cards, "lidd_net", own)
    monkeypatch.setattr(planning, "load_catalogue", lambda _: catalogue)
    with pytest.raises(ConfigError, match=r"budget.tiles: got .*; lidd_net predicts by itself"):
        plan({"methods": ["lidd_net"], "budget": {"tiles": {"side": 128, "overlap": 32}}})


def test_a_plan_holds_what_its_rules_ask(demo):
    cell = demo.cell("demo-steel-cls", "clean", "vgg16+randompublished", 0)
    assert demo.base_of(cell).method == "vgg16"
    assert steps.size_px(cell, demo.recipe(cell)) == 48
    assert demo.changed_recipe(cell).options == {"width": 0.125}
    assert demo.places() == [("demo-steel", "clean"), ("demo-steel-cls", "clean")]
    assert "vgg16" in demo.base_methods()


FORMS = {"engines": ["onnxruntime", "openvino", "ncnn"], "precisions": ["fp32", "fp16", "int8"]}


def test_forms_of_a_study_are_scored_and_timed_beside_the_artifact():
    made = plan({"methods": ["lidd_net"]}, **FORMS)
    names = ["onnxruntime-int8", "openvino", "openvino-int8", "ncnn", "ncnn-fp16"]
    assert [form.name for form in made.forms] == names
    cell = "demo-steel/clean/lidd_net/seed0"
    for name in names:
        assert f"{cell}/engines/{name}/accuracy.json" in made.records()
        assert f"{cell}/latency/{name}.json" in made.records()
    assert f"{cell}/engines/int8/conversion.json" in made.records()
    assert f"{cell}/engines/ncnn-fp16/conversion.json" in made.records()
    assert plan({"methods": ["lidd_net"]}).forms == []


def test_further_numbers_of_threads_have_records_of_their_own():
    made = plan(
        {"methods": ["lidd_net"]}, engines=["onnxruntime", "ncnn"], latency={"threads": [2, 1]}
    )
    cell = "demo-steel/clean/lidd_net/seed0"
    timed = [path for path in made.records() if "/latency/" in path]
    names = ("onnxruntime", "ncnn")
    wanted = {
        f"{cell}/latency/{folder}{name}.json" for folder in ("", "threads1/") for name in names
    }
    assert set(timed) == wanted
    assert made.study.latency_records == [
        *(f"latency/{name}.json" for name in names),
        *(f"latency/threads1/{name}.json" for name in names),
    ]
    assert [protocol.threads for protocol in made.study.latency.by_threads] == [2, 1]


def test_the_study_of_engines_scores_and_races_every_light_method_in_all_forms():
    study = load_study(ROOT / "config" / "neu-det-engines.yaml")
    made = plan_study(study, "neu-det-engines", *FOLDERS)
    light = {
        name
        for name, card in made.catalogue.cards.items()
        if card.task == "detection" and not card.heavy
    }
    assert {cell.method for cell in made.raced} == light
    names = ["onnxruntime-int8", "openvino", "openvino-int8", "ncnn", "ncnn-fp16"]
    assert [form.name for form in made.forms] == names
    records = made.records()
    for cell in made.raced:
        for name in ("onnxruntime", *names):
            assert f"{cell.folder}/latency/{name}.json" in records
        assert all(f"{cell.folder}/engines/{name}/accuracy.json" in records for name in names)


def test_engines_of_a_study_change_nothing_of_its_cells():
    study = load_study(ROOT / "config" / "neu-det.yaml")
    plain = plan_study(study, "neu-det", *FOLDERS)
    with_engines = plan_study(study.model_copy(update=FORMS), "neu-det", *FOLDERS)
    assert with_engines.cells == plain.cells
    assert set(plain.records()) < set(with_engines.records())


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        ({"threads": []}, "latency.threads"),
        ({"threads": 0}, "latency.threads: got 0"),
        ({"threads": [1, 1]}, "threads: 1 stands twice"),
        ({"batches": [4, 16]}, "batches: the race is of one image a call: name 1 first"),
        ({"batches": [1, 4, 4]}, "batches: 4 stands twice"),
        ({"batches": [1, True]}, "yes, on and true"),
        ({"starts": -1}, "latency.starts: got -1"),
        ({"energy_s": -1}, "latency.energy_s: got -1"),
    ],
)
def test_odd_second_figures_are_named(latency, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        plan({"methods": ["lidd_net"]}, latency=latency)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engines": ["openvino"]}, "onnxruntime in fp32 is what the others are held against"),
        ({"precisions": ["int8"]}, "onnxruntime in fp32 is what the others are held against"),
        (
            {"engines": ["onnxruntime", "openvino"], "precisions": ["fp32", "fp16"]},
            "fp16 has no effect",
        ),
        ({"engines": ["onnxruntime", "onnxruntime"]}, "onnxruntime stands twice"),
        ({"engines": ["onnxruntime", "opnvino"]}, "openvino"),
        ({"engines": []}, "engines"),
    ],
)
def test_engines_and_precisions_without_effect_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        plan({"methods": ["lidd_net"]}, **change)


def test_a_dataset_that_no_program_can_get_is_left_out_with_what_to_do(tmp_path):
    study = parse_study(
        "t",
        {
            "study": "t",
            "blocks": [
                {"datasets": ["hripcb", "demo-steel"], "methods": ["yolov8n"]},
                {"datasets": ["tire"], "methods": ["yolov8n"]},
            ],
        },
    )
    made = plan_study(study, "t", *FOLDERS, results=tmp_path)
    assert {cell.dataset for cell in made.cells.values()} == {"demo-steel"}
    assert list(made.left_out) == ["hripcb", "tire"]
    assert made.left_out["hripcb"].startswith(
        "hripcb is left out: no program can get it, and `mirrors` name no copy; get it at"
    )
    assert "https://www.kaggle.com/datasets/akhatova/pcb-defects" in made.left_out["hripcb"]
    assert made.study == study  # what the study says is noted unchanged
    (tmp_path / "data" / "hripcb").mkdir(parents=True)
    (tmp_path / "data" / "hripcb" / "source.json").write_text("{}")
    there = plan_study(study, "t", *FOLDERS, results=tmp_path)
    assert list(there.left_out) == ["tire"]
    named = study.model_copy(update={"mirrors": {"tire": "/media/tyres"}})
    assert not plan_study(named, "t", *FOLDERS, results=tmp_path).left_out


def test_a_study_of_nothing_that_can_be_had_is_refused(tmp_path):
    study = parse_study("t", {"study": "t", "blocks": [{"datasets": ["tire"]}]})
    with pytest.raises(ConfigError, match="tire is left out"):
        plan_study(study, "t", *FOLDERS, results=tmp_path)


def test_the_publishers_parts_need_a_publisher_who_lists_them():
    with pytest.raises(ConfigError, match="the publisher of demo-steel lists no parts"):
        plan({"methods": ["yolov8n"], "protocols": ["clean", "official"]})


def test_another_name_of_a_dataset_leads_to_its_card():
    with pytest.raises(ConfigError, match="its card is called hripcb here"):
        plan({"methods": ["yolov8n"], "datasets": ["pku-market-pcb"]})


def test_rows_of_other_starts_are_cells_of_their_own():
    made = plan(
        {"methods": ["nanodet_m"], "budget": {"epochs": 2}},
        {"methods": ["nanodet_m"], "epochs": [1, 2], "budget": {"start": "coco"}},
        weights_mirror="somewhere",
    )
    names = ["nanodet_m", "nanodet_m+from_coco_1epochs", "nanodet_m+from_coco_2epochs"]
    assert [cell.method for cell in made.raced] == names
    assert [cell.method for cell in made.variants] == names[1:]
    assert [made.base_of(cell) for cell in made.variants] == made.variants
    assert made.base_methods() == ["nanodet_m"]
    told = [steps.training(cell, made.recipe(cell)).epochs for cell in made.trained]
    assert told == [2, 1, 2]
    assert f"demo-steel/clean/{names[1]}/seed0/latency/onnxruntime.json" in made.records()


def test_a_program_starts_from_weights_that_it_alone_opens():
    made = plan({"methods": ["yolov8n_ultralytics"], "budget": {"start": "coco", "epochs": 1}})
    assert [cell.method for cell in made.variants] == ["yolov8n_ultralytics+from_coco"]
    with pytest.raises(ConfigError, match="has no weights that its training opens"):
        plan({"methods": ["yolov5n_ultralytics"], "budget": {"start": "coco"}})
    with pytest.raises(ConfigError, match="start from coco: name that"):
        plan({"methods": ["yolov8n_ultralytics"], "budget": {"start": "imagenet"}})


def test_a_program_does_not_start_from_weights_of_the_engine():
    catalogue = load_catalogue(ROOT / "models")
    card = catalogue.cards["yolov8n_ultralytics"]
    other = catalogue.cards["patchcore_mobilenetv2"].weights["imagenet"]
    both = card.model_copy(update={"weights": {**card.weights, "other": other}})
    cards = {**catalogue.cards, card.name: both}
    assert replace(catalogue, cards=cards).starts[card.name] == ["coco"]


def test_a_mirror_of_weights_waits_for_a_dataset_that_is_left_out(tmp_path):
    blocks = [
        {"datasets": ["tire"], "methods": ["nanodet_m"], "budget": {"start": "coco"}},
        {"datasets": ["demo-steel"], "methods": ["nanodet_m"]},
    ]
    study = parse_study("t", {"study": "t", "blocks": blocks, "weights_mirror": "x"})
    assert list(plan_study(study, "t", *FOLDERS, results=tmp_path).left_out) == ["tire"]


@pytest.mark.parametrize(
    ("block", "study", "words"),
    [
        ({"methods": ["lidd_net"], "budget": {"start": "coco"}}, {}, "of that name have nanodet_m"),
        ({"methods": ["yolov8n_ultralytics"], "epochs": [1]}, {}, "own program"),
        ({"methods": ["sd_gasnet"], "epochs": [1]}, {}, "from a teacher"),
        ({"methods": ["lidd_net"]}, {"weights_mirror": "x"}, "weights_mirror: got 'x'; it has no"),
    ],
)
def test_starts_that_cannot_be_are_refused(block, study, words):
    with pytest.raises(ConfigError, match=words):
        plan(block, **study)
