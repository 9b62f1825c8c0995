"""What a method is made of is read from its imports: an edit changes the methods that use it, and no other."""

import ast
import os
import shutil
from functools import cache

import pytest

from defectbench.base.code import code_sha256, conversion_files, conversion_sha256, source_files
from defectbench.base.methods import load_card, method_names


@pytest.fixture
def tree(tmp_path, request):
    """A copy of the suite and of its methods."""
    root = request.config.rootpath
    for folder in ("src/defectbench", "models"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def hashes(tree):
    suite = tree / "src" / "defectbench"
    return {n: code_sha256(tree / "models" / n, suite) for n in method_names(tree / "models")}


@cache
def pieces(text, local):
    """Modules of ``nn`` that are imported in the lines of a file, which is one of ``nn`` itself where it is local."""
    named = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.startswith("defectbench.nn."):
                named.append(node.module.removeprefix("defectbench.nn."))
            elif node.level == 1 and local:
                named.append(node.module)
    return named


def users_of(tree, module):
    """Methods that import a module of ``nn`` themselves or through others, by a walk of its own."""
    nn = tree / "src" / "defectbench" / "nn"

    @cache
    def reaches(text, local):
        named = set(pieces(text, local))
        files = (nn / f"{piece}.py" for piece in named)
        return module in named or any(reaches(f.read_text(), True) for f in files if f.is_file())

    folders = [tree / "models" / name for name in method_names(tree / "models")]
    return {
        folder.name
        for folder in folders
        if any(reaches(file.read_text(), False) for file in folder.rglob("*.py"))
    }


@pytest.mark.parametrize("module", ["yolov4", "shufflenet", "blocks", "classifier"])
def test_an_edit_of_a_shared_block_changes_exactly_the_methods_that_use_it(tree, module):
    before, users = hashes(tree), users_of(tree, module)
    with (tree / "src" / "defectbench" / "nn" / f"{module}.py").open("a") as file:
        file.write("\n# an edit\n")
    after = hashes(tree)
    assert {name for name in before if before[name] != after[name]} == users
    assert users
    assert users < set(before)


def test_an_edit_of_a_methods_own_file_changes_it_alone(tree):
    before = hashes(tree)
    with (tree / "models" / "lidd_net" / "lidd_net.py").open("a") as file:
        file.write("\n# an edit\n")
    after = hashes(tree)
    assert [name for name in before if before[name] != after[name]] == ["lidd_net"]


def test_a_tree_elsewhere_has_the_same_hash(tree, request):
    models = request.config.rootpath / "models"
    assert hashes(tree)["yolov4"] == code_sha256(models / "yolov4")


def test_an_edit_that_leaves_size_and_time_alone_is_not_missed_by_a_later_one(tree):
    file = tree / "models" / "lidd_net" / "lidd_net.py"
    before, text = hashes(tree)["lidd_net"], file.read_text()
    file.write_text(text.replace("LIDD", "lidd", 1))
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    changed = hashes(tree)["lidd_net"]
    file.write_text(text)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 2))
    assert hashes(tree)["lidd_net"] == before != changed


def test_imports_of_every_form_are_followed(tmp_path):
    suite, folder = tmp_path / "defectbench", tmp_path / "net"
    texts = {
        "defectbench/__init__.py": "",
        "defectbench/nn/__init__.py": "",
        "defectbench/nn/a.py": "from . import b\n",
        "defectbench/nn/b.py": "def late():\n    from ..base import c\n",
        "defectbench/base/__init__.py": "",
        "defectbench/base/c.py": "import defectbench.base.d as d\n",
        "defectbench/base/d.py": "import json\n",
        "defectbench/base/unused.py": "",
        "net/net.py": "from defectbench.nn.a import thing\nfrom .piece import other\n",
        "net/piece.py": "import torch\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    files = [path.relative_to(tmp_path).as_posix() for path in source_files(folder, suite)]
    assert files[:2] == ["net/net.py", "net/piece.py"]
    assert set(files) == set(texts) - {"defectbench/base/unused.py"}


def test_a_method_that_is_a_program_has_no_source_files(request):
    models = request.config.rootpath / "models"
    programs = [n for n in method_names(models) if load_card(models / n).family == "program"]
    assert programs
    assert not any(source_files(models / name) for name in programs)


def test_what_converts_and_unfolds_published_files_is_known_by_its_imports(tree):
    """A mend in it is a change; one in what compares or fetches is none."""
    suite = tree / "src" / "defectbench"
    names = {file.relative_to(suite).as_posix() for file in conversion_files(suite)}
    converting = {"published", "starting", "loading", "convolutions", "state_dict", "graph"}
    assert names == {f"weights/{name}.py" for name in {*converting, "__init__"}}
    before = conversion_sha256(suite)
    assert before == conversion_sha256()
    for name, changes in (("check", False), ("fetching", False), ("loading", True)):
        with (suite / "weights" / f"{name}.py").open("a") as file:
            file.write("\n# an edit\n")
        assert (conversion_sha256(suite) != before) is changes
