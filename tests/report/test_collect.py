"""Finding cells, and what is refused."""

import json
import re

import pytest

from defectbench.base.errors import ConfigError, ReportError
from defectbench.base.files import read_json
from defectbench.report.records.cells import find_cells, find_entries, method_title
from defectbench.report.topics import find_topics


def refuses(shelf, path, *words, find=find_entries):
    """The error that stops the search; it names the path and says the words."""
    with pytest.raises(ReportError) as caught:
        find([shelf.runs])
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message, message
    return message


def test_cells_come_by_dataset_protocol_method_and_seed(filled):
    found = [(c.protocol, c.method, c.seed) for c in find_cells([filled.root / "results" / "runs"])]
    assert found == [
        ("clean", "alpha", 0),
        ("clean", "alpha", 1),
        ("clean", "beta_net", 0),
        ("clean", "control_memoriser", 0),
        ("clean", "control_oracle", 0),
        ("paper", "beta_net", 0),
    ]


def test_a_cell_named_twice_counts_once(filled):
    own = filled.folder("alpha")
    assert [cell.folder for cell in find_cells([own, own.parent])] == [own, own.with_name("seed1")]


@pytest.mark.parametrize("place", [".", "clean", "clean/alpha", "clean/alpha/seed0"])
def test_cells_are_found_from_within_the_runs(filled, monkeypatch, place):
    monkeypatch.chdir(filled.runs)
    entry = find_entries([place])[0]
    assert (entry.first.dataset, entry.first.protocol, entry.title) == ("steel", "clean", "alpha")


def test_a_cell_asked_for_by_name_must_be_there(shelf):
    folder = shelf.folder("absent")
    with pytest.raises(ReportError, match="make it with: snakemake --cores 8 scores"):
        find_cells([folder])


def test_a_control_needs_no_model_records(filled):
    cell = find_cells([filled.folder("control_oracle")])[0]
    assert cell.is_control
    assert (cell.train, cell.complexity, cell.latency, cell.engine) == (None, None, None, "")


@pytest.mark.parametrize(
    ("record", "command"),
    [
        ("accuracy.json", "snakemake --cores 8 scores"),
        ("complexity.json", "defectbench count --model"),
        ("latency/onnxruntime.json", "defectbench race"),
        ("train.json", "snakemake --cores 8"),
    ],
)
def test_a_missing_record_is_named_with_the_command_that_makes_it(filled, record, command):
    path = filled.folder("beta_net") / record
    path.unlink()
    refuses(filled, path, command, str(filled.folder("beta_net")))


def test_the_command_for_a_latency_names_the_cell(filled):
    folder = filled.folder("beta_net")
    path = folder / "latency" / "onnxruntime.json"
    path.unlink()
    refuses(filled, path, f"defectbench race {folder}")


def test_the_command_for_a_new_score_names_the_truth_of_the_old_one(filled):
    folder = filled.folder("beta_net", "paper")
    truth = json.loads((folder / "accuracy.json").read_text())["inputs"]["annotations"]["path"]
    (folder / "predictions.json").write_text("[]")
    refuses(filled, folder / "accuracy.json", f"--annotations {truth} ", f"--out {folder}/accuracy")


def test_a_missing_certificate_is_named(filled):
    path = filled.data / "clean" / "certificate.json"
    path.unlink()
    refuses(filled, path, "defectbench certify --dataset results/data/steel --protocol clean")


def test_a_certificate_beside_kept_cells_is_taken(filled):
    path = filled.data / "clean" / "certificate.json"
    kept = filled.runs / "clean" / "certificate.json"
    path.rename(kept)
    assert find_entries([filled.runs])[0].certificate_path == kept


def test_no_cell_at_all(shelf):
    refuses(shelf, shelf.runs, "cells", "snakemake --cores 8 all")


def test_predictions_that_changed_after_scoring_are_refused(filled):
    folder = filled.folder("alpha")
    (folder / "predictions.json").write_text("[]")
    refuses(filled, folder / "accuracy.json", "inputs.predictions.sha256", "defectbench evaluate")


def test_records_stand_without_their_predictions(filled):
    (filled.folder("alpha") / "predictions.json").unlink()
    assert len(find_cells([filled.runs])) == 6


def test_the_timed_file_must_be_the_counted_file(filled):
    folder = filled.folder("beta_net")
    path = folder / "complexity.json"
    record = json.loads(path.read_text())
    record["inputs"]["model"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    refuses(filled, folder / "latency" / "onnxruntime.json", "inputs.model.sha256", "0" * 64)


def test_the_timed_file_must_be_the_scored_file(filled):
    folder = filled.folder("beta_net")
    path = folder / "accuracy.json"
    record = json.loads(path.read_text())
    timed = json.loads((folder / "latency" / "onnxruntime.json").read_text())
    record["model_sha256"] = timed["inputs"]["model"]["sha256"]
    path.write_text(json.dumps(record))
    assert find_entries([filled.runs])
    record["model_sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    refuses(filled, folder / "latency" / "onnxruntime.json", "scored file is", "0" * 64)


def test_methods_of_one_table_share_one_test_part(filled):
    folder = filled.folder("beta_net")
    path = folder / "accuracy.json"
    record = json.loads(path.read_text())
    record["inputs"]["images"]["sha256"] = "1" * 64
    path.write_text(json.dumps(record))
    refuses(filled, path, "inputs.images.sha256", "one test part")


def test_a_record_of_another_kind_is_refused(filled):
    folder = filled.folder("alpha")
    (folder / "train.json").write_text((folder / "complexity.json").read_text())
    with pytest.raises(ConfigError, match=re.escape(str(folder / "train.json"))):
        find_cells([filled.runs])


def test_another_engine_is_taken_where_onnxruntime_is_not(filled):
    folder = filled.folder("beta_net") / "latency"
    (folder / "onnxruntime.json").rename(folder / "ncnn.json")
    engines = {c.method: c.engine for c in find_cells([filled.runs / "clean"])}
    assert engines["beta_net"] == "ncnn"
    assert engines["alpha"] == "onnxruntime"


def test_leak_is_the_share_of_test_images_seen_in_training(filled):
    shares = {(e.first.protocol, e.first.method): e.leak_share for e in find_entries([filled.runs])}
    assert shares["clean", "alpha"] == 0
    assert shares["paper", "beta_net"] == 0.9


def test_titles(tmp_path):
    assert method_title("control_class_prior") == "Class prior"
    assert method_title("unknown", tmp_path) == "unknown"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.yaml").write_text("name: broken\n")
    with pytest.raises(ConfigError, match=r"card\.yaml"):
        method_title("broken", tmp_path)


def test_the_certificate_lies_beside_the_list_that_was_scored_on(shelf):
    """A study may own its results, and the parts of a dataset lie in a folder of the split's seed."""
    folder = shelf.method("alpha")
    parts = shelf.data / "clean" / "split3"
    parts.mkdir()
    for name in ("test.txt", "certificate.json"):
        (shelf.data / "clean" / name).rename(parts / name)
    record = read_json(folder / "accuracy.json")
    record["inputs"]["images"]["path"] = str(parts / "test.txt")
    (folder / "accuracy.json").write_text(json.dumps(record))
    owned = shelf.root / "results" / "trial"
    owned.mkdir()
    shelf.runs.parent.rename(owned / "runs")
    (entry,) = find_entries([owned / "runs"])
    assert entry.certificate_path == parts / "certificate.json"
    assert entry.first.folder == owned / "runs" / "steel" / "clean" / "alpha" / "seed0"


def test_every_topic_has_a_place_of_its_own_on_the_page():
    topics = find_topics()
    places = [topic.ORDER for topic in topics]
    assert len(set(places)) == len(places) > 8
    names = [topic.__name__.rsplit(".", 1)[-1] for topic in topics]
    first = names.index("engines")
    assert names[first : first + 3] == ["engines", "engine_speed", "engine_starts"]
