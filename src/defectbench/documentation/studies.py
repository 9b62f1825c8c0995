"""The page of studies and the schema that editors use: both from the models that check a study file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..base import settings, stages, steps
from ..base.cards import DatasetCard
from ..base.methods import MethodCard, Recipe
from ..base.studies import Study, load_study
from .fields import anchor, described, field_rows, models_within, summary
from .markdown import NOTICE, Page, table

SCHEMA_HINT = "# yaml-language-server: $schema="
_HEAD = """# Studies

A study is a YAML file that names which cells to make: which datasets, under which protocols, by which
methods, with which seeds.

```sh
snakemake all --cores 8 --configfile config/neu-det.yaml
```

A field that is left out takes its default or, in a budget, what the method's recipe says. A field that
does not exist is an error. Editors that read YAML schemas (VS Code with its YAML extension, among others)
complete and check the fields: the first line of each study names the schema, `config/study.schema.json`.

## The studies in `config/`

"""
_FIELDS = """
## Fields of a study

Where *default* is empty the field must be given.
"""
_RECIPE = """
## Fields of a recipe

`models/<name>/recipe.yaml` says how a method learns. A study changes single fields of it by their dotted names, such as
`optimizer.lr`, under `recipe` of a budget.
"""
_STEPS = """
## Settings of the steps

What a verb of the [command line](cli.md) takes as `--settings`, in JSON or from a file, and field by field as
`--set`. Rules make these settings from a study; you need them only to run a verb by hand.
"""
_CARDS = """
## Fields of cards

A method has a `card.yaml` in its folder, a dataset a card in `datasets/`.
"""


def step_models() -> list[type[BaseModel]]:
    """The settings that steps are told, in the order in which they are written."""
    homes = (settings, stages, steps)
    kinds = [kind for home in homes for kind in vars(home).values()]
    names = [home.__name__ for home in homes]
    return [
        kind
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__ in names
    ]


def studies_page(config_dir: str | Path = "config") -> Page:
    """The page: an index of the studies, then every field of a study, a recipe and the cards.

    Raises:
        ConfigError: A study file is wrong.
    """
    seen: set[str] = set()
    parts = [f"{NOTICE}\n{_HEAD}{study_index(config_dir)}\n"]
    for head, roots in (
        (_FIELDS, [Study]),
        (_RECIPE, [Recipe]),
        (_CARDS, [MethodCard, DatasetCard]),
        (_STEPS, list(dict.fromkeys(step_models()))),
    ):
        models = dict.fromkeys(model for root in roots for model in models_within(root))
        fresh = [model for model in models if anchor(model) not in seen]
        seen |= {anchor(model) for model in fresh}
        parts += [head, *(model_section(model) for model in fresh)]
    return Page("studies.md", "\n".join(parts))


def config_page(config_dir: str | Path = "config") -> Page:
    """The page that a reader of the folder of studies sees."""
    text = "One file a study. `docs/studies.md`, made by `make docs`, lists every field.\n"
    return Page("README.md", f"{NOTICE}\n# Studies\n\n{text}\n{study_index(config_dir)}\n")


def model_section(model: type[BaseModel]) -> str:
    """A section with the fields of one model."""
    rows = [[f"`{row.name}`", row.takes, row.default, row.meaning] for row in field_rows(model)]
    fields = table(["field", "takes", "default", "meaning"], rows)
    return f"### {model.__name__}\n\n{summary(model)}\n\n{fields}\n"


def study_index(config_dir: str | Path = "config") -> str:
    """A table of the studies of a folder, one line each.

    Raises:
        ConfigError: A study file is wrong.
    """
    rows = []
    for path in study_files(config_dir):
        study = load_study(path)
        datasets = sorted({name for block in study.blocks for name in block.datasets})
        rows.append([f"`config/{path.name}`", purpose(path), ", ".join(datasets)])
    return table(["file", "what it asks", "datasets"], rows)


def study_files(config_dir: str | Path = "config") -> list[Path]:
    """The studies of a folder that are under version control; all of them where that is not known.

    So a study of one's own stands on no page until it is added to the repository.
    """
    paths = sorted(Path(config_dir).glob("*.yaml"))
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--", "*.yaml"],
            cwd=config_dir,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return paths
    names = set(listed.stdout.split("\0"))
    return [path for path in paths if path.name in names] or paths


def purpose(path: str | Path) -> str:
    """The first sentence of the comment that a study file begins with.

    A question keeps the sentence that follows it, which says what is done.
    """
    lines = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(SCHEMA_HINT):
            lines.append(line.lstrip("# "))
    sentences = re.split(r"(?<=[.?!])(?<! al\.) ", " ".join(lines))
    return " ".join(sentences[:2] if sentences[0].endswith("?") else sentences[:1])


def study_schema() -> dict[str, Any]:
    """JSON schema of a study file, with what the models' docstrings say of each field."""
    schema = Study.model_json_schema()
    for model in models_within(Study):
        block = schema if model is Study else schema["$defs"][model.__name__]
        block["description"] = summary(model)
        words = described(model)
        for name, entry in block["properties"].items():
            entry["description"] = words.get(name, "").replace("``", "`")
            entry.pop("title", None)
    schema["title"] = "A study of DefectBench"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
