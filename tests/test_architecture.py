"""The layers and habits that the design promises, held by the source itself; sizes are printed, no length is a law."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "src" / "defectbench"
LAYERS = [
    "base",
    "data",
    "nn",
    "weights",
    "training",
    "compression",
    "deploy",
    "measure",
    "report",
    "advice",
    "documentation",
    "cli",
]
ENGINE_FILES = sorted(ENGINE.rglob("*.py"))
METHOD_FILES = sorted(
    path
    for shelf in ("models", "examples")
    for path in (ROOT / shelf).rglob("*.py")
    if (path.parent / "card.yaml").is_file()  # an example may be something else than a method
)
METHOD_NAMES = {path.name for path in (ROOT / "models").iterdir() if path.is_dir()}
# What runs foreign programs; folders in there run inside their processes.
PROGRAM_FILES = sorted((ROOT / "workflow" / "programs").rglob("*.py"))
SOURCES = ENGINE_FILES + METHOD_FILES + PROGRAM_FILES


def name(path):
    return path.relative_to(ROOT).as_posix()


@dataclass
class Facts:
    """What the tests ask of a file's syntax tree, which is read once and not kept."""

    imports: list[ast.Import | ast.ImportFrom]
    texts: list[tuple[int, str]]  # line and value
    swallowing: list[int]  # lines of handlers of all exceptions, and of those that do nothing
    classes: list[str]  # public ones at the top
    functions: dict[str, int]  # lines, by name


@cache
def facts_of(path):
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))

    def of(kind):
        return [node for node in nodes if isinstance(node, kind)]

    return Facts(
        of((ast.Import, ast.ImportFrom)),
        [(text.lineno, text.value) for text in of(ast.Constant) if isinstance(text.value, str)],
        [
            handler.lineno
            for handler in of(ast.ExceptHandler)
            if handler.type is None or all(isinstance(s, ast.Pass) for s in handler.body)
        ],
        [
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ],
        {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in of(ast.FunctionDef)},
    )


def layer_of(path):
    first = path.relative_to(ENGINE).parts[0]
    return first.removesuffix(".py")


def imported_modules(path):
    """Modules that a file imports by their whole names, relative imports within defectbench resolved."""
    package = (
        path.relative_to(ENGINE.parent).with_suffix("").parts if ENGINE in path.parents else ()
    )
    for node in facts_of(path).imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = ".".join(package[: len(package) - node.level]) if node.level else ""
            head = f"{prefix}.{node.module or ''}".strip(".")
            yield head
            yield from (f"{head}.{alias.name}" for alias in node.names)


def imported_layers(path):
    """Layers of defectbench that a file imports."""
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "defectbench" and len(parts) > 1 and parts[1] in LAYERS:
            yield parts[1]


@pytest.mark.parametrize("path", ENGINE_FILES, ids=name)
def test_engine_imports_go_one_way(path):
    layer = layer_of(path)
    if layer == "__init__":
        assert not list(imported_layers(path))
        return
    allowed = LAYERS[: LAYERS.index("cli" if layer.startswith("cli") else layer) + 1]
    assert set(imported_layers(path)) <= set(allowed)


@pytest.mark.parametrize("path", ENGINE_FILES, ids=name)
def test_the_engine_imports_no_method(path):
    for node in facts_of(path).imports:
        modules = [
            alias.name for alias in getattr(node, "names", []) if isinstance(node, ast.Import)
        ]
        modules += (
            [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        )
        assert not [m for m in modules if m.split(".")[0] in {"models", *METHOD_NAMES}]


@pytest.mark.parametrize("path", METHOD_FILES, ids=name)
def test_methods_stand_on_pieces_and_contracts_only(path):
    assert set(imported_layers(path)) <= {"base", "nn"}


@pytest.mark.parametrize("path", METHOD_FILES, ids=name)
def test_methods_import_of_one_another_nothing(path):
    for node in facts_of(path).imports:
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            assert (path.parent / f"{node.module}.py").is_file()


WAYS = sorted(
    path.name
    for path in (ENGINE / "compression").iterdir()
    if path.is_dir() and path.name != "__pycache__"
)


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_compression_are_strangers(way):
    files = sorted((ENGINE / "compression" / way).glob("*.py"))
    assert files
    others = [other for other in WAYS if other != way]
    for path in files:
        for module in imported_modules(path):
            parts = module.split(".")
            assert parts[:2] != ["defectbench", "compression"] or parts[2] not in others, path


WAYS_OF_SETTINGS = ("compressions", "filter_pruning", "slimming")  # files in base/


@pytest.mark.parametrize("path", ENGINE_FILES, ids=name)
def test_only_a_way_of_compression_says_its_name(path):
    folder = path.relative_to(ENGINE).parts
    if folder[0] == "compression" or (folder[0] == "base" and path.stem in WAYS_OF_SETTINGS):
        return
    assert [(line, text) for line, text in facts_of(path).texts if text in WAYS] == []


@pytest.mark.parametrize("path", PROGRAM_FILES, ids=name)
def test_programs_stand_on_data_and_contracts_only(path):
    is_inside = path.parent.name != "programs"
    allowed = set() if is_inside else {"base", "data", "deploy"}
    assert set(imported_layers(path)) <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_agpl_code_is_never_imported(path):
    text = path.read_text()
    assert not re.search(r"^\s*(import|from)\s+ultralytics", text, re.MULTILINE)


def public_classes():
    """Places where the suite defines a public class at the top of a module, by its name."""
    places = {}
    for path in ENGINE_FILES:
        for title in facts_of(path).classes:
            places.setdefault(title, []).append(name(path))
    return places


def test_no_two_public_classes_have_one_name():
    assert {title: paths for title, paths in public_classes().items() if len(paths) > 1} == {}


def test_no_two_modules_are_called_run():
    assert len([path for path in SOURCES if path.name == "run.py"]) <= 1


def lengths_of(path):
    """Lines of a file, and of each of its functions by name."""
    inside = {f"{name(path)}: {title}": n for title, n in facts_of(path).functions.items()}
    return len(path.read_text().splitlines()), inside


def test_sizes_are_printed(capsys):
    files = {name(path): lengths_of(path)[0] for path in SOURCES}
    functions = {k: n for path in SOURCES for k, n in lengths_of(path)[1].items()}
    with capsys.disabled():
        for title, lengths in (("files", files), ("functions", functions)):
            ranked = sorted(lengths, key=lambda key: lengths[key], reverse=True)[:5]
            middle = sorted(lengths.values())[len(lengths) // 2]
            longest = ", ".join(f"{key} {lengths[key]}" for key in ranked)
            print(f"\n{len(lengths)} {title}, {middle} lines in the median; longest: {longest}")  # noqa: T201
    assert files
    assert functions


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_bare_or_swallowed_exception(path):
    assert facts_of(path).swallowing == []


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "workflow").rglob("*.smk"))], ids=name)
def test_nothing_is_left_to_do(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text())


def test_rules_hold_no_python():
    rules = [*(ROOT / "workflow" / "rules").glob("*.smk"), *(ROOT / "models").glob("*/*.smk")]
    for path in [ROOT / "Snakefile", *rules]:
        python = r"^\s+(run|script|notebook):|\blambda\b|^\s*(def|import|from) "
        assert not re.search(
            python, path.read_text().replace("from snakemake", ""), re.MULTILINE
        ), path


def test_snakefile_is_short():
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 60


def test_every_method_is_one_rule():
    for folder in sorted(p for p in (ROOT / "models").iterdir() if (p / "card.yaml").exists()):
        text = (folder / "method.smk").read_text()
        rules = re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, re.MULTILINE)
        # a method that is distilled has a second one for its teacher
        assert [r for r in rules if r != f"train_{folder.name}_teacher"] == [rules[-1]], folder.name
