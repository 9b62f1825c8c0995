"""Folders of reference: what is kept of cells, and that it renders by itself."""

import gzip
import json
import shlex
import shutil

import pytest
from html_page import pages_of
from rendered import REFERENCE, ROOT
from report_parts import said

from defectbench.base.errors import ReportError
from defectbench.cli import main
from defectbench.report.records.comparison import OVERLAP, paired_test, precision_runs
from defectbench.report.reference import keep_reference
from defectbench.report.render import make_report, render_reference


@pytest.fixture
def kept(shelf):
    """A kept copy of two scored methods and a control, whose run is gone."""
    for name, images in (("alpha", None), ("beta", {1, 2})):
        folder = shelf.method(name)
        shelf.rescore(folder, shelf.oracle(images=images))
    shelf.control("memoriser", 0.0)
    (shelf.folder("alpha") / "checkpoint").mkdir()
    (shelf.folder("alpha") / "checkpoint" / "state.json").write_text("{}")
    before = said(make_report([shelf.runs]))
    keep_reference([shelf.runs], shelf.root / "reference" / "trial")
    shutil.rmtree(shelf.root / "results")
    return shelf.root / "reference" / "trial", before


def test_what_is_kept(kept):
    folder, _ = kept
    cell = folder / "steel" / "clean" / "alpha" / "seed0"
    assert {path.name for path in cell.iterdir()} == {
        *("accuracy.json", "complexity.json", "train.json", "history.csv", "latency"),
        "predictions.json.gz",
    }
    truth = folder / "data" / "steel" / "clean"
    names = ("annotations.json.gz", "groups.csv.gz", "images.txt.gz", "certificate.json")
    assert {path.name for path in truth.iterdir()} == set(names)


def test_pairs_are_drawn_from_what_is_kept(kept):
    folder, before = kept
    after = said(make_report([folder], is_kept=True))
    assert after.pairs == before.pairs
    assert {pair.test for pair in after.pairs} == {paired_test(1000, 1)}
    (alpha, *_) = after.entries
    assert precision_runs(alpha.cells, 5)["map50"].resampled[0].whole == pytest.approx(1.0)
    assert alpha.certificate_path == folder / "data" / "steel" / "clean" / "certificate.json"


def test_equal_cells_are_kept_in_equal_bytes(shelf):
    shelf.method("alpha")
    places = [shelf.root / name for name in ("one", "two")]
    made = []
    for place in places:
        keep_reference([shelf.runs], place)
        files = (path for path in sorted(place.rglob("*")) if path.is_file())
        made.append({path.relative_to(place): path.read_bytes() for path in files})
    assert made[0] == made[1]


def test_predictions_of_another_score_are_not_kept_and_not_used(kept, shelf):
    folder, _ = kept
    path = folder / "steel" / "clean" / "beta" / "seed0" / "predictions.json.gz"
    path.write_bytes(gzip.compress(json.dumps([]).encode()))
    with pytest.raises(ReportError, match=r"predictions\.sha256"):
        make_report([folder], is_kept=True)
    path.unlink()
    report = said(make_report([folder], is_kept=True))
    assert {pair.test for pair in report.pairs} == {OVERLAP}
    assert [note for note in report.notes if note.startswith("1 of 3 cells were kept without")]
    with pytest.raises(ReportError, match="predictions or truth"):
        keep_reference([folder], shelf.root / "again")


def test_a_cell_that_was_not_timed_is_kept_and_said(shelf):
    folder = shelf.method("alpha")
    shutil.rmtree(folder / "latency")
    with pytest.raises(ReportError, match="defectbench race"):
        keep_reference([shelf.runs], shelf.root / "strictly")
    lacks = []
    (cell,) = keep_reference([shelf.runs], shelf.root / "kept", lacks)
    assert lacks == ["alpha on steel, clean, seed 0, has no record of latency."]
    assert (cell / "train.json").is_file()


def test_a_timed_file_that_was_not_scored_is_not_kept(shelf):
    path = shelf.method("alpha") / "latency" / "onnxruntime.json"
    record = json.loads(path.read_text())
    record["inputs"]["model"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(ReportError, match="score, count and time the same"):
        keep_reference([shelf.runs], shelf.root / "kept", [])


def test_what_is_kept_can_be_kept_again(kept):
    folder, before = kept
    again = folder.parent / "again"
    keep_reference([folder], again)
    names = [sorted(p.relative_to(f) for p in f.rglob("*")) for f in (folder, again)]
    assert names[0] == names[1]
    assert said(make_report([again], is_kept=True)).pairs == before.pairs


def test_a_kept_folder_renders_to_a_page_without_a_gallery(kept):
    folder, _ = kept
    out = folder.parent / "report"
    render_reference(folder, out)
    pages = pages_of(out)
    assert "predictions.json.gz" in (out / "pages" / "runs.html").read_text()
    assert (
        "No images are kept, so there is no gallery."
        in (out / "pages" / "dataset-steel.html").read_text()
    )
    assert [page.path.name for page in pages if page.broken()] == []
    assert not (out / "pages" / "compare.html").exists()
    assert not list((out / "gallery").iterdir())
    assert list((out / "figures").glob("pareto_steel_clean.svg"))


def test_kept_records_are_rendered_by_their_own_verb_and_the_other_says_so(kept, shelf, capsys):
    """Nothing but the folder itself is there: no run, no data, no image."""
    folder, _ = kept
    out = shelf.root / "my report"
    where = ["--out", str(out), "--models", str(shelf.root)]
    assert main(["report", str(folder), "--study", "trial", *where]) != 0
    told = capsys.readouterr().err
    assert f"{folder}: records: got 'kept ones, without images'" in told
    assert not out.exists()
    command = shlex.split(told.strip().partition("render them with: defectbench ")[2])
    assert command == ["report-reference", str(folder), *where[:2]]
    assert main([*command, *where[2:], "--parquet"]) == 0
    stems = {path.stem for path in out.glob("*.csv")}
    assert stems >= {"comparison", "pairs", "per_class"}
    assert {path.stem for path in out.glob("*.parquet")} == stems
    assert (out / "index.html").is_file()


@pytest.mark.parametrize(
    "name", sorted(path.name for path in REFERENCE.iterdir() if list(path.rglob("accuracy.json")))
)
def test_every_folder_of_reference_renders_and_says_what_it_lacks(name):
    report = make_report([REFERENCE / name], ROOT / "models", is_kept=True)
    first = report.tables[0]
    assert first.rows
    assert "No images are kept, so there is no gallery." in first.notes
    if name == "slimming":
        assert [note for note in first.notes if "has no way from its base" in note]
    if name == "neu-det-60-epochs":
        missing = "lidd_net on neu-det-60-epochs, paper, seed 0, has no record of latency."
        assert missing in first.notes


def test_a_study_lacks_nothing_silently(shelf):
    (shelf.method("alpha") / "latency" / "onnxruntime.json").unlink()
    with pytest.raises(ReportError, match="latency record"):
        make_report([shelf.runs])
    report = make_report([shelf.runs], is_kept=True)
    lack = "alpha on steel, clean, seed 0, has no record of latency."
    assert lack in report.tables[0].notes


def test_a_study_in_the_making_shows_what_is_made(shelf):
    scored = [shelf.method("alpha"), shelf.method("beta")]
    shutil.rmtree(scored[1] / "latency")
    cells = [*scored, shelf.folder("gamma")]
    report = make_report(cells, is_partial=True)
    notes = report.tables[0].notes
    assert "1 of 3 cells of the study are not scored yet." in notes
    assert "beta on steel, clean, seed 0, has no record of latency." in notes
    assert not [note for note in notes if "No images are kept" in note]
    assert {row.values["method"] for row in report.tables[0].rows} == {"alpha", "beta"}
    with pytest.raises(ReportError, match="run snakemake scores first"):
        make_report([shelf.folder("gamma")], is_partial=True)
