"""The graph as a user meets it: what is planned, what a new folder adds, what an error says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from defectbench.base.catalogue import load_catalogue

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT / "models")
HEAVY = CATALOGUE.heavy
METHODS = [
    name for name in CATALOGUE.names if name not in HEAVY and CATALOGUE.tasks[name] == "detection"
]
CONTROLS = 4 + 2  # of detection and of classification
SLIMMED = 1  # compressed cells of the default study
CLASSIFIERS, CUT = 1, 2  # and those of classification, bases and what is cut from them
# Files that are scored and counted: sparse and recovered ones and both cuts too
FILES = len(METHODS) + 4 * SLIMMED + CLASSIFIERS + 2 * CUT
CHOSEN = len(METHODS) + SLIMMED  # detectors have a threshold
TIMED = CHOSEN + CLASSIFIERS + CUT
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


def snakemake(folder, *options):
    """Run it with the programs of the environment that the tests run in, active or not."""
    command = [sys.executable, "-m", "snakemake", "--cores", "8", *options]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def planned(folder, *options):
    """Number of jobs by rule in a dry run."""
    run = snakemake(folder, "all", "--dry-run", "--quiet", "host", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (run.stdout + run.stderr).split("count", 1)[1].splitlines()
    pairs = [line.split() for line in lines[2:]]
    jobs = {}
    for pair in pairs:
        if len(pair) != 2 or not pair[1].isdigit():
            break
        jobs[pair[0]] = int(pair[1])
    return jobs


def test_a_plain_call_takes_the_profile_that_makes_incomplete_files_anew(checkout):
    run = snakemake(checkout, "all", "--dry-run")
    assert "profile profiles/default" in run.stdout + run.stderr
    settings = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    assert settings["rerun-incomplete"] is True


def test_default_study_plans_every_stage(checkout):
    jobs = planned(checkout)
    stages = {
        "acquire_dataset": 2,
        "convert_dataset": 2,
        "find_overlaps": 2,
        "group_images": 2,
        "split_dataset": 2,
        "certify_split": 2,
        "predict_control": CONTROLS,
        "predict_test_part": FILES + CLASSIFIERS,  # teacher C too
        "evaluate_accuracy": FILES + CLASSIFIERS + CONTROLS,
        "count_complexity": FILES,
        "choose_threshold": CHOSEN,
        "time_latency": TIMED,
        "train_sparse": SLIMMED,
        "prune_channels": SLIMMED,
        "prune_channels_alone": SLIMMED,
        "train_slimmed": SLIMMED,
        "train_vgg16": CLASSIFIERS,
        "train_balanced_teacher": CLASSIFIERS,
        "check_rates": CUT,
        "check_pruning": SLIMMED,
        "score_channels": CLASSIFIERS,
        "prune_classifier": CUT,
        "fine_tune_classifier": CUT,
        "time_beside_base": SLIMMED + CUT,
        "render_report": 1,
        "all": 1,
    }
    stages |= {f"train_{name}": 1 for name in METHODS}
    assert {rule: jobs.get(rule) for rule in stages} == stages
    assert "train_detector" not in jobs


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
    assert jobs["predict_test_part"] == FILES + CLASSIFIERS + 1
    assert jobs["evaluate_accuracy"] == FILES + CLASSIFIERS + 1 + CONTROLS


def test_slimming_hands_each_stage_to_the_next(checkout):
    options = ("--configfile", "config/slimming.yaml", "--dry-run", "--printshellcmds")
    run = snakemake(checkout, "all", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (run.stdout + run.stderr).splitlines()
    verbs = [line.partition("Shell command: ")[2].partition(" 2>&1")[0] for line in lines]
    cells = "results/runs/neu-det/clean"
    base, own = f"{cells}/yolov4/seed0", f"{cells}/yolov4+slim4.19mib_chen2017/seed0"
    (sparse,) = (
        v for v in verbs if f"--out {base}/sparse-" in v and " train " in v
    )  # for both cuts
    ends = [f"--out {own}/pruned ", f"--out {own} "]
    cut, recovery = (next(v for v in verbs if end in f"{v} ") for end in ends)
    assert f"--as sparse --start {base}/weights.safetensors" in sparse
    assert """--set 'sparsity={"strength": "auto"}'""" in sparse
    assert f"--weights {sparse.partition('--out ')[2].strip()}/weights.safetensors" in cut
    assert "--rule size --target-mib 4.19 --layer-keep 0.01 --round-to 1 --drop-units 12" in cut
    start = f"--start {own}/pruned/weights.safetensors --plan {own}/pruned/plan.json"
    assert f"--as recovery {start} --teacher {base}/weights.safetensors" in recovery
    assert """--set 'options.kd="chen2017"'""" in recovery
    assert all("--method models/yolov4 " in verb for verb in (sparse, cut, recovery))
    alone = next(v for v in verbs if v.endswith(f"--out {own}/pruned/channels"))
    assert alone == f"{cut.partition(' --out ')[0]} --out {own}/pruned/channels".replace(
        "--drop-units 12", "--drop-units 12 --channels-alone"
    )
    for name in ("evaluate", "count"):
        assert any(
            v.startswith(f"defectbench {name}") and f"{own}/pruned/channels/" in v for v in verbs
        )
    assert not any("yolov8n+" in v and "pruned/channels" in v for v in verbs)  # drops no units
    beside = next(v for v in verbs if v.startswith("defectbench time-beside") and own in v)
    assert f"--model {own}/model.onnx --base {base}/model.onnx" in beside
    plain = next(v for v in verbs if v.endswith(f"--out {cells}/yolov4+slim4.19mib/seed0"))
    assert "--teacher" not in plain


def test_a_control_of_a_cut_takes_its_plan_and_none_of_its_weights(checkout):
    content = (ROOT / "config" / "slimming-yolov8n-cpu.yaml").read_text()
    study = checkout / "study.yaml"
    study.write_text(content.replace("recovery: {epochs: 30}", "recovery: {epochs: 30, batch: 4}"))
    verbs = verbs_of(checkout, study)
    own = "results/runs/neu-det/clean/yolov8n+slim2.9mib_thin/seed0"
    (thin,) = [v for v in verbs if " train " in v and f"--out {own} " in f"{v} "]
    assert f"--as recovery --plan {own}/pruned/plan.json " in thin
    assert "--start" not in thin
    assert "--epochs 100 --batch 16 " in thin  # 40 of the base, 30 and 30; the base's batch
    assert "sgd" not in thin
    (other,) = [v for v in verbs if v.endswith("--out " + own.replace("_thin", ""))]
    assert "--start" in other
    assert "--epochs 30 --batch 4 " in other
    assert not any("predict" in v and f"{own}/pruned" in v for v in verbs)


def verbs_of(checkout, study):
    """Commands of a dry run, without their logs."""
    options = ("--configfile", str(study), "--dry-run", "--printshellcmds")
    run = snakemake(checkout, "all", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (run.stdout + run.stderr).splitlines()
    return [line.partition("Shell command: ")[2].partition(" 2>&1")[0] for line in lines]


def test_a_thinned_training_part_has_lists_and_a_certificate_of_its_own(checkout):
    verbs = verbs_of(checkout, "config/cfp-x-sdd.yaml")
    (split,) = [v for v in verbs if "split" in v and "random-imbalanced" in v]
    assert "--published datasets/lists/x-sdd-random.csv" in split
    assert "--train-list datasets/lists/x-sdd-imbalanced.csv" in split
    (whole,) = [v for v in verbs if "defectbench split" in v and v != split]
    assert "--train-list" not in whole
    assert any("certify" in v and "--protocol random-imbalanced" in v for v in verbs)
    parts = "results/data/x-sdd/random-imbalanced"
    study = ("--configfile", "config/cfp-x-sdd.yaml")
    jobs = planned(checkout, *study, "--until", "certify_split")
    assert (jobs["split_dataset"], jobs["thin_split"], jobs["certify_split"]) == (1, 1, 2)
    lists = snakemake(checkout, f"{parts}/left_out.txt", "--dry-run", *study)
    assert lists.returncode == 0, lists.stdout + lists.stderr
    cells = "results/runs/x-sdd/random-imbalanced"
    (alone,) = [
        v for v in verbs if f"--out {cells}/vgg16+cfppublished_r/seed2" in v and "fine-tune" in v
    ]
    assert f"--teacher-r {cells}/vgg16/seed2/weights.safetensors" in alone
    assert "--teacher-c" not in alone


def test_filter_pruning_hands_each_stage_to_the_next_and_shares_what_can_be_shared(checkout):
    verbs = verbs_of(checkout, "config/cfp-neu-cls.yaml")
    cells = "results/runs/neu-cls/clean"
    base, own = f"{cells}/vgg16/seed0", f"{cells}/vgg16+cfpv39/seed0"
    assert len([v for v in verbs if "score-channels" in v]) == 2  # one a base, for all choices
    assert len([v for v in verbs if "--set 'order=" in v and "--as teacher" in v]) == 2
    cut = next(v for v in verbs if v.endswith(f"--out {own}/pruned"))
    assert f"--weights {base}/weights.safetensors --scores {base}/scores/640.json" in cut
    assert "--rates v39" in cut
    tuned = next(v for v in verbs if v.endswith(f"--out {own}") and "fine-tune" in v)
    assert f"--pruned {own}/pruned/weights.safetensors" in tuned
    assert "--epochs 100 --batch 128" in tuned
    assert "--set optimizer.lr=5e-05" in tuned
    assert f"--teacher-c {base}/teacher_c/weights.safetensors" in tuned
    thin = next(v for v in verbs if v.endswith("vgg16+thinv39/seed0") and "fine-tune" in v)
    assert "--epochs 500 --batch 64" in thin  # base, teacher C and fine-tuning
    assert "--teacher-" not in thin
    beside = next(v for v in verbs if v.startswith("defectbench time-beside") and own in v)
    assert "operating-point" not in beside


FOREIGN = """
rule predict_by_my_net:
    output:
        predictions=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/predictions.json",
        record=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/train.json",
        history=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/history.csv",
        latency=f"{RUNS}/{{dataset}}/{{protocol}}/{{method}}/seed{{seed}}/latency/own.json",
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
    assert jobs["evaluate_accuracy"] == FILES + CLASSIFIERS + 1 + CONTROLS
    assert jobs["predict_test_part"] == FILES + CLASSIFIERS
    assert jobs["count_complexity"] == FILES
    assert (jobs["time_latency"], jobs["choose_threshold"]) == (TIMED, CHOSEN)


def test_unknown_method_is_named(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][0]["methods"] = ["yolov99"]
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    run = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert run.returncode != 0
    first = CATALOGUE.names[0]
    assert f"blocks.0.methods: got 'yolov99'; name one of {first}" in run.stdout + run.stderr


def test_rates_that_do_not_fit_the_network_stop_a_study_before_anything_is_made(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][1]["compress"][1]["rates"] = ".4*11"
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    run = snakemake(checkout, "all", "--configfile", "mine.yaml")
    assert run.returncode != 0
    assert "rates: got '.4*11'; number of rates 11: vgg16 takes 12 to 14" in run.stdout + run.stderr
    made = {path.name for path in (checkout / "results").rglob("*") if path.is_file()}
    checks = {"check-rates.log", "rates.json", "check-pruning.log", "pruning.json"}
    assert made <= checks
    study["blocks"][1]["compress"][1]["rates"] = "v93"
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    run = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert run.returncode != 0
    assert "blocks.1: compress.1.rates: got 'v93'; name one on the card" in run.stdout + run.stderr


def test_misspelt_field_is_named(checkout):
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    study["blocks"][0]["sedes"] = [1]
    (checkout / "mine.yaml").write_text(yaml.safe_dump(study))
    run = snakemake(checkout, "all", "--dry-run", "--configfile", "mine.yaml")
    assert run.returncode != 0
    assert "blocks.0.sedes" in run.stdout + run.stderr


def test_a_distilled_method_trains_its_teacher_first_unless_told_otherwise(checkout):
    options = ("--configfile", "config/demo-heavy.yaml")
    jobs = planned(checkout, *options)
    assert jobs["train_sd_gasnet_teacher"] == jobs["train_sd_gasnet"] == 1
    recipe = checkout / "models" / "sd_gasnet" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("kd: ekl", "kd: none"))
    jobs = planned(checkout, *options)
    assert "train_sd_gasnet_teacher" not in jobs
    assert jobs["train_sd_gasnet"] == 1
