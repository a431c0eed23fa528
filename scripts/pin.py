"""Writes the pins at the end of pyproject.toml: the exact version of every dependency, direct or not.

A lock file would name the registry it was made with; these pins do not, and resolve to the same versions anywhere.

    python scripts/pin.py            # keep the versions there are, add what is new
    python scripts/pin.py --upgrade  # the newest versions that the dependencies allow
"""

import subprocess
import sys
from pathlib import Path

START = "constraint-dependencies = [\n"


def pins() -> list[str]:
    """Every requirement of the project with its extras and groups, as `name==version`."""
    flags = ["--all-extras", "--all-groups", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-project"]
    out = subprocess.run(["uv", "export", "--quiet", *flags], check=True, capture_output=True, text=True).stdout
    return [line.strip().replace('"', "'") for line in out.splitlines() if "==" in line]


def main() -> None:
    """Resolves and writes."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    head, _, old = project.read_text().partition(START)
    if "--upgrade" in sys.argv:
        project.write_text(f"{head}{START}]\n")
    project.with_name("uv.lock").unlink(missing_ok=True)
    try:
        rows = "".join(f'  "{pin}",\n' for pin in pins())
    except subprocess.CalledProcessError as error:
        project.write_text(f"{head}{START}{old}")
        sys.exit(error.stderr)
    project.write_text(f"{head}{START}{rows}]\n")


if __name__ == "__main__":
    main()
