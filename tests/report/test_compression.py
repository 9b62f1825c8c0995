"""The way of a compressed cell: each stage from its own records, beside the base of the same seed."""

import csv
import json
from dataclasses import replace

import pytest
from report_parts import make_tables, tabulate

from defectbench.base.errors import ReportError
from defectbench.base.files import read_json
from defectbench.base.records import write_record
from defectbench.report.figures.compression import compression_figure
from defectbench.report.records.cells import epochs_of, find_entries, method_title
from defectbench.report.render import render_report
from defectbench.report.topics.compression import compression_notes
from defectbench.report.topics.compression.stages import compression_stages

SMALL = "alpha+slim1mib"
SPARSE = "sparse-0000000"


def slimmed(shelf, base="alpha", name=SMALL, seed=0, map50=0.5, results=None, drop_units=0):
    """A compressed cell with all of its stages, beside a base that is there."""
    whole = shelf.folder(base, seed=seed)
    folder = shelf.method(name, seed=seed, map50=map50, results=results, params_m=0.2)
    shelf.change(folder / "train.json", stored_mib=1.0, epochs=10, start_epochs=40, train_s=150.0)
    places = {
        "sparse": (whole / f"{SPARSE}{len(name)}", map50 + 0.05),
        "pruned": (folder / "pruned", map50 / 10),
        "channels": (folder / "pruned" / "channels", map50 / 2),
    }
    if not drop_units:
        del places["channels"]
    for stage, (place, score) in places.items():
        model = place / "model.onnx"
        place.mkdir()
        model.write_bytes(f"{name} {stage}".encode())
        part = (
            folder.parents[1] / f"{stage}{seed}" / "seed0"
        )  # scored as a cell of its own, then moved
        shelf.score(part, score, min(0.02, score), results)
        for file in part.iterdir():
            file.rename(place / file.name)
        record = read_json(place / "accuracy.json")
        record["inputs"]["predictions"]["path"] = str(place / "predictions.json")
        counted = write_record(
            place / "complexity.json",
            "complexity",
            {"params_m": 0.2, "macs_g": 0.05},
            {"model": model},
        )
        record["model_sha256"] = counted["inputs"]["model"]["sha256"]
        (place / "accuracy.json").write_text(json.dumps(record))
        part.rmdir()
        part.parent.rmdir()
    costs = {"train_s": 140.0, "epochs": 40}
    sparse = whole / f"{SPARSE}{len(name)}"
    write_record(sparse / "train.json", "train", costs | {"epochs": 10, "start_epochs": 30}, {})
    cut = {"size_mib": 1.0, "size_mib_before": 4.0}
    cut |= {"largest_score_cut": 0.02, "smallest_score_kept": 0.25}
    settings = {"settings": {"rule": "size", "target_mib": 1.0, "drop_units": drop_units}}
    settings |= {"scale_histogram": {"from": [0.0, 0.001, 0.01, 0.3], "count": [1, 2, 4, 5]}}
    start = {"start": sparse / "model.onnx"}
    write_record(folder / "pruned" / "prune.json", "prune", costs | cut, start, extra=settings)
    if drop_units:
        wider = folder / "pruned" / "channels" / "prune.json"
        write_record(wider, "prune", costs | cut | {"size_mib": 1.6}, start, extra=settings)
    timed = {"latency_ms_p50": 2.0, "base_latency_ms_p50": 4.0, "ratio_to_base": 0.5}
    timed |= {"ratio_to_base_low": 0.49, "ratio_to_base_high": 0.51, "valid": True}
    files = {"model": folder / "model.onnx", "base": whole / "model.onnx"}
    path = folder / "beside_base.json"
    write_record(path, "latency_beside", timed | {"invalid_because": []}, files)
    return folder


@pytest.fixture
def small(filled):
    slimmed(filled, results=filled.oracle(images={1, 2, 3}))
    return filled


def stages_of(shelf, models="models"):
    return compression_stages(find_entries([shelf.runs], models))


def test_each_stage_has_its_own_score_size_and_cost(small):
    stages = {stage.stage: stage for stage in stages_of(small)}
    assert list(stages) == ["base", "sparse", "pruned", "recovered"]
    assert [s.stored_mib for s in stages.values()] == [4.0, 4.0, 1.0, 1.0]
    assert [s.factor for s in stages.values()] == [1.0, 1.0, 4.0, 4.0]
    assert [s.score for s in stages.values()] == pytest.approx([0.6, 0.55, 0.05, 0.5])
    assert [s.epochs for s in stages.values()] == [30, 40, 40, 50]
    assert [s.latency_ms_p50 for s in stages.values()] == [4.0, None, None, 2.0]
    assert [s.ratio_to_base for s in stages.values()] == [1.0, None, None, 0.5]
    assert {s.seed for s in stages.values()} == {0}
    assert stages["base"].difference is None
    parted = ("faded_scales_share", "largest_score_cut", "smallest_score_kept")
    assert [getattr(stages["pruned"], name) for name in parted] == [0.25, 0.02, 0.25]
    assert stages["recovered"].faded_scales_share is None


def test_where_units_go_the_channels_alone_are_a_stage(filled):
    folder = slimmed(filled, drop_units=4)
    stages = {stage.stage: stage for stage in stages_of(filled)}
    assert list(stages) == ["base", "sparse", "channels", "pruned", "recovered"]
    assert [s.stored_mib for s in stages.values()] == [4.0, 4.0, 1.6, 1.0, 1.0]
    assert stages["channels"].score == pytest.approx(0.25)
    # said once, of the whole cut
    assert [s.stage for s in stages.values() if s.faded_scales_share is not None] == ["pruned"]
    tabulate([filled.runs], filled.out)
    text = (filled.out / "compression.md").read_text()
    assert "[channels cut, units left]" in text
    (folder / "pruned" / "channels" / "accuracy.json").unlink()
    with pytest.raises(ReportError, match=r"channels/accuracy\.json"):
        stages_of(filled)


def test_the_widths_of_a_cut_from_scratch_are_a_control(filled):
    slimmed(filled)
    own = slimmed(filled, name=f"{SMALL}_thin", map50=0.4)
    record = read_json(own / "train.json")
    del record["figures"]["start_epochs"]
    (own / "train.json").write_text(json.dumps(record))
    ways = [s for s in stages_of(filled) if s.method.endswith("_thin")]
    assert [(s.stage, s.title) for s in ways] == [
        ("base", "alpha, slimmed to 1 MiB, thin from scratch"),
        ("control", "alpha, slimmed to 1 MiB, thin from scratch"),
    ]
    assert ways[1].score == pytest.approx(0.4)
    assert (ways[1].stored_mib, ways[1].epochs) == (1.0, 10)  # nothing is behind it
    assert ways[1].difference is None or ways[1].difference < 0
    assert not any("from scratch stands" in line for line in compression_notes(stages_of(filled)))


def test_the_difference_to_the_base_is_paired(small):
    truth, half = small.oracle(), small.oracle(images={1, 2, 3})
    small.rescore(small.folder("alpha"), truth)
    folder = small.folder(SMALL)
    small.rescore(folder, half)
    for record in (small.folder("alpha"), folder):
        assert read_json(record / "accuracy.json")["inputs"]["predictions"]
    last = next(stage for stage in stages_of(small) if stage.stage == "recovered")
    own, base = (
        read_json(f / "accuracy.json")["figures"]["map50"] for f in (folder, small.folder("alpha"))
    )
    assert last.difference == pytest.approx(own - base)
    assert last.difference_low <= last.difference <= last.difference_high


def test_a_control_by_its_card_stands_beside(small):
    models = small.root / "models"
    card = models / "beta_net"
    card.mkdir(parents=True)
    text = (
        "name: beta_net\ntitle: Beta\nfamily: engine\npaper: p\nlicence: l\ngolden: {params: 1}\n"
    )
    (card / "card.yaml").write_text(f"{text}control_of: alpha\n")
    small.change(small.folder("beta_net") / "train.json", stored_mib=2.0)
    control = stages_of(small, models)[-1]
    assert (control.stage, control.title, control.factor) == ("control", "Beta", 2.0)
    assert (control.latency_ms_p50, control.ratio_to_base, control.latency_valid) == (
        8.0,
        None,
        False,
    )


def test_files_and_page_hold_the_way_and_lose_it_with_the_cell(small):
    render_report([small.runs], small.out, "trial")
    rows = list(csv.DictReader((small.out / "compression.csv").open()))
    assert [row["stage"] for row in rows] == ["base", "sparse", "pruned", "recovered"]
    text = (small.out / "compression.md").read_text()
    assert "## alpha, slimmed to 1 MiB: steel, clean, seed 0" in text
    assert "| 4.00 | 0.200 |" in text
    assert "0.500 [0.490, 0.510]" in text
    page = (small.out / "pages" / "further.html").read_text()
    assert 'id="compression"' in page
    assert "seed0/pruned/prune.json" in page
    for kind in ("svg", "png"):
        assert (small.out / "figures" / f"compression_steel_clean.{kind}").is_file()
    for path in (small.folder(SMALL) / "pruned").iterdir():
        path.unlink()
    tabulate([small.runs], small.out)
    assert not (small.out / "compression.csv").exists()


def test_the_row_of_the_comparison_counts_all_epochs(small):
    row = next(row for row in make_tables([small.runs]).rows if row.method == SMALL)
    assert (row.title, row.epochs, row.train_s) == ("alpha, slimmed to 1 MiB", 50, 150.0)


def test_a_teacher_is_counted_unless_the_run_comes_from_it():
    figures = {"epochs": 10, "start_epochs": 40, "teacher_epochs": 30}
    record = {"figures": figures, "inputs": {"teacher": {"sha256": "c"}}, "lineage": ["r", "p"]}
    assert epochs_of(record) == 80
    assert epochs_of(record | {"lineage": ["c", "p"]}) == 50
    assert epochs_of({"figures": {"epochs": 10, "teacher_epochs": 30}, "inputs": {}}) == 10


def test_the_caption_names_what_has_no_control(small):
    said = "No network of such a size from scratch stands beside alpha, slimmed to 1 MiB."
    stages = stages_of(small)
    assert said in compression_notes(stages)
    control = replace(stages[0], stage="control", method="thin", title="thin")
    assert said not in compression_notes([*stages, control])


def test_the_caption_says_what_a_cut_by_scales_met(small):
    caption = " ".join(compression_notes(stages_of(small)))
    assert "alpha, slimmed to 1 MiB, seed 0: 25.0 % of the scales were under 0.01 before" in caption
    assert "took channels of scores up to 0.020 and left others from 0.250 on" in caption
    assert "has learnt for longer than its base" in caption


def test_titles_are_those_of_the_base_with_what_was_done():
    assert method_title("yolov4+slim4.19mib") == "YOLOv4, slimmed to 4.19 MiB"
    assert (
        method_title("none+slim85percent_bernoulli")
        == "none, slimmed by 85 % of its scales, bernoulli"
    )


def test_a_stage_without_a_record_or_with_those_of_two_files_is_named(small):
    counted = small.folder("alpha") / f"{SPARSE}{len(SMALL)}" / "complexity.json"
    record = read_json(counted)
    record["inputs"]["model"]["sha256"] = "0" * 64
    counted.write_text(json.dumps(record))
    with pytest.raises(ReportError, match=r"sparse-\w+/accuracy\.json: model_sha256"):
        stages_of(small)
    counted.unlink()
    with pytest.raises(ReportError, match="complexity record"):
        stages_of(small)


def test_a_ratio_of_other_files_is_named(small):
    beside = small.folder(SMALL) / "beside_base.json"
    record = read_json(beside)
    record["inputs"]["base"]["sha256"] = "0" * 64
    beside.write_text(json.dumps(record))
    with pytest.raises(ReportError, match=r"beside_base\.json: inputs\.base\.sha256"):
        stages_of(small)
    beside.unlink()
    with pytest.raises(ReportError, match="time both in one race"):
        stages_of(small)


def test_a_compressed_cell_without_its_base_is_named(filled):
    filled.method("gamma")
    folder = slimmed(filled, "gamma", "gamma+slim1mib")
    with pytest.raises(ReportError, match="add the cell of gamma, seed 0"):
        compression_stages(find_entries([folder]))


def test_the_figure_names_where_each_way_ends(small):
    stages = stages_of(small)
    scores = {"score": 0.9, "score_low": 0.8, "score_high": 0.95}
    thin = {"stage": "control", "method": "thin", "title": "thin", "record": "thin/seed0"}
    control = replace(stages[-1], **thin, **scores)
    left, right = compression_figure([*stages, control]).axes
    assert [label.get_text() for label in right.get_yticklabels()] == [stages[-1].title, "thin"]
    drawn = [line.get_xdata()[0] for line in right.get_lines() if line.get_marker() in ("D", "X")]
    assert drawn == pytest.approx([100 * stages[-1].score, 90.0])
    assert left.get_xscale() == "log"


def test_one_race_of_base_and_cut_comes_before_both_in_turn(small):
    folder = small.folder(SMALL)
    last = next(stage for stage in stages_of(small) if stage.stage == "recovered")
    assert (last.ratio_to_base, last.timed_by) == (0.5, "beside_base.json")
    path = folder / "latency" / "onnxruntime.json"
    record = read_json(path)
    record["figures"] |= {"ratio_to_base": 0.4, "ratio_to_base_low": 0.39, "latency_ms_p50": 1.6}
    record["figures"] |= {"ratio_to_base_high": 0.41, "base_latency_ms_p50": 4.2}
    counted = read_json(small.folder("alpha") / "complexity.json")
    record["inputs"]["base"] = counted["inputs"]["model"]
    path.write_text(json.dumps(record))
    stages = {stage.stage: stage for stage in stages_of(small)}
    ends = (stages["recovered"].ratio_to_base_low, stages["recovered"].ratio_to_base_high)
    assert (stages["recovered"].ratio_to_base, *ends) == (0.4, 0.39, 0.41)
    assert (stages["base"].latency_ms_p50, stages["recovered"].latency_ms_p50) == (4.2, 1.6)
    assert stages["recovered"].timed_by == "latency/onnxruntime.json"
    (folder / "beside_base.json").unlink()
    assert [stage.stage for stage in stages_of(small)] == list(stages)
