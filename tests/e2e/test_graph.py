"""The graph as a user meets it: what is planned, what a new folder adds, what an error says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake

from defectbench.base.catalogue import load_catalogue
from defectbench.deploy.engines import engine_state

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT / "models")
HEAVY = CATALOGUE.heavy
METHODS = [
    name for name in CATALOGUE.names if name not in HEAVY and CATALOGUE.tasks[name] == "detection"
]
SLIMMED = 1  # compressed cells of the default study
CLASSIFIERS, CUT = 1, 2  # and those of classification, bases and what is cut from them
DETECTORS = len(METHODS) + SLIMMED
STAGES = 2 * SLIMMED + CLASSIFIERS + CUT  # sparse, cut; teacher C; cut classifiers
LINKS = ("Snakefile", "workflow", "profiles", "config", "datasets", "reports")

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path):
    """A working copy whose models can be edited and whose results are its own."""
    for name in LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def planned(folder, *options):
    """Number of jobs by rule in a dry run."""
    status, said = snakemake(folder, "all", "--dry-run", "--quiet", "host", *options)
    assert status == 0, said
    return jobs_in(said)


def jobs_in(said):
    """Number of jobs by rule in what a dry run says."""
    lines = said.split("count", 1)[1].splitlines()
    pairs = [line.split() for line in lines[2:]]
    jobs = {}
    for pair in pairs:
        if len(pair) != 2 or not pair[1].isdigit():
            break
        jobs[pair[0]] = int(pair[1])
    return jobs


def test_a_plain_call_takes_the_profile_that_makes_incomplete_files_anew(checkout):
    _, said = snakemake(checkout, "all", "--dry-run")
    assert "profile profiles/default" in said
    settings = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    assert settings["rerun-incomplete"] is True


@pytest.mark.parametrize(("device", "slots"), [("cpu", "0"), ("cuda", "1")])
def test_cells_on_a_gpu_share_it_by_slots(checkout, device, slots):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    for block in study["blocks"]:
        block["budget"] = {**block.get("budget", {}), "device": device}
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    status, said = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert status == 0, said
    claimed = re.findall(r"gpu_slots=(\d)", said)
    assert set(claimed) == {slots}
    assert len(claimed) > DETECTORS


def test_default_study_plans_every_stage(checkout):
    jobs = planned(checkout)
    stages = {
        "acquire_dataset": 2,
        "convert_dataset": 2,
        "group_images": 2,
        "split_dataset": 2,
        "pack_parts": 2,
        "measure_detection_controls": 1,
        "measure_classification_controls": 1,
        "measure_cell": DETECTORS + CLASSIFIERS + CUT,
        "measure_stage": STAGES,
        "race_models": 1,
        "train_sparse_network": SLIMMED,
        "prune_channels": SLIMMED,
        "train_slimmed_network": SLIMMED,
        "train_vgg16": CLASSIFIERS,
        "train_balanced_teacher": CLASSIFIERS,
        "check_rates": CUT,
        "check_pruning": SLIMMED,
        "score_channels": CLASSIFIERS,
        "prune_classifier": CUT,
        "fine_tune_classifier": CUT,
        "render_report": 1,
        "all": 1,
    }
    stages |= {f"train_{name}": 1 for name in METHODS}
    jobs.pop("total", None)
    assert jobs == stages


@pytest.mark.parametrize("target", ["tables", "rescore"])
def test_a_report_of_what_is_there_needs_no_other_job(checkout, target):
    options = ("--dry-run", "--quiet", "host", "--printshellcmds", "--config", "parquet=true")
    status, said = snakemake(checkout, target, *options)
    assert status == 0, said
    jobs = jobs_in(said)
    jobs.pop("total", None)
    assert jobs == {target: 1}
    assert "report --made --out results/demo/report --study demo --parquet results" in said


def test_tables_of_a_reference_ask_for_that_folder_alone(checkout):
    options = (
        "--dry-run",
        "--quiet",
        "host",
        "--printshellcmds",
        "--config",
        "reference=kept ones",
    )
    status, said = snakemake(checkout, "tables", *options)
    assert status == 0, said
    command = "defectbench report-reference 'kept ones' --out results/demo/reference-report"
    assert command in said


def test_neu_det_study_runs_the_paper_protocol_too(checkout):
    jobs = planned(checkout, "--configfile", "config/neu-det.yaml")
    assert jobs["augment_before_split"] == 1
    assert jobs["split_dataset"] == 2
    assert jobs["train_lidd_net"] == 2


def test_a_folder_with_one_rule_adds_a_method(checkout):
    old, new = checkout / "models" / "lidd_net", checkout / "models" / "my_net"
    shutil.copytree(old, new)
    (new / "lidd_net.py").rename(new / "my_net.py")
    for name in ("method.smk", "card.yaml"):
        (new / name).write_text((new / name).read_text().replace("lidd_net", "my_net"))
    jobs = planned(checkout)
    assert jobs["train_my_net"] == 1
    assert jobs["measure_cell"] == DETECTORS + CLASSIFIERS + CUT + 1
    assert (jobs["measure_stage"], jobs["race_models"]) == (STAGES, 1)


def settings_of(command):
    """The settings that a command hands its step."""
    words = shlex.split(command)
    return json.loads(words[words.index("--settings") + 1])


def verbs_of(checkout, study):
    """Commands of a dry run, without their logs."""
    options = ("--configfile", str(study), "--dry-run", "--printshellcmds")
    status, said = snakemake(checkout, "all", *options)
    assert status == 0, said
    lines = said.splitlines()
    commands = [line.partition("Shell command: ")[2].partition(" 2>&1")[0] for line in lines]
    return [" ".join(command.split()) for command in commands if command]


def test_slimming_hands_each_stage_to_the_next(checkout):
    verbs = verbs_of(checkout, "config/slimming.yaml")
    cells = "results/slimming/runs/neu-det/clean"
    base, own = f"{cells}/yolov4/seed0", f"{cells}/yolov4+slim4.19mib_chen2017/seed0"
    (sparse,) = (
        v for v in verbs if f"--out {base}/sparse-" in v and " train " in v
    )  # for both cuts
    ends = [f"--out {own}/pruned ", f"--out {own} "]
    cut, recovery = (next(v for v in verbs if end in f"{v} ") for end in ends)
    assert f"--start {base}/weights.safetensors" in sparse
    told = settings_of(sparse)
    assert told["role"] == "sparse"
    assert told["recipe"]["sparsity"] == {"strength": "auto"}
    assert f"--weights {sparse.partition('--out ')[2].strip()}/weights.safetensors" in cut
    expected = {"rule": "size", "target_mib": 4.19, "round_to": 1, "drop_units": 12}
    assert settings_of(cut).items() >= expected.items()
    start = f"--start {own}/pruned/weights.safetensors --plan {own}/pruned/plan.json"
    assert f"{start} --teacher {base}/weights.safetensors" in recovery
    told = settings_of(recovery)
    assert told["role"] == "recovery"
    assert told["recipe"]["options.kd"] == "chen2017"
    assert all("--method models/yolov4 " in verb for verb in (sparse, cut, recovery))
    alone = next(v for v in verbs if v.endswith(f"--out {own}/pruned/channels"))
    assert settings_of(alone) == {**settings_of(cut), "channels_alone": True}
    assert any(f"measure --model {own}/pruned/channels/model.onnx" in v for v in verbs)
    assert not any("yolov8n+" in v and "pruned/channels" in v for v in verbs)  # drops no units
    (race,) = (v for v in verbs if v.startswith("defectbench race"))
    assert {base, own} <= set(shlex.split(race))
    plain = next(v for v in verbs if v.endswith(f"--out {cells}/yolov4+slim4.19mib/seed0"))
    assert "--teacher" not in plain


def test_a_control_of_a_cut_takes_its_plan_and_none_of_its_weights(checkout):
    content = (ROOT / "config" / "slimming-yolov8n-cpu.yaml").read_text()
    study = checkout / "study.yaml"
    study.write_text(content.replace("recovery: {epochs: 30}", "recovery: {epochs: 30, batch: 4}"))
    verbs = verbs_of(checkout, study)
    own = "results/slimming-yolov8n-cpu/runs/neu-det/clean/yolov8n+slim2.9mib_thin/seed0"
    (thin,) = [v for v in verbs if " train " in v and f"--out {own} " in f"{v} "]
    assert f"--plan {own}/pruned/plan.json " in thin
    assert "--start" not in thin
    told = settings_of(thin)
    # 40 of the base, 30 and 30; the base's batch
    assert (told["role"], told["epochs"], told["batch"]) == ("recovery", 100, 16)
    assert "sgd" not in thin
    (other,) = [v for v in verbs if v.endswith("--out " + own.replace("_thin", ""))]
    assert "--start" in other
    assert (settings_of(other)["epochs"], settings_of(other)["batch"]) == (30, 4)
    assert not any("measure" in v and f"{own}/pruned" in v for v in verbs)


def test_a_thinned_training_part_has_lists_and_a_certificate_of_its_own(checkout):
    verbs = verbs_of(checkout, "config/cfp-x-sdd.yaml")
    (split,) = [
        v
        for v in verbs
        if "split " in v and "--protocol random-imbalanced" in v and "--certify" in v
    ]
    assert "--published datasets/lists/x-sdd-random.csv" in split
    assert "--train-list datasets/lists/x-sdd-imbalanced.csv" in split
    (whole,) = [v for v in verbs if "defectbench split" in v and v != split]
    assert "--train-list" not in whole
    parts = "results/data/x-sdd/random-imbalanced/split0"
    study = ("--configfile", "config/cfp-x-sdd.yaml")
    jobs = planned(checkout, *study, "--until", "split_dataset", "split_thinned_dataset")
    assert (jobs["split_dataset"], jobs["split_thinned_dataset"]) == (1, 1)
    status, said = snakemake(checkout, f"{parts}/left_out.txt", "--dry-run", *study)
    assert status == 0, said
    cells = "results/cfp-x-sdd/runs/x-sdd/random-imbalanced"
    (alone,) = [
        v for v in verbs if f"--out {cells}/vgg16+cfppublished_r/seed2" in v and "fine-tune" in v
    ]
    assert f"--teacher-r {cells}/vgg16/seed2/weights.safetensors" in alone
    assert "--teacher-c" not in alone


def test_filter_pruning_hands_each_stage_to_the_next_and_shares_what_can_be_shared(checkout):
    verbs = verbs_of(checkout, "config/cfp-neu-cls.yaml")
    cells = "results/cfp-neu-cls/runs/neu-cls/clean"
    base, own = f"{cells}/vgg16/seed0", f"{cells}/vgg16+cfpv39/seed0"
    assert len([v for v in verbs if "score-channels" in v]) == 2  # one a base, for all choices
    teachers = [settings_of(v) for v in verbs if v.endswith("/teacher_c") and " train " in v]
    assert [(t["role"], t["recipe"]["order"]) for t in teachers] == [
        ("teacher", "class_balanced")
    ] * 2
    cut = next(v for v in verbs if v.endswith(f"--out {own}/pruned"))
    assert f"--weights {base}/weights.safetensors --scores {base}/scores/640.json" in cut
    assert settings_of(cut)["rates"] == "v39"
    tuned = next(v for v in verbs if v.endswith(f"--out {own}") and "fine-tune" in v)
    assert f"--pruned {own}/pruned/weights.safetensors" in tuned
    told = settings_of(tuned)
    assert (told["epochs"], told["batch"], told["recipe"]["optimizer.lr"]) == (100, 128, 5e-5)
    assert f"--teacher-c {base}/teacher_c/weights.safetensors" in tuned
    thin = next(v for v in verbs if v.endswith("vgg16+thinv39/seed0") and "fine-tune" in v)
    told = settings_of(thin)
    assert (told["epochs"], told["batch"]) == (500, 64)  # base, teacher C and fine-tuning
    assert "--teacher-" not in thin
    # every cell's own file is scored on validation, too; what it passes through on its way is not
    measured = [v for v in verbs if v.startswith("defectbench measure ")]
    stages = [v for v in measured if "/pruned/" in v.split()[3] or "/teacher_c/" in v.split()[3]]
    assert stages
    assert all(("--val" in v) == (v not in stages) for v in measured)


FOREIGN = """
rule predict_by_my_net:
    output:
        predictions=f"{CELL}/predictions.json",
        record=f"{CELL}/train.json",
        history=f"{CELL}/history.csv",
        latency=f"{CELL}/latency/own.json",
    wildcard_constraints:
        method="my_net",
    shell:
        "my-program {output}"
"""


def test_a_method_that_only_predicts_is_scored_and_timed_by_its_own_rule(checkout):
    old, new = checkout / "models" / "lidd_net", checkout / "models" / "my_net"
    shutil.copytree(old, new)
    card = (new / "card.yaml").read_text().replace("lidd_net", "my_net")
    (new / "card.yaml").write_text(card + "artifact: predictions\n")
    (new / "method.smk").write_text(FOREIGN)
    jobs = planned(checkout)
    assert jobs["predict_by_my_net"] == 1
    assert jobs["evaluate_predictions"] == 1
    assert jobs["measure_cell"] == DETECTORS + CLASSIFIERS + CUT
    assert jobs["measure_stage"] == STAGES
    (race,) = (v for v in verbs_of(checkout, "config/demo.yaml") if "defectbench race" in v)
    assert "my_net" not in race


def test_a_copied_rule_that_names_another_method_is_named(checkout):
    new = checkout / "models" / "my_net"
    shutil.copytree(checkout / "models" / "lidd_net", new)
    card = (new / "card.yaml").read_text().replace("lidd_net", "my_net")
    (new / "card.yaml").write_text(card)
    status, said = snakemake(checkout, "all", "--dry-run")
    assert status != 0
    message = 'models/my_net/method.smk: line 3: got \'method="lidd_net",\'; write method="my_net"'
    assert message in said


def test_unknown_method_is_named(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][0]["methods"] = ["yolov99"]
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    status, said = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert status != 0
    first = CATALOGUE.names[0]
    assert f"blocks.0.methods: got 'yolov99'; name one of {first}" in said


def test_rates_that_do_not_fit_the_network_stop_a_study_before_anything_is_made(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][1]["compress"][1]["rates"] = ".4*11"
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    status, said = snakemake(checkout, "all", "--configfile", "mine.yaml")
    assert status != 0
    assert "rates: got '.4*11'; number of rates 11: vgg16 takes 12 to 14" in said
    made = {path.name for path in (checkout / "results").rglob("*") if path.is_file()}
    checks = {"check-rates.log", "rates.json", "check-pruning.log", "pruning.json", "study.json"}
    assert made <= checks
    study["blocks"][1]["compress"][1]["rates"] = "v93"
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    status, said = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert status != 0
    assert "blocks.1: compress.1.rates: got 'v93'; name one on the card" in said


def test_misspelt_field_is_named(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][0]["sedes"] = [1]
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    status, said = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert status != 0
    assert "blocks.0.sedes" in said


def test_a_distilled_method_trains_its_teacher_first_unless_told_otherwise(checkout):
    options = ("--configfile", "config/demo-heavy.yaml")
    jobs = planned(checkout, *options)
    assert jobs["train_sd_gasnet_teacher"] == jobs["train_sd_gasnet"] == 1
    recipe = checkout / "models" / "sd_gasnet" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("kd: ekl", "kd: none"))
    jobs = planned(checkout, *options)
    assert "train_sd_gasnet_teacher" not in jobs
    assert jobs["train_sd_gasnet"] == 1


def budgets(checkout, name, epochs):
    """A study of one method with its own name and budget."""
    block = {"datasets": ["demo-steel"], "methods": ["lidd_net"], "controls": ["class_prior"]}
    content = {"study": name, "blocks": [{**block, "budget": {"size": 64, "epochs": epochs}}]}
    path = checkout / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_two_studies_own_their_cells_and_share_their_data(checkout):
    short, long = (verbs_of(checkout, budgets(checkout, n, e)) for n, e in (("one", 2), ("two", 4)))
    cell = "runs/demo-steel/clean/lidd_net/seed0"
    for name, verbs, epochs in (("one", short, 2), ("two", long, 4)):
        (train,) = (v for v in verbs if v.startswith("defectbench train "))
        assert train.endswith(f"--out results/{name}/{cell}")
        assert settings_of(train)["epochs"] == epochs
        outs = [
            words[words.index("--out") + 1] for words in map(shlex.split, verbs) if "--out" in words
        ]
        assert all(out.startswith((f"results/{name}/", "results/data/demo-steel")) for out in outs)
    data = [[v for v in verbs if " split " in v or " pack " in v] for verbs in (short, long)]
    assert data[0] == data[1]


def test_parts_are_keyed_by_the_seed_of_the_split(checkout):
    path = budgets(checkout, "seeded", 2)
    path.write_text(path.read_text() + "split_seed: 3\n")
    verbs = verbs_of(checkout, path)
    (split,) = (v for v in verbs if "defectbench split" in v)
    assert "--seed 3" in split
    (train,) = (v for v in verbs if v.startswith("defectbench train "))
    assert "--train results/data/demo-steel/clean/split3/train@64.safetensors" in train


def test_a_folder_of_the_first_version_is_named_with_the_command_that_moves_it(checkout):
    (checkout / "results" / "runs").mkdir(parents=True)
    status, said = snakemake(checkout, "all", "--dry-run")
    assert status == 0, said
    (line,) = {li for li in said.splitlines() if "version 0.1" in li}
    assert "mkdir -p results/version-0.1 && mv results/runs results/version-0.1/" in line


def test_a_study_may_not_be_called_as_a_shared_folder(checkout):
    status, said = snakemake(
        checkout, "all", "--dry-run", "--configfile", str(budgets(checkout, "data", 2))
    )
    assert status != 0
    assert "study: got 'data'" in said


def test_engines_and_precisions_add_their_jobs_and_no_race(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study |= {
        "engines": ["onnxruntime", "openvino", "ncnn", "torch", "torch_graph", "tensorrt"],
        "precisions": ["fp32", "fp16", "int8"],
    }
    (checkout / "forms.yaml").write_text(yaml.safe_dump(study | {"study": "forms"}))
    asked = ("all", "--dry-run", "--quiet", "host", "--configfile", "forms.yaml")
    status, said = snakemake(checkout, *asked)
    assert status == 0, said
    for state in map(engine_state, study["engines"]):  # told before hours of training
        assert (f"engine {state.name}: {state.told}" in said) is not state.runs_here
    jobs, plain = jobs_in(said), planned(checkout)
    files = DETECTORS + CLASSIFIERS + CUT
    # two of ncnn, one of torch, which its captured form shares, three of TensorRT
    more = {"quantise_model": files, "convert_model": 6 * files, "measure_form": 10 * files}
    assert {name: jobs.get(name) for name in more} == more
    assert jobs["race_models"] == plain["race_models"] == 1
    assert not set(more) & set(plain)


def test_the_gate_runs_behind_the_report_and_asks_for_a_reference(checkout):
    config = ("--config", "reference=kept here", "files=old")
    status, said = snakemake(checkout, "gate", "--dry-run", "--printshellcmds", *config)
    assert status == 0, said
    assert "render_report" in said
    assert (
        "defectbench gate results/demo/runs --reference 'kept here' --files old --settings" in said
    )
    status, said = snakemake(checkout, "gate", "--dry-run", "--printshellcmds")
    assert status == 0, said
    assert "name the reference: snakemake gate" in said
    status, said = snakemake(checkout, "gate", "--dry-run", "--config", "files=old")
    assert status != 0
    assert "--config: reference: got 'nothing'" in said


def test_published_weights_are_fetched_once_for_all_cells_that_start_from_them(checkout):
    block = {
        "datasets": ["demo-steel"],
        "methods": ["nanodet_m"],
        "seeds": [0, 1],
        "epochs": [1, 2],
        "train_shares": [30, 100],
        "budget": {"size": 64},
    }
    study = {
        "study": "starts",
        "blocks": [
            block,
            {**block, "budget": {"size": 64, "start": "coco"}},
            {
                "datasets": ["demo-steel"],
                "methods": ["yolov8n_ultralytics"],
                "budget": {"size": 64, "start": "coco"},
            },
        ],
    }
    (checkout / "mine.yaml").write_text(yaml.safe_dump({**study, "weights_mirror": "it's here"}))
    status, said = snakemake(
        checkout, "all", "--dry-run", "--quiet", "host", "--configfile", "mine.yaml"
    )
    assert status == 0, said
    jobs = jobs_in(said)
    assert (jobs["fetch_weights"], jobs["train_variant"]) == (1, 16)
    # a method's own program opens its file, and its own rule starts from it
    assert (jobs["fetch_program_weights"], jobs["train_yolov8n_ultralytics"]) == (1, 1)
    assert "results/weights/yolov8n_ultralytics/coco/weights.pt" in said
    # only what its card says of them is a reason to fetch a program's weights again
    of_program = said[said.index("rule fetch_program_weights:") :].partition("\n\n")[0]
    assert "input: models/yolov8n_ultralytics/card.yaml\n" in of_program
    # what unfolds them is an input of each job that starts from them, and of no other
    inputs = [line for line in said.splitlines() if line.startswith("    input: ")]
    assert sum("weights/starting.py" in line for line in inputs) == 1 + 8
    assert (jobs["split_dataset"], jobs["split_thinned_dataset"]) == (1, 1)
    status, said = snakemake(
        checkout, "results/weights/nanodet_m/coco/published.json", "--configfile", "mine.yaml"
    )
    assert status != 0
    assert "it's here: folder: got 'nothing'; name a folder or file of published weights" in said
