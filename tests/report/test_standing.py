"""Where methods stand: the front, three to look at, and what is not told apart; on hand-made rows."""

from types import SimpleNamespace

import pytest

from defectbench.report.records.comparison import UNKNOWN
from defectbench.report.site.charts import front_chart
from defectbench.report.site.standing import MILLISECONDS, RATIO, standing


def row(method, score, ratio=None, ms=1.0, **more):
    fields = {
        "dataset": "steel",
        "protocol": "clean",
        "method": method,
        "title": method.upper(),
        "map50": score,
        "map50_low": score - 0.1,
        "map50_high": score + 0.1,
        "ratio_to_reference": ratio,
        "latency_ms_p50": ms,
        "latency_valid": True,
        "tile_px": None,
        "flags": "",
        "is_control": method.startswith("control"),
    }
    return SimpleNamespace(**fields | more)


def pair(first, second, verdict=UNKNOWN, **more):
    fields = {"dataset": "steel", "protocol": "clean", "figure": "map50"}
    return SimpleNamespace(first=first, second=second, verdict=verdict, **fields | more)


def stand(rows, pairs=()):
    return standing(rows, list(pairs), "map50", "mAP50")


def picks(made):
    return {pick.row.method: pick.why for pick in made.picks}


def test_the_best_the_fastest_of_its_equals_and_the_fastest_are_to_look_at():
    rows = [row("a", 0.8, 9.0), row("b", 0.7, 5.0), row("c", 0.6, 4.0), row("d", 0.3, 1.0)]
    told = [
        pair("a", "c", "A is better"),
        pair("a", "d", "A is better"),
        pair("b", "c"),
        pair("a", "b"),
    ]
    made = stand(rows, told)
    assert picks(made) == {
        "a": "highest mAP50",
        "b": "fastest of those not told apart from the highest mAP50",
        "d": "fastest",
    }
    assert made.front == {"a", "b", "c", "d"}
    assert [r.method for r in made.untold] == ["b"]
    assert (made.n_pairs, made.n_untold) == (4, 2)


def test_one_that_is_first_in_all_leaves_room_for_the_rest_of_the_front():
    rows = [row("a", 0.8, 2.0), row("b", 0.7, 1.5), row("c", 0.6, 1.0), row("d", 0.5, 3.0)]
    told = [pair("a", other, "A is better") for other in "bcd"]
    assert picks(stand(rows, told)) == {
        "a": "highest mAP50; fastest of those not told apart from the highest mAP50",
        "c": "fastest",
        "b": "no other is both faster and better",
    }


def test_what_cannot_be_cited_and_what_learnt_nothing_is_not_the_fastest():
    rows = [
        row("a", 0.8, 9.0),
        row("wrong", 0.7, 0.5, latency_valid=False),
        row("idle", 0.1, 1.0, flags="not above Class prior"),
        row("c", 0.6, 4.0),
    ]
    made = stand(rows)
    assert picks(made)["c"] == "fastest"
    assert "wrong" not in made.front
    assert 'class="invalid"' in front_chart(made, dict.fromkeys(("a", "wrong", "idle", "c"), "p"))


def test_milliseconds_stand_where_ratios_are_not_of_all_or_not_of_images():
    assert stand([row("a", 0.8, 9.0), row("b", 0.7, 5.0)]).cost == RATIO
    assert stand([row("a", 0.8, 9.0), row("b", 0.7)]).cost == MILLISECONDS
    assert stand([row("a", 0.8, 9.0, tile_px=512), row("b", 0.7, 5.0)]).cost == MILLISECONDS


def test_pairs_of_other_places_and_figures_do_not_count():
    others = [pair("a", "b", dataset="tire"), pair("a", "b", figure="map50_95")]
    made = stand([row("a", 0.8, 2.0), row("b", 0.7, 1.0)], others)
    assert (made.n_pairs, list(made.untold)) == (0, [])


def test_a_method_without_a_timing_stands_in_no_chart():
    made = stand([row("a", 0.8, ms=None), row("control_oracle", 1.0, ms=None)])
    assert front_chart(made, {"a": "p"}) == ""
    assert picks(made) == {"a": "highest mAP50"}
    assert made.cost_of(made.rows[0]) == "not timed"


def test_points_of_the_chart_lie_where_their_figures_say():
    made = stand([row("a", 0.8, 4.0), row("b", 0.4, 2.0)])
    chart = front_chart(made, {"a": "a.html", "b": "b.html"})
    (b, a) = (part.partition("</a>")[0] for part in chart.split("<a ")[1:])
    assert 'href="a.html"' in a
    assert "<title>A: 80.0 [70.0, 90.0], 4.00 × reference</title>" in a

    def place(part, name):
        return float(part.partition("<circle")[2].partition(f'{name}="')[2].partition('"')[0])

    assert place(b, "cx") - 46 == pytest.approx((place(a, "cx") - 46) / 2, abs=0.1)
    assert place(b, "cy") > place(a, "cy")
