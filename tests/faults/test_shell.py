"""What a user writes reaches the shell as it was written, and a study is run under its own name or not at all."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "models", "reports")
BLOCK = {"datasets": ["my-steel"], "methods": [], "controls": ["oracle"]}
SOURCE = "results/data/my-steel/source.json"

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(plant):
    """A working copy with the card of a plant's set."""
    for name in LINKS:
        (plant.home / name).symlink_to(ROOT / name)
    plant.card()
    return plant.home


def write_study(folder, **fields):
    content = {"study": "mine", "blocks": [BLOCK], **fields}
    (folder / "mine.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def mirror_of(said):
    """What the planned step would take for the mirror."""
    (command,) = re.findall(
        r"^Shell command: (defectbench acquire .*) 2>&1 \| tee ", said, re.MULTILINE
    )
    (mirror,) = [word for word in shlex.split(command) if word.startswith("--mirror")]
    return mirror.removeprefix("--mirror=")


@pytest.mark.parametrize(
    "mirror",
    [
        "/dl/plates (1).zip",
        '/it\'s & co; $HOME `x` | "y" > z/pl\\ates #2',
        "-rf",
        "/a{b}/{c",
        "/Prüf ß",
    ],
)
def test_a_mirror_reaches_the_shell_as_it_was_written(mirror, checkout):
    write_study(checkout, mirrors={"my-steel": mirror})
    status, said = snakemake(checkout, SOURCE, "--configfile", "mine.yaml", "-n", "-p")
    assert status == 0, said
    assert mirror_of(said) == mirror


def test_a_mirror_of_the_command_line_may_hold_blanks(checkout):
    write_study(checkout)
    options = (
        "--configfile",
        "mine.yaml",
        "-n",
        "-p",
        "--config",
        "mirrors={my-steel: /x/My plates}",
    )
    status, said = snakemake(checkout, SOURCE, *options)
    assert status == 0, said
    assert mirror_of(said) == "/x/My plates"


def test_a_mirror_with_brackets_and_an_apostrophe_is_taken_and_its_study_noted(checkout, plant):
    plant.draw("it's here/plates (1)")
    write_study(checkout, mirrors={"my-steel": str(checkout / "it's here" / "plates (1)")})
    status, said = snakemake(checkout, SOURCE, "--configfile", "mine.yaml")
    assert status == 0, said
    assert (checkout / SOURCE).is_file()
    assert json.loads((checkout / "results/mine/study.json").read_text())["file"] == "mine.yaml"
    shutil.copy(checkout / "mine.yaml", checkout / "copy.yaml")
    status, said = snakemake(checkout, SOURCE, "--configfile", "copy.yaml", "-n")
    assert status == 0, said  # an equal copy is the same study
    write_study(checkout, split_seed=1)
    (checkout / "mine.yaml").rename(checkout / "changed.yaml")
    (checkout / "copy.yaml").rename(checkout / "mine.yaml")
    status, said = snakemake(checkout, SOURCE, "--configfile", "changed.yaml", "-n")
    assert status != 0
    assert "results/mine holds the results of mine.yaml" in said


def test_a_study_of_tabbed_json_is_planned_in_a_folder_of_blanks_and_letters_of_all_kinds(checkout):
    write_study(checkout, mirrors={"my-steel": "plates"})
    home = checkout.rename(checkout.with_name(f"{checkout.name} Prüf stand 划痕"))
    content = yaml.safe_load((home / "mine.yaml").read_text())
    (home / "my study.json").write_text(json.dumps(content, indent="\t"))
    status, said = snakemake(home, "all", "--configfile", "my study.json", "-n")
    assert status == 0, said


def test_a_board_reaches_the_shell_as_it_was_written(checkout):
    write_study(
        checkout, blocks=[{**BLOCK, "methods": ["yolo_fastestv2"]}], mirrors={"my-steel": "plates"}
    )
    key = "/my keys/it's $HOME"
    told = ("host=pi@board.local", "device=desk_1", "forms=onnxruntime,tensorrt-fp16", "port=2222")
    target = "results/mine/devices/desk_1/board.json"
    options = ("--configfile", "mine.yaml", "-n", "-p", "--config", *told, f'identity="{key}"')
    status, said = snakemake(checkout, target, *options)
    assert status == 0, said
    (pack,) = re.findall(r"^Shell command: (defectbench edge pack .*) 2>&1", said, re.MULTILINE)
    assert "--form onnxruntime --form tensorrt-fp16" in pack
    (run,) = re.findall(r"^Shell command: (defectbench edge run .*) 2>&1", said, re.MULTILINE)
    words = shlex.split(run)
    assert words[3] == "pi@board.local"
    assert {"--port=2222", f"--identity={key}", "desk_1"} <= set(words)


def test_a_board_may_run_forms_that_the_study_lacks(checkout):
    write_study(
        checkout, blocks=[{**BLOCK, "methods": ["yolo_fastestv2"]}], mirrors={"my-steel": "plates"}
    )
    told = ("host=pi@board.local", "device=pi", "forms=ncnn-fp16,openvino-int8,tensorrt-int8")
    target = "results/mine/devices/pi/board.json"
    status, said = snakemake(
        checkout, target, "--configfile", "mine.yaml", "-n", "-p", "--config", *told
    )
    assert status == 0, said
    assert re.search(r"^Shell command: defectbench convert-model .*--form ncnn-fp16", said, re.M)
    assert re.search(r"^Shell command: defectbench quantise ", said, re.M)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ("host=pi@board device=seed0", "no name that begins"),
        ("device=x", "host"),
        ("host=pi@b port=x", "port"),
    ],
)
def test_a_board_that_cannot_be_is_named_before_anything_is_made(told, fault, checkout):
    write_study(checkout)
    status, said = snakemake(
        checkout, "edge", "--configfile", "mine.yaml", "-n", "--config", *told.split()
    )
    assert status != 0
    assert fault in said
    assert not (checkout / "results").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("blocks: [{datasets: [my-steel], methods: []}]\nstudy: a b; x\n", "use letters, digits"),
        ("blocks: [{datasets: [my-steel], methods: [yolov8n]}]\n", "study: got 'nothing'"),
        ("study: a\nblocks: [{datasets: [my-steel], methods: []}]\n", "the block makes no cell"),
        (
            "study: a\nblocks: [{datasets: [my-steel], methods: [yolov8n], seeds: [-1]}]\n",
            "seeds.0: got -1",
        ),
        ("study: a\nblocks: []\nblocks: [{datasets: [my-steel]}]\n", "blocks stands twice"),
    ],
)
def test_a_study_that_cannot_be_run_is_named_before_anything_is_made(text, told, checkout):
    (checkout / "mine.yaml").write_text(text)
    status, said = snakemake(checkout, "all", "--configfile", "mine.yaml", "-n")
    assert status != 0
    assert told in said
    assert not (checkout / "results").exists()


def test_no_rule_hands_words_of_a_user_to_the_shell_unquoted():
    """What a rule calculates is quoted by `:q` or by its input function, or is a path below `results` or of the suite."""
    by_function = {
        "mirror",
        "published",
        "start",
        "train_list",
        "sources",
        "teachers",
        "truth",
        "kinds",
        "options",
        "formats",
        "board",
        "card",
        "reference",
    }
    plain = {
        "folder",
        "method",
        "data",
        "compat",
        "network",
        "classes",
        "seed",
        "forms",
        "cores",
        "cell",
    }
    seen = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for name, quoting in re.findall(r"\{params\.(\w+)(:q)?\}", file.read_text()):
            assert quoting or name in by_function | plain, f"{file.name}: params.{name}"
            seen.add(name)
    assert seen >= by_function | plain | {"settings", "name", "runs"}
