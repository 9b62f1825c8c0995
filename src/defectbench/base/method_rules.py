"""The rule file of every method, held against its folder before Snakemake reads it.

A rule that was copied and still names another method would be told by Snakemake as a missing input file, or as a name
that is used twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from .errors import ConfigError
from .texts import read_text
from .variants import variant_of

RULE = re.compile(r"^(?:use\s+rule\s+\w+\s+as|rule)\s+(\w+)")
CONSTRAINT = re.compile(r"""^\s*method\s*=\s*r?(["'])(.+)\1""")


def check_method_rules(names: Iterable[str], models_dir: str | Path = "models") -> None:
    """Stop where a rule file makes another method than that of its folder.

    Args:
        names: Names of the methods.
        models_dir: Their folder.

    Raises:
        ConfigError: A method has no ``method.smk``, or it names another method; names the line to change.
    """
    paths = {name: Path(models_dir) / name / "method.smk" for name in names}
    for name, path in paths.items():
        _check_constraints(name, path)
    _check_rule_names(paths)


def check_start_rules(
    rows: Mapping[str, Collection[str]], models_dir: str | Path = "models"
) -> None:
    """Stop where the rule of a method's own program makes no cell that starts from its published weights.

    A rule without a constraint in plain sight is left to Snakemake.

    Args:
        rows: Of each such method, its rows with a start, such as ``yolov8n_ultralytics+from_coco``.
        models_dir: Folder of the methods.

    Raises:
        ConfigError: There is one; names the card's block and the line to write.
    """
    for name, starting in rows.items():
        path = Path(models_dir) / name / "method.smk"
        found = [CONSTRAINT.match(line) for line in read_text(path).splitlines()]
        patterns = [constraint[2] for constraint in found if constraint]
        for row in starting if patterns else ():
            if any(re.fullmatch(pattern, row) for pattern in patterns):
                continue
            card = Path(models_dir) / name / "card.yaml"
            start = variant_of(row).start
            fix = (
                f'{path} makes {" and ".join(patterns)} alone, not {row}: write method=r"{name}(\\+from_\\w+)?" there, '
                "or start from scratch"
            )
            raise ConfigError(card, "weights", start, fix)


def _check_constraints(name: str, path: Path) -> None:
    """The file makes cells of its method and of no other."""
    if not path.is_file():
        fix = (
            f'write a rule with wildcard_constraints: method="{name}"; copy that of a method alike'
        )
        raise ConfigError(path, "file", "nothing", fix)
    text = read_text(path)
    for number, line in enumerate(text.splitlines(), 1):
        constraint = CONSTRAINT.match(line)
        if constraint and not re.fullmatch(constraint[2], name):
            fix = f'write method="{name}", the name of the folder; rename the rule as well'
            raise ConfigError(path, f"line {number}", line.strip(), fix)
    if not re.search(rf"\b{re.escape(name)}\b", text):
        fix = f'add the lines `wildcard_constraints:` and `method="{name}",` to its rule'
        raise ConfigError(path, "wildcard_constraints", "no method", fix)


def _check_rule_names(paths: dict[str, Path]) -> None:
    """No two files have a rule of one name."""
    owners: dict[str, str] = {}
    for name, path in paths.items():
        for line in read_text(path).splitlines():
            rule = RULE.match(line)
            if rule is None:
                continue
            owner = owners.setdefault(rule[1], name)
            if owner != name:
                # the copy is the one whose method the rule does not name
                copy, original = (owner, name) if owner not in rule[1] else (name, owner)
                fix = f"{paths[original]} has a rule of that name; write train_{copy}"
                raise ConfigError(paths[copy], "rule", rule[1], fix)
