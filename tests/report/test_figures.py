"""Figures: the front, the curves, and files that are the same on each run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_parts import draw

from defectbench.base.errors import ReportError
from defectbench.report.figures.curves import curves_figure, read_history
from defectbench.report.figures.pareto import pareto_figure, pareto_front
from defectbench.report.figures.style import looks
from defectbench.report.records.cells import find_cells, find_entries
from defectbench.report.topics.detection.rows import build_rows

points = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1)


def test_the_front_of_hand_made_points():
    assert pareto_front([(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.6), (4, 0.9)]) == [
        (1, 0.5),
        (2, 0.6),
        (3, 0.9),
    ]
    assert pareto_front([]) == []
    assert pareto_front([(1, 0.5), (1, 0.5)]) == [(1, 0.5)]


@given(points)
def test_the_front_is_what_no_point_beats(cloud):
    front = pareto_front(cloud)

    def beaten(p):
        return any((c <= p[0] and s >= p[1]) and (c, s) != p for c, s in cloud)

    assert set(front) == {p for p in cloud if not beaten(p)}
    assert front == sorted(front)


def test_figures_of_each_dataset_and_protocol_the_same_on_each_run(filled):
    draw([filled.runs], filled.out)
    made = {path.name: path.read_bytes() for path in (filled.out / "figures").iterdir()}
    stems = ("pareto_steel_clean", "pareto_steel_paper", "curves_steel_clean", "curves_steel_paper")
    assert set(made) == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "png")}
    width = int.from_bytes(made["pareto_steel_clean.png"][16:20], "big")
    assert width >= 1200
    draw([filled.runs], filled.out)
    assert {path.name: path.read_bytes() for path in (filled.out / "figures").iterdir()} == made


def test_an_invalid_timing_is_hollow_and_not_on_the_front(filled):
    filled.method("gamma", map50=0.7, p50=9.0)
    entries = find_entries([filled.runs])
    rows = [row for row in build_rows(entries)[0] if row.protocol == "clean"]
    axes = pareto_figure(rows, looks(entries)).axes
    faces = {line.get_markerfacecolor() for line in axes[0].lines if line.get_marker() in "os"}
    assert "white" in faces
    assert "white" not in {line.get_markerfacecolor() for line in axes[1].lines}
    latency_front = next(line for line in axes[0].lines if line.get_drawstyle() == "steps-post")
    assert list(latency_front.get_xdata()) == [pytest.approx(4.1), 9.0]


def test_a_single_method_has_no_front(shelf):
    shelf.method("alpha")
    entries = find_entries([shelf.runs])
    figure = pareto_figure(build_rows(entries)[0], looks(entries))
    assert not [
        line for axis in figure.axes for line in axis.lines if line.get_drawstyle() != "default"
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["alpha"]


def test_error_bars_reach_to_the_ends_of_the_interval(shelf):
    shelf.method("alpha", map50=0.5, reach=0.1, p50=4.0)
    entries = find_entries([shelf.runs])
    axis = pareto_figure(build_rows(entries)[0], looks(entries)).axes[0]
    ends = {
        round(float(v), 6)
        for bar in axis.collections
        for s in bar.get_segments()
        for v in s.ravel()
    }
    assert {40.0, 60.0, 3.9, 4.1} <= ends


def test_a_control_is_drawn_where_it_falls_among_the_scores(shelf):
    shelf.method("alpha", map50=0.5)
    shelf.control("memoriser", 0.48)
    shelf.control("oracle", 1.0)
    entries = find_entries([shelf.runs])
    figure = pareto_figure(build_rows(entries)[0], looks(entries))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["Memoriser"]


def test_costs_that_differ_by_much_are_drawn_on_a_logarithm(shelf):
    shelf.method("small", params_m=0.5)
    shelf.method("large", params_m=50.0)
    entries = find_entries([shelf.runs])
    axes = pareto_figure(build_rows(entries)[0], looks(entries)).axes
    assert [axis.get_xscale() for axis in axes] == ["linear", "log", "linear"]


def test_curves_show_each_seed_over_epochs(filled):
    entries = [e for e in find_entries([filled.folder("alpha").parent]) if not e.first.is_control]
    left, right = curves_figure(entries, looks(entries)).axes
    assert [list(line.get_xdata()) for line in left.lines] == [[1, 2], [1, 2]]
    assert [list(line.get_ydata()) for line in left.lines] == [[2.0, 1.0], [2.0, 1.0]]
    assert [list(line.get_ydata()) for line in right.lines] == [[25.0], [25.0]]


def test_history_by_column(filled):
    history = read_history(find_cells([filled.folder("alpha")])[0])
    assert history["loss"] == [(1, 2.0), (2, 1.0)]
    assert history["val_map50_95"] == [(2, 0.25)]


def test_a_missing_history_is_named(filled):
    path = filled.folder("beta_net") / "history.csv"
    path.unlink()
    with pytest.raises(ReportError, match="snakemake --cores 8") as caught:
        draw([filled.runs], filled.out)
    assert str(path) in str(caught.value)
    assert not (filled.out / "figures").exists()


def test_a_history_without_loss_is_named(filled):
    (filled.folder("alpha") / "history.csv").write_text("epoch,lr\n1,0.1\n")
    with pytest.raises(ReportError, match="'loss'"):
        read_history(find_cells([filled.folder("alpha")])[0])


def test_no_two_methods_look_the_same(shelf):
    for n in range(20):
        shelf.method(f"method{n:02d}")
    style = looks(find_entries([shelf.runs]))
    assert len({(look.colour, look.marker) for look in style.values()}) == 20


def test_a_method_without_counts_is_drawn_where_it_has_a_figure(shelf):
    shelf.method("alpha")
    shelf.foreign("gamma", map50=0.55)
    draw([shelf.runs], shelf.out)
    assert (shelf.out / "figures" / "pareto_steel_clean.png").is_file()
