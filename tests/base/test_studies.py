"""Studies: strict fields, blocks that unfold into cells, budgets that inherit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_card
from defectbench.base.studies import expand_cells, load_study, parse_study
from defectbench.base.tiling import Tiling

ROOT = Path(__file__).parents[2]
METHODS = ["alpha", "beta"]
CUT = {"side": 640, "overlap": 128}


def study(**block):
    return parse_study("test", {"study": "t", "blocks": [{"datasets": ["d"], **block}]})


def folders(made):
    return [cell.folder for cell in expand_cells(made, METHODS)]


def test_all_methods_and_controls_become_cells():
    made = study(seeds=[0, 1], controls=["oracle"])
    assert folders(made) == [
        "d/clean/alpha/seed0",
        "d/clean/alpha/seed1",
        "d/clean/beta/seed0",
        "d/clean/beta/seed1",
        "d/clean/control_oracle/seed0",
    ]


def test_own_budget_wins_over_the_blocks():
    made = study(budget={"size": 128, "epochs": 5}, budgets={"beta": {"size": 224}})
    sizes = {
        cell.method: (cell.budget.size, cell.budget.epochs) for cell in expand_cells(made, METHODS)
    }
    assert sizes == {"alpha": (128, 5), "beta": (224, 5)}


def test_later_block_wins():
    blocks = [
        {"datasets": ["d"]},
        {"datasets": ["d"], "methods": ["beta"], "budget": {"epochs": 9}},
    ]
    cells = expand_cells(parse_study("test", {"study": "t", "blocks": blocks}), METHODS)
    assert {cell.method: cell.budget.epochs for cell in cells} == {"alpha": None, "beta": 9}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({}, ["alpha"]),
        ({"heavy": True}, ["alpha", "beta"]),
        ({"methods": ["beta"]}, ["beta"]),
    ],
)
def test_all_leaves_heavy_methods_out_unless_the_block_says_otherwise(block, expected):
    cells = expand_cells(study(**block), METHODS, heavy=["beta"])
    assert [cell.method for cell in cells] == expected


@pytest.mark.parametrize(
    "block",
    [
        {"budgets": {"beta": {"epochs": 9}}},
        {"methods": ["alpha"], "budgets": {"beta": {"epochs": 9}}},
    ],
)
def test_a_budget_of_a_method_that_the_block_does_not_make_is_named(block):
    with pytest.raises(ConfigError, match=r"blocks.0.budgets: got 'beta'; .* it makes alpha"):
        expand_cells(study(**block), METHODS, heavy=["beta"])


def test_the_base_of_a_compressed_method_may_have_a_budget_of_its_own():
    cells = compressed(SLIM, methods=["beta"], budgets={"alpha": {"epochs": 9}})
    assert {cell.budget.epochs for cell in cells if cell.method != "beta"} == {9}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"budget": {"recipe": {"epochs": 2}}}, "`epochs` in a recipe has no effect here"),
        ({"budgets": {"alpha": {"recipe": {"batch": 2}}}}, "it is a field of the budget"),
        ({"budget": {"recipe": {"size": 64}}}, "`size` in a recipe has no effect"),
        ({"methods": ["alpha"], "heavy": True}, "`heavy` says what `methods: all` means"),
        (
            {
                "compress": [
                    {"method": "alpha", "how": "slimming", "sparse": {"recipe": {"epochs": 2}}}
                ]
            },
            "it is a field of the stage",
        ),
        (
            {"compress": [{"method": "alpha", "how": "slimming", "percent": 0.5}]},
            "`percent` has no effect by `rule: size`",
        ),
        (
            {
                "compress": [
                    {"method": "alpha", "how": "slimming", "rule": "classic", "target_mib": 2}
                ]
            },
            "`target_mib` has no effect by `rule: classic`",
        ),
    ],
)
def test_a_field_without_effect_is_refused(block, message):
    with pytest.raises(ConfigError, match=message):
        study(**block)


@pytest.mark.parametrize("name", ["data", "runs", "../elsewhere", "two words", ""])
def test_a_name_that_is_no_folder_of_a_study_is_refused(name):
    with pytest.raises(ConfigError, match=f"mine.yaml: study: got '{name}'"):
        parse_study("mine.yaml", {"study": name, "blocks": [{"datasets": ["d"]}]})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"methods": ["gamma"]}, "blocks.0.methods: got 'gamma'; name one of alpha, beta"),
        ({"budgets": {"gamma": {}}}, "blocks.0.methods: got 'gamma'"),
    ],
)
def test_unknown_method_is_named(block, message):
    with pytest.raises(ConfigError, match=message):
        folders(study(**block))


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"protocols": ["honest"]}, "blocks.0.protocols.0"),
        ({"budget": {"size": 100}}, "blocks.0.budget.size"),
        ({"epoch": 3}, "blocks.0.epoch"),
        ({"budget": {"tiles": {"side": 640}}}, "blocks.0.budget.tiles.overlap"),
        ({"budget": {"tiles": {"side": 100, "overlap": 16}}}, "blocks.0.budget.tiles.side"),
        ({"budget": {"tiles": {"side": 16, "overlap": 8}}}, "blocks.0.budget.tiles.side"),
        ({"budget": {"tiles": {"side": 9000, "overlap": 8}}}, "blocks.0.budget.tiles.side"),
        ({"budget": {"tiles": {"side": 64, "overlap": 7}}}, "blocks.0.budget.tiles.overlap"),
        ({"budget": {"tiles": {"side": 64, "overlap": 49}}}, "blocks.0.budget.tiles"),
        ({"budget": {"tiles": {**CUT, "least_visible": 0}}}, "blocks.0.budget.tiles.least_visible"),
        (
            {"budget": {"tiles": {**CUT, "least_visible": 1.1}}},
            "blocks.0.budget.tiles.least_visible",
        ),
        ({"budget": {"tiles": {**CUT, "free_share": -0.1}}}, "blocks.0.budget.tiles.free_share"),
        ({"budget": {"tiles": {**CUT, "free_share": True}}}, "blocks.0.budget.tiles.free_share"),
        ({"seeds": []}, "blocks.0.seeds"),
    ],
)
def test_wrong_field_is_named(block, field):
    with pytest.raises(ConfigError) as caught:
        study(**block)
    assert caught.value.field == field


TASKS = {"alpha": "detection", "beta": "classification", "cls": "classification"}


def test_methods_meet_datasets_of_their_task_only():
    cells = expand_cells(study(datasets=["d", "cls"]), METHODS, tasks=TASKS)
    assert [cell.folder for cell in cells] == ["d/clean/alpha/seed0", "cls/clean/beta/seed0"]


@pytest.mark.parametrize(
    ("block", "methods", "message"),
    [
        (
            {"datasets": ["d", "cls"], "methods": ["alpha"]},
            METHODS,
            "test: blocks.0: methods: got 'alpha'; cls is for classification",
        ),
        ({"methods": ["beta"]}, METHODS, "methods: got 'beta'; d is for detection"),
        ({"datasets": ["cls"]}, ["alpha"], "methods: got 'all'; cls is for classification"),
        (
            {"datasets": ["cls"], "controls": ["oracle"]},
            METHODS,
            "controls: got .*'oracle'.*; cls is for classification",
        ),
    ],
)
def test_methods_and_controls_of_another_task_are_refused(block, methods, message):
    with pytest.raises(ConfigError, match=message):
        expand_cells(study(**block), methods, "test", tasks=TASKS)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_studies_load(path):
    assert load_study(path).study == path.stem


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="name a study file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("study: [")
    with pytest.raises(ConfigError, match="mend the YAML"):
        load_study(tmp_path / "bad.yaml")


SLIM = {"method": "alpha", "how": "slimming", "target_mib": 1.5}


def compressed(*entries, **block):
    return expand_cells(study(compress=list(entries), **block), METHODS, prunable=["alpha"])


def test_a_compressed_method_is_a_cell_beside_its_base():
    cells = compressed(SLIM, methods=["beta"], seeds=[0, 1], budgets={"alpha": {"epochs": 7}})
    found = {(cell.method, cell.seed): cell for cell in cells}
    names = ("beta", "alpha", "alpha+slim1.5mib")
    assert list(found) == [(name, seed) for name in names for seed in (0, 1)]
    smaller = found["alpha+slim1.5mib", 1]
    assert smaller.folder == "d/clean/alpha+slim1.5mib/seed1"
    assert smaller.budget.epochs == 7
    assert smaller.compression.target_mib == 1.5
    assert found["alpha", 1].compression is None


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([{**SLIM, "method": "beta"}], "compress.0.method"),
        ([SLIM, {**SLIM, "drop_units": 2}], "compress.1.name"),
    ],
)
def test_compressions_that_make_no_sense_are_named(entries, field):
    with pytest.raises(ConfigError, match=field):
        compressed(*entries)


def test_a_sparse_training_pulls_whatever_else_the_study_says_of_it():
    (cell,) = [
        c for c in compressed({**SLIM, "kd": "chen2017", "sparse": {"epochs": 3}}) if c.compression
    ]
    assert cell.compression.recipe_of("sparse") == {"sparsity": {"strength": "auto"}}
    assert cell.compression.recipe_of("recovery") == {"options.kd": "chen2017"}
    assert cell.method == "alpha+slim1.5mib_chen2017"


def test_compressed_names_do_not_clash_once_named():
    cells = compressed(SLIM, {**SLIM, "kd": "bernoulli", "name": "taught"}, methods=[])
    assert [cell.method for cell in cells] == ["alpha", "alpha+slim1.5mib", "alpha+taught"]


def test_controls_of_cfp_are_named_after_what_they_choose_by():
    entries = [
        {"method": "alpha", "how": "cfp", "rates": "v39", "choose": choice}
        for choice in ("cfp", "random", "thin")
    ]
    entries.append({**entries[0], "teachers": "none"})
    cells = compressed(*entries, methods=["alpha"])
    assert [cell.method for cell in cells[1:]] == [
        "alpha+cfpv39",
        "alpha+randomv39",
        "alpha+thinv39",
        "alpha+cfpv39_none",
    ]


NAMED = {"alpha": {"v39": ".7*5,.85*8", "even": {"mid": 0.5}}}
CHOOSE = "name one on the card of alpha: v39, even; or"


@pytest.mark.parametrize(
    ("rates", "fix"),
    [
        ("v93", f"'v93'; {CHOOSE} write numbers or number"),
        (".4*5;.5*7", f"{CHOOSE} write numbers"),
        (".4*5,1.5", f"{CHOOSE} give shares of filters to drop, 0 <= rate < 1"),
        ({"mid": -0.1}, r"{'mid': -0.1}; .* 0 <= rate < 1"),
        ("0*12", "at least one rate above 0"),
        ({}, "at least one rate above 0"),
    ],
)
def test_rates_that_are_none_are_named_when_the_study_is_read(rates, fix):
    entries = [{"method": "alpha", "how": "cfp", "rates": own} for own in ("v39", rates)]
    made = study(methods=["alpha"], compress=entries)
    with pytest.raises(ConfigError, match=rf"test: blocks.0: compress.1.rates: got .*{fix}"):
        expand_cells(made, METHODS, "test", prunable=METHODS, rates=NAMED)


@pytest.mark.parametrize("rates", ["v39", "even", ".4*5,.5*7", {"mid": 0.5, "out": 0}])
def test_rates_by_name_in_words_and_by_set_are_let_pass(rates):
    one = {"method": "alpha", "how": "cfp", "rates": rates}
    made = study(methods=["alpha"], compress=[one])
    assert len(expand_cells(made, METHODS, prunable=METHODS, rates=NAMED)) == 2


def test_a_card_with_rates_that_are_none_is_refused(tmp_path):
    card = tmp_path / "vgg16" / "card.yaml"
    card.parent.mkdir()
    text = (ROOT / "models" / "vgg16" / "card.yaml").read_text()
    card.write_text(text.replace(".84*13", "1.84*13"))
    with pytest.raises(ConfigError, match=r"card.yaml: rates: .*v39-u: give shares of filters"):
        load_card(card.parent)


def test_a_study_is_read_without_torch():
    program = (
        "import sys; from defectbench.base import catalogue, studies; print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("how", "method"), [("cfp", "alpha"), ("slimming", "beta")])
def test_a_compression_of_another_task_is_refused(how, method):
    more = {"rates": ".5"} if how == "cfp" else {}
    made = study(methods=[], compress=[{"method": method, "how": how, **more}])
    with pytest.raises(ConfigError, match=f"compress.0.how: got '{how}'; {how} is for"):
        expand_cells(made, METHODS, tasks=TASKS, prunable=METHODS)


def test_a_thinned_training_part_is_a_protocol_of_its_own():
    cells = expand_cells(study(protocols=["random"], train_list="few", methods=["alpha"]), METHODS)
    assert [cell.folder for cell in cells] == ["d/random-few/alpha/seed0"]
    with pytest.raises(ConfigError, match="images of its own"):
        study(protocols=["paper"], train_list="few")


def test_sides_are_multiples_of_what_the_task_needs():
    small = {"budget": {"size": 48}, "methods": ["beta"], "datasets": ["cls"]}
    assert expand_cells(study(**small), METHODS, tasks=TASKS)
    with pytest.raises(ConfigError, match="detection is a multiple of 32"):
        expand_cells(study(budget={"size": 48}, methods=["alpha"]), METHODS, tasks=TASKS)


def test_tiles_are_a_part_of_the_budget_of_each_method():
    finer = {"side": 320, "overlap": 64, "least_visible": 0.25}
    made = study(budget={"tiles": CUT}, budgets={"beta": {"tiles": finer}})
    tilings = {cell.method: cell.budget.tiles for cell in expand_cells(made, METHODS)}
    assert tilings == {"alpha": Tiling(**CUT), "beta": Tiling(**finer)}
    assert len({tiling.key for tiling in tilings.values()}) == 2


def test_every_field_of_a_tiling_is_in_the_name_of_its_packs():
    changes = ({}, {"side": 320}, {"overlap": 64}, {"least_visible": 0.3}, {"free_share": 0.0})
    keys = [Tiling(**{**CUT, **change}).key for change in changes]
    assert len(set(keys)) == len(changes)
    for key in [*keys, Tiling(**CUT, least_visible=1e-5).key]:
        assert re.fullmatch(r"s\d+-o\d+-v[0-9.e-]+-f[0-9.e-]+", key)  # the rules' pattern


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            {"datasets": ["cls"], "methods": ["beta"], "budget": {"tiles": CUT}},
            "budget.tiles: got .*; cls is for classification, whose images are scored whole",
        ),
        (
            {"methods": ["alpha"], "budgets": {"alpha": {"tiles": {"side": 72, "overlap": 8}}}},
            "budget.tiles.side: got 72; the side of a tile for detection is a multiple of 32",
        ),
    ],
)
def test_tiles_that_do_not_fit_the_task_are_named(block, message):
    with pytest.raises(ConfigError, match=message):
        expand_cells(study(**block), METHODS, tasks=TASKS)


@pytest.mark.parametrize(
    ("field", "own", "other"),
    [("size", 224, 416), ("epochs", 2, 3), ("batch", 8, 4), ("recipe", {"clip": 1}, {"clip": 2})],
)
def test_a_compressed_cell_keeps_the_budget_of_its_base(field, own, other):
    first = {"datasets": ["d"], "methods": ["alpha"], "compress": [SLIM], "budget": {field: own}}
    later = {"datasets": ["d"], "methods": ["alpha"], "budget": {field: other}}
    both = parse_study("test", {"study": "t", "blocks": [first, later]})
    message = rf"slim1.5mib/seed0: {field}: got {own}; d/clean/alpha/seed0 has {other}; give both"
    with pytest.raises(ConfigError, match=message):
        expand_cells(both, METHODS, prunable=["alpha"])
