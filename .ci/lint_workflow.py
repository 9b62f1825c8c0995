"""`snakemake --lint`, less the one finding that does not fit: an environment for each rule."""

import json
import subprocess
import sys

ACCEPTED = {"Specify a conda environment or container for each rule."}


def findings(report):
    """Yield (where, title) of each finding that is not accepted."""
    for kind in ("snakefiles", "rules"):
        for entry in report.get(kind, []):
            for lint in entry.get("lints", []):
                if lint["title"] not in ACCEPTED:
                    yield entry.get("rule") or entry.get("snakefile"), lint["title"], lint["body"]


def main():
    """Exit with the number of findings."""
    lint = subprocess.run(["snakemake", "--lint", "json"], capture_output=True, text=True)
    left = list(findings(json.loads(lint.stdout)))
    for where, title, body in left:
        print(f"{where}: {title}\n  {body}")
    print(f"snakemake --lint: {len(left)} findings")
    sys.exit(min(len(left), 1))


main()
