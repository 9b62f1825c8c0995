"""Profiles of clusters: every setting is one of Snakemake's, what jobs ask for is planned, and the image is made as CI makes it."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser
from tests.e2e.planning import snakemake

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))
LINKS = ("Snakefile", "workflow", "config", "datasets", "models", "reports")


def settings(name):
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_each_setting_is_an_option_of_snakemake(path):
    parser = get_argument_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    assert {f"--{name}" for name in settings(path.parent.name)} <= known


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_what_is_lost_is_tried_again_and_resumed(name):
    profile, default = settings(name), settings("default")
    assert profile["retries"] >= 1
    assert profile["rerun-incomplete"] is True
    assert profile["rerun-triggers"] == default["rerun-triggers"]


@pytest.fixture
def checkout(tmp_path):
    """A working copy with profiles of its own."""
    for name in LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def planned(folder, device):
    """Resources by rule in a dry run under Slurm's profile, without what needs a plugin."""
    profile = {key: value for key, value in settings("slurm").items() if key != "executor"}
    (folder / "profile").mkdir()
    (folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    for block in study["blocks"]:
        block["budget"] = {**block["budget"], "device": device}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study))
    asked = ("all", "--dry-run", "--workflow-profile", "profile", "--configfile", "mine.yaml")
    status, said = snakemake(folder, *asked)
    assert status == 0, said
    job = r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    resources: (.*)$"
    jobs = re.findall(job, said, re.MULTILINE)
    return {rule: dict(re.findall(r"(\w+)=([^,]+)", resources)) for rule, resources in jobs}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_jobs_ask_for_memory_time_and_a_gpu(checkout, device):
    rules = planned(checkout, device)
    train = rules["train_lidd_net"]
    assert (train["mem_mb"], train["runtime"]) == ("8000", "720")
    for rule, asked in rules.items():
        if rule != "all":  # it runs nothing
            assert {"mem_mb", "runtime"} <= set(asked), rule
        slots = asked.get("gpu_slots")
        assert asked.get("gpu") == ("1" if slots == "1" else None), rule
    assert ("gpu" in train) == (device == "cuda")
    assert rules["race_models"]["slurm_extra"] == "--exclusive"


PLANS = {"slurm": ("--slurm-status-command", "squeue"), "kubernetes": ()}


@pytest.mark.parametrize("name", PLANS)
def test_the_profile_is_planned_with(checkout, name):
    if name == "slurm" and find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("pip install snakemake-executor-plugin-slurm")
    (checkout / "profiles").symlink_to(ROOT / "profiles")
    asked = ("datasets", "--dry-run", "--workflow-profile", f"profiles/{name}", *PLANS[name])
    status, said = snakemake(checkout, *asked)
    assert status == 0, said
    assert "acquire_dataset" in said


def test_the_manifest_fits_image_and_profile():
    text = (ROOT / "profiles" / "kubernetes" / "job.yaml").read_text()
    volume, job = yaml.safe_load_all(text)
    assert (volume["kind"], job["kind"], job["apiVersion"]) == (
        "PersistentVolumeClaim",
        "Job",
        "batch/v1",
    )
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure"
    (container,) = pod["containers"]
    image = (ROOT / "Containerfile").read_text()
    assert f"WORKDIR {container['workingDir']}\n" in image
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {item["name"]: item for item in pod["volumes"]}
    assert set(mounted.values()) == set(volumes)
    # what a resume needs outlives the pod
    for folder in ("results", ".snakemake"):
        claim = volumes[mounted[f"{container['workingDir']}/{folder}"]]["persistentVolumeClaim"]
        assert claim["claimName"] == volume["metadata"]["name"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert (ROOT / environment["STUDY"]).is_file()
    assert environment["TMPDIR"] in mounted
    profiles = re.findall(r"--workflow-profile (\S+)", container["args"][0])
    assert profiles == ["profiles/kubernetes"] * 2
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    assert {"cpu", "memory", "nvidia.com/gpu"} <= set(resources["limits"])


def test_the_image_is_made_by_the_command_of_ci():
    image, ci = (ROOT / "Containerfile").read_text(), (ROOT / ".ci" / "run").read_text()
    assert 'make VENV="$venv" "$venv/.ready"' in ci
    venv = re.search(r"^ENV PATH=(\S+)/bin:", image, re.MULTILINE)
    assert venv is not None
    assert f"RUN make VENV={venv[1]} {venv[1]}/.ready" in image
    python = re.search(r"python:(\d+\.\d+)-", image)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert python is not None
    assert f'python: ["{python[1]}"]' in workflow
    ignored = (ROOT / ".containerignore").read_text().split()
    for needed in ("Makefile", "pyproject.toml", "requirements.lock", "src"):
        assert (ROOT / needed).exists()
        assert needed not in ignored
