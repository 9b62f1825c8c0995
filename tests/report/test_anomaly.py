"""The table of what learnt from images without a defect: rows, intervals, notes, files, and pages."""

import csv
import json

import cv2
import numpy as np
import pytest
from report_parts import make_tables
from shelf import CLASSES, Shelf

from defectbench.base.records import write_record
from defectbench.measure.anomaly import evaluate_anomaly
from defectbench.report.records.cells import find_entries
from defectbench.report.records.comparison import anomaly_runs
from defectbench.report.records.detections import threshold_of
from defectbench.report.records.study import read_study
from defectbench.report.reference import keep_reference
from defectbench.report.render import render_report
from defectbench.report.site.standing import standings
from defectbench.report.topics import anomaly, engines

FREE, BAD = 20, 10
N = FREE + BAD
POINT = 18.5


class FreeShelf(Shelf):
    """A results folder with a set most of which shows no defect: the first ``free`` images."""

    free = FREE

    def _write_truth(self):
        images = [
            {"id": n, "file_name": f"plate_{n}.png", "width": 9, "height": 9}
            for n in range(1, N + 1)
        ]
        boxes = [
            {"id": n, "image_id": n, "category_id": n % 2, "bbox": [0, 0, 9, 9]}
            for n in range(self.free + 1, N + 1)
        ]
        categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES)]
        truth = {"info": {"task": "anomaly"}, "images": images}
        truth |= {"annotations": boxes, "categories": categories}
        (self.data / "images").mkdir(parents=True)
        for n in range(1, N + 1):
            pixels = np.full((9, 9), 8 * n, np.uint8)
            cv2.imwrite(str(self.data / "images" / f"plate_{n}.png"), pixels)
        (self.data / "annotations.json").write_text(json.dumps(truth))
        rows = "".join(f"plate_{n}.png,{n // 2}\n" for n in range(1, N + 1))
        (self.data / "groups.csv").write_text("file_name,group\n" + rows)
        return truth

    def tell(self, folder, scores, point=POINT):
        """Score one number an image."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"image_id": n, "anomaly": float(s)} for n, s in enumerate(scores, 1)]
        (folder / "predictions.json").write_text(json.dumps(rows))
        write_record(folder / "operating_point.json", "operating_point", {"threshold": point}, {})
        files = (self.data / "annotations.json", folder / "predictions.json")
        lists = self.data / "clean" / "test.txt"
        evaluate_anomaly(*files, lists, self.data / "groups.csv", folder / "accuracy.json")

    def fitted(self, name, scores, seed=0, point=POINT):
        """A method with all its records."""
        trained = {"epochs": 1, "val_auroc": 0.9, "val_auroc_last": 0.9}
        folder = self.method(name, seed=seed, trained=trained)
        (folder / "history.csv").write_text("epoch,bank_vectors,val_auroc\n1,40,0.9\n")
        record = json.loads((folder / "train.json").read_text())
        record |= {"fit": {"bank_vectors": 40}, "fitted_to": {"part": "train", "image_ids": [1]}}
        (folder / "train.json").write_text(json.dumps(record))
        self.tell(folder, scores, point)
        return folder


GOOD = [*range(FREE), *range(30, 39), 5]
POOR = [*range(FREE), 25, 26, 27, *[3.5] * 7]


@pytest.fixture
def filled(tmp_path):
    shelf = FreeShelf(tmp_path, dataset="plates", images=N)
    shelf.split("clean", test=N)
    shelf.fitted("bank+from_imagenet", GOOD)
    shelf.fitted("bank", POOR)
    shelf.tell(shelf.folder("control_random_score"), [n * 7 % N for n in range(N)])
    return shelf


def test_rows_stand_by_auroc_and_controls_below(filled):
    study = make_tables([filled.runs]).report.study
    good, poor, control = study.share(anomaly.rows_of)
    assert [row.method for row in (good, poor)] == ["bank+from_imagenet", "bank"]
    assert good.auroc == pytest.approx((9 * 20 + 5.5) / 200)
    assert good.escape_rate_val == pytest.approx(0.1)
    assert good.overkill_rate_val == pytest.approx(1 / 20)
    assert (good.n_defect_free_images, good.n_defective_images) == (20, 10)
    assert (good.bank_vectors, good.val_auroc, good.interval_over) == (40, 0.9, "groups")
    assert control.is_control
    assert control.title == "Random score"
    assert "not above Random score" in poor.flags


def test_what_published_weights_gain_is_told_in_auroc(filled):
    table = make_tables([filled.runs]).tables["anomaly_transfer"]
    (row,) = [row.values for row in table.rows]
    assert (row["figure"], row["start"], row["epochs"]) == ("auroc", "ImageNet", 1)
    assert row["started"] == pytest.approx((9 * 20 + 5.5) / 200)
    assert row["gain"] == pytest.approx(row["started"] - row["scratch"])
    assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert "in AUROC" in table.lead


def test_one_method_is_better_where_its_scores_are(filled):
    study = make_tables([filled.runs]).report.study
    (pair,) = study.share(anomaly.compared)
    assert (pair.first, pair.figure) == ("bank+from_imagenet", "auroc")
    assert "bootstrap over groups" in pair.test
    (standing,) = standings(study)
    assert (standing.figure, standing.heading) == ("auroc", "AUROC")
    assert standing.picks[0].row.method == "bank+from_imagenet"


def test_several_seeds_have_intervals_over_seeds(filled):
    filled.fitted("bank+from_imagenet", GOOD, seed=1)
    study = make_tables([filled.runs]).report.study
    row = study.share(anomaly.rows_of)[0]
    assert (row.n_seeds, row.interval_over) == (2, "seeds and groups")
    entry = next(e for e in study.entries if e.first.method == "bank+from_imagenet")
    runs = anomaly_runs(entry.cells)
    assert runs is not None
    assert set(runs) == {"auroc", "escape_rate", "escape_rate_val", "overkill_rate_val"}
    assert runs["auroc"].values == pytest.approx([row.auroc] * 2)


def test_few_images_without_a_defect_leave_rates_open(tmp_path):
    shelf = FreeShelf.__new__(FreeShelf)
    shelf.free = 12
    shelf.__init__(tmp_path, dataset="plates", images=N)
    shelf.split("clean", test=N)
    for seed in (0, 1):
        shelf.fitted("bank", [*range(12), *range(20, 38)], seed, point=None)
    made = make_tables([shelf.runs])
    (row,) = made.report.study.share(anomaly.rows_of)
    assert (row.auroc, row.escape_rate, row.escape_rate_val) == (1.0, None, None)
    notes = " ".join(made.tables["anomaly"].notes)
    assert "With fewer than 20 without a defect no rate of overkill is told." in notes


@pytest.mark.parametrize(
    ("free", "bad", "told", "untold"),
    [
        (40, 0, "No validation image of plates, clean shows a defect", "in steps of"),
        (
            12,
            5,
            "plates, clean has 12 images without a defect, so that overkill moves in steps of 8.3",
            "No validation",
        ),
        (20, 5, "Labels needed", "validation part of plates"),
        (12, 0, "shows a defect: there is no AUROC on validation.", "the threshold is set on"),
    ],
)
def test_notes_say_what_the_validation_part_lacks(filled, free, bad, told, untold):
    for cell in ("bank+from_imagenet", "bank"):
        counts = {"n_defect_free_images": free, "n_defective_images": bad}
        point = filled.folder(cell) / "operating_point.json"
        write_record(point, "operating_point", {"threshold": POINT, **counts}, {})
    made = make_tables([filled.runs])
    notes = " ".join(made.tables["anomaly"].notes)
    assert told in notes
    assert untold not in notes
    row = made.report.study.share(anomaly.rows_of)[0]
    assert (row.n_val_defect_free_images, row.n_val_defective_images) == (free, bad)


def test_notes_say_what_the_rates_rest_on(filled):
    notes = " ".join(make_tables([filled.runs]).tables["anomaly"].notes)
    assert "Labels needed: none" in notes
    assert "plates, clean: 20 without a defect, 10 with one" in notes
    assert "rests on few of them, 1 of 20" in notes
    assert "whose network has learnt nothing" in notes


def test_files_and_pages(filled, monkeypatch):
    monkeypatch.chdir(filled.root)
    render_report([filled.runs], filled.out, "plates")
    for name in ("anomaly.csv", "anomaly.md", "anomaly.tex", "anomaly_per_class.csv"):
        assert (filled.out / name).is_file(), name
    with (filled.out / "anomaly.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 3
    assert float(rows[0]["escape_rate_val"]) == pytest.approx(0.1)
    assert not (filled.out / "comparison.csv").exists()
    pages = "".join(path.read_text() for path in (filled.out / "pages").rglob("*.html"))
    assert "rejected" in pages
    assert "overkill" in pages
    assert "escape" in pages


def test_dark_images_that_are_the_defective_ones_tell_as_bright_ones_would(tmp_path):
    shelf = FreeShelf(tmp_path, dataset="plates", images=N)
    shelf.split("clean", test=N)
    shelf.fitted("bank", [*np.linspace(0, 20, FREE), *np.linspace(8, 22, BAD)])
    shelf.tell(shelf.folder("control_mean_grey"), np.arange(N)[::-1])
    (row, control) = anomaly.rows_of(read_study([shelf.runs]))
    assert control.auroc == 0.0
    assert row.flags == "not above Mean grey level, the darker the more defective"


def test_kept_truth_holds_no_threshold_of_a_cell(filled, tmp_path):
    keep_reference([filled.runs], tmp_path / "kept")
    names = {path.name for path in (tmp_path / "kept" / "data").rglob("*") if path.is_file()}
    assert names
    assert not [name for name in names if name.startswith("operating_point")]
    assert list((tmp_path / "kept" / "plates").rglob("operating_point.json"))


def test_a_cell_without_a_threshold_has_not_that_of_boxes(filled):
    (cell,) = [e.first for e in find_entries([filled.runs]) if e.first.method == "bank"]
    (cell.folder / "operating_point.json").unlink()
    assert threshold_of(cell) is None


def test_forms_are_held_against_the_artifact_by_auroc(filled):
    (entry,) = [e for e in find_entries([filled.runs]) if e.first.method == "bank"]
    artifacts = engines._Artifacts(entry)
    assert engines._gain(artifacts, entry.cells) == {"gain": 0, "gain_low": 0, "gain_high": 0}
