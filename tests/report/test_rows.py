"""Rows: seeds joined, ranges flagged, the best marked only where it can be told."""

import json
import math

import pytest
from report_parts import make_tables
from scipy import stats

from defectbench.base import reference_models
from defectbench.report.columns import shown_columns, shown_fields, tile_notes
from defectbench.report.records.cells import find_entries
from defectbench.report.records.costs import TILED, of_whole_images
from defectbench.report.table import keys_of
from defectbench.report.topics.detection import COLUMNS
from defectbench.report.topics.detection.rows import DetectionRow, build_rows


def rows_of(shelf, **wanted):
    rows, pairs = build_rows(find_entries([shelf.runs]))
    return {
        row.method: row for row in rows if row.protocol == wanted.get("protocol", "clean")
    }, pairs


def test_one_seed_keeps_the_interval_over_groups(filled):
    row = rows_of(filled)[0]["beta_net"]
    assert (row.map50, row.map50_low, row.map50_high) == (0.5, 0.45, 0.55)
    assert (row.map50_95, row.map75) == (0.25, 0.125)
    assert (row.interval_over, row.n_seeds, row.seeds) == ("groups", 1, "0")
    assert (row.n_images, row.n_boxes, row.n_groups) == (6, 8, 4)
    assert row.escape_rate_images == 0.25


def test_three_seeds_give_mean_and_student_interval(shelf):
    for seed, score in enumerate((0.50, 0.56, 0.59)):
        shelf.method(
            "alpha",
            seed=seed,
            map50=score,
            reach=0,
            p50=4.0 + seed,
            trained={"train_s": 100.0 * seed},
        )
        (shelf.folder("alpha", seed=seed) / "predictions.json").unlink()
    row = rows_of(shelf)[0]["alpha"]
    reach = stats.t.ppf(0.975, 2) * math.sqrt(((0.05**2 + 0.01**2 + 0.04**2) / 2) / 3)
    assert row.map50 == pytest.approx(0.55)
    assert row.map50_low == pytest.approx(0.55 - reach)
    assert row.map50_high == pytest.approx(0.55 + reach)
    assert (row.interval_over, row.n_seeds, row.seeds) == ("seeds and groups", 3, "0 1 2")
    assert (row.latency_ms_p50, row.latency_ms_p90, row.latency_ms_p99) == (5.0, 6.0, 7.0)
    assert (row.latency_ms_p50_low, row.latency_ms_p50_high) == (3.9, 6.1)
    assert row.fps == 200.0
    assert row.train_s == 100.0


def test_an_interval_over_seeds_stays_within_0_and_1(shelf):
    for seed, score in enumerate((0.2, 0.9)):
        (shelf.method("alpha", seed=seed, map50=score) / "predictions.json").unlink()
    row = rows_of(shelf)[0]["alpha"]
    assert (row.map50_low, row.map50_high) == (0.0, 1.0)


def test_costs_of_a_row(filled):
    row = rows_of(filled)[0]["beta_net"]
    assert (row.params_m, row.macs_g, row.gflops, row.size_mib) == (2.5, 0.1, 0.2, 2.0)
    assert (row.size_px, row.epochs, row.train_s, row.images_per_s) == (64, 30, 100.0, 20.0)
    assert (row.engine, row.latency_threads, row.fps) == ("onnxruntime", 1, 125.0)


def test_an_invalid_timing_is_marked_and_kept(filled):
    row = rows_of(filled)[0]["beta_net"]
    assert row.latency_valid is False
    assert row.latency_invalid_because == "drift"
    assert row.latency_ms_p50 == 8.0


def test_one_invalid_seed_makes_the_row_invalid(shelf):
    shelf.method("alpha", seed=0)
    shelf.method("alpha", seed=1, invalid_because=["drift", "load"])
    row = rows_of(shelf)[0]["alpha"]
    assert (row.latency_valid, row.latency_invalid_because) == (False, "drift; load")


def test_a_control_has_a_score_and_no_cost(filled):
    row = rows_of(filled)[0]["control_oracle"]
    assert (row.map50, row.title, row.is_control) == (1.0, "Oracle", True)
    assert (row.params_m, row.latency_ms_p50, row.latency_valid, row.train_s) == (None,) * 4


def test_methods_by_falling_score_then_controls(shelf):
    for name, score in (("low", 0.2), ("high", 0.8), ("middle", 0.5)):
        shelf.method(name, map50=score)
    jitter = ("label_jitter_half", "label_jitter_ranked", "label_jitter")
    for kind in ("oracle", *jitter, "class_prior", "memoriser"):
        shelf.control(kind, 0.9)
    assert list(rows_of(shelf)[0]) == [
        "high",
        "middle",
        "low",
        "control_memoriser",
        "control_class_prior",
        "control_label_jitter",
        "control_label_jitter_ranked",
        "control_label_jitter_half",
        "control_oracle",
    ]


def test_the_best_is_marked_where_it_can_be_told(filled):
    rows, _ = rows_of(filled)
    assert rows["alpha"].best == "map50 map50_95 params_m"
    assert rows["beta_net"].best == ""
    assert rows["control_oracle"].best == ""


def test_latency_is_best_only_if_all_are_valid_and_intervals_part(shelf):
    shelf.method("alpha", p50=4.0)
    shelf.method("beta", p50=4.1)
    assert "latency_ms_p50" not in rows_of(shelf)[0]["alpha"].best
    shelf.method("beta", p50=4.5)
    assert rows_of(shelf)[0]["alpha"].best == "latency_ms_p50 fps"
    shelf.method("beta", p50=4.5, invalid_because=["drift"])
    assert rows_of(shelf)[0]["alpha"].best == ""


def test_a_wide_third_method_keeps_latency_unmarked(shelf):
    for name, p50 in (("alpha", 4.0), ("beta", 5.0), ("gamma", 9.0)):
        folder = shelf.method(name, p50=p50)
    shelf.change(folder / "latency" / "onnxruntime.json", latency_ms_p50_low=3.0)
    assert rows_of(shelf)[0]["alpha"].best == ""


def test_a_single_method_has_no_best(shelf):
    shelf.method("alpha")
    rows, pairs = rows_of(shelf)
    assert (rows["alpha"].best, pairs) == ("", [])


def test_equal_counts_have_no_best(shelf):
    shelf.method("alpha")
    shelf.method("beta", params_m=0.6)
    assert rows_of(shelf)[0]["alpha"].best == "params_m"


def test_a_score_outside_the_controls_is_flagged_and_never_best(shelf):
    shelf.method("alpha", map50=0.9, results=shelf.oracle())
    shelf.method("beta", map50=0.1)
    shelf.control("memoriser", 0.1)
    shelf.control("class_prior", 0.05)
    shelf.control("label_jitter", 0.8)
    shelf.control("label_jitter_half", 0.84)
    rows, _ = rows_of(shelf)
    assert rows["alpha"].flags == "above Half the label jitter, ideally ranked"
    assert rows["beta"].flags == "not above Memoriser"
    assert rows["alpha"].best == ""


def test_the_ceiling_must_lie_below_the_whole_interval(shelf):
    shelf.method("alpha", map50=0.9, reach=0.05)
    shelf.control("label_jitter_half", 0.86)
    assert rows_of(shelf)[0]["alpha"].flags == ""


def test_boxes_without_an_order_are_no_ceiling(shelf):
    shelf.method("alpha", map50=0.9, reach=0.05)
    shelf.control("label_jitter", 0.5)
    assert rows_of(shelf)[0]["alpha"].flags == ""


def test_each_row_of_the_label_jitter_is_explained(shelf):
    shelf.method("alpha")
    shelf.control("label_jitter", 0.5)
    shelf.control("label_jitter_half", 0.8)
    notes = make_tables([shelf.runs]).tables["comparison"].notes
    starts = ("Label jitter, unranked: ", "Half the label jitter, ideally ranked: ")
    assert [sum(note.startswith(start) for note in notes) for start in starts] == [1, 1]
    assert not [note for note in notes if note.startswith("Label jitter, ideally ranked")]


def test_a_control_without_grounds_has_no_row_and_the_table_says_why(shelf):
    shelf.method("alpha")
    for kind in ("label_jitter", "label_jitter_half"):
        folder = shelf.control(kind, 0.5)
        record = json.loads((folder / "accuracy.json").read_text())
        record["figures"] = {"absent_because": "3 boxes are shown by two images, 30 are needed"}
        (folder / "accuracy.json").write_text(json.dumps(record))
    table = make_tables([shelf.runs]).tables["comparison"]
    assert [row.values["method"] for row in table.rows] == ["alpha"]
    assert [note for note in table.notes if "label jitter" in note] == [
        "No row of the label jitter on steel, clean: 3 boxes are shown by two images, 30 are needed."
    ]


def test_each_protocol_is_a_block_of_its_own(filled):
    assert list(rows_of(filled, protocol="paper")[0]) == ["beta_net"]


def test_the_precision_of_training_is_told_where_it_is_not_full(shelf):
    full, half = shelf.method("alpha"), shelf.method("beta")
    recipes = {
        full: {"precision": "float32", "options": {"guide_precision": "bfloat16", "depth": 3}},
        half: {"precision": "bfloat16"},
    }

    def write(some):
        for folder, recipe in some.items():
            record = json.loads((folder / "train.json").read_text())
            (folder / "train.json").write_text(json.dumps(record | {"recipe": recipe}))

    write({folder: {"precision": "float32"} for folder in recipes})
    table = make_tables([shelf.runs]).tables["comparison"]
    assert "precision" not in [column.key for column in table.columns]
    assert not [note for note in table.notes if note.startswith("Precision")]
    assert [row.values["precision"] for row in table.rows] == ["float32", "float32"]
    write(recipes)
    table = make_tables([shelf.runs]).tables["comparison"]
    (column,) = (column for column in table.columns if column.key == "precision")
    assert {column.show(row).text for row in table.rows} == {"float32, guide bfloat16", "bfloat16"}
    assert [note for note in table.notes if note.startswith("Precision")]


def race(shelf, name, ratio, reach=0.02):
    path = shelf.folder(name) / "latency" / "onnxruntime.json"
    ends = {"ratio_to_reference_low": ratio - reach, "ratio_to_reference_high": ratio + reach}
    shelf.change(path, ratio_to_reference=ratio, **ends)


def test_ratios_to_two_reference_models_are_told_apart(shelf):
    for name, sha256 in {"alpha": reference_models.TODAY, "beta": reference_models.EARLIER}.items():
        shelf.method(name)
        race(shelf, name, 0.5)
        path = shelf.folder(name) / "latency" / "onnxruntime.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"settings": {"reference_sha256": sha256}}))
    notes = make_tables([shelf.runs]).tables["comparison"].notes
    (note,) = (note for note in notes if note.startswith("Time of reference"))
    assert "ShuffleNetV2" in note
    assert note.endswith("race them together.")


def test_the_ratio_to_the_reference_stands_beside_the_milliseconds(shelf):
    shelf.method("alpha", p50=4.0)
    shelf.method("beta", p50=3.0)
    race(shelf, "alpha", 0.5)
    table = make_tables([shelf.runs]).tables["comparison"]
    (column,) = (column for column in table.columns if column.key == "ratio_to_reference")
    shown = {row.values["method"]: column.show(row) for row in table.rows}
    assert (shown["alpha"].text, shown["alpha"].aside) == ("0.500", "[0.480, 0.520]")
    assert shown["alpha"].href.endswith("alpha/seed0/latency/onnxruntime.json")
    assert shown["beta"].text == "–"
    (note,) = (note for note in table.notes if note.startswith("Time of reference"))
    assert note.endswith("The reference model: one that its record does not name.")
    # the faster one by milliseconds of another hour is not the faster one
    race(shelf, "beta", 0.6)
    rows = rows_of(shelf)[0]
    assert rows["alpha"].best == "ratio_to_reference latency_ms_p50 fps"
    assert rows["beta"].best == ""
    race(shelf, "beta", 0.53)
    assert rows_of(shelf)[0]["alpha"].best == ""


def test_without_a_race_no_column_is_empty(shelf):
    shelf.method("alpha")
    table = make_tables([shelf.runs]).tables["comparison"]
    assert "ratio_to_reference" not in [column.key for column in table.columns]


def test_a_method_in_tiles_states_tiles_and_images_apart(shelf):
    cut = {"side": 128, "overlap": 32, "least_visible": 0.5, "free_share": 1.0}
    for seed, latency in enumerate((40.0, 44.0)):
        folder = shelf.method("alpha", seed=seed, p50=4.0)
        of_image = {
            f"image_latency_ms_p50{end}": latency + n for n, end in enumerate(("", "_high"))
        }
        of_image |= {"image_latency_ms_p50_low": latency - 1, "tiles_per_image": 9.5}
        shelf.change(folder / "latency" / "onnxruntime.json", **of_image)
        accuracy = json.loads((folder / "accuracy.json").read_text())
        (folder / "accuracy.json").write_text(json.dumps(accuracy | {"tiles": cut}))
    shelf.method("whole")
    rows = rows_of(shelf)[0]
    tiled = rows["alpha"]
    assert (tiled.tile_px, tiled.tile_overlap_px, tiled.tiles_per_image) == (128, 32, 9.5)
    assert (tiled.latency_ms_p50, tiled.fps, tiled.image_latency_ms_p50) == (4.0, 250.0, 42.0)
    assert (tiled.image_latency_ms_p50_low, tiled.image_latency_ms_p50_high) == (39.0, 45.0)
    assert [getattr(rows["whole"], name) for name in TILED] == [None] * len(TILED)
    assert "tile_px" in shown_fields(keys_of(DetectionRow), list(rows.values()))
    keys = [column.key for column in shown_columns(COLUMNS, list(rows.values()))]
    assert {"tile_px", "tiles_per_image", "image_latency_ms_p50"} <= set(keys)
    assert not {"tile_px"} & {column.key for column in shown_columns(COLUMNS, [rows["whole"]])}
    assert (of_whole_images(tiled).latency_ms_p50, of_whole_images(rows["whole"])) == (
        42.0,
        rows["whole"],
    )
    timed = {"latency_ms_p50", "fps"}
    assert not timed & {name for row in rows.values() for name in row.best.split()}
    (note,) = tile_notes(list(rows.values()))
    assert "Latency and FPS are of a tile" in note
    assert tile_notes([rows["whole"]]) == []
