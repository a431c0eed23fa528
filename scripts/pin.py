"""Writes uv.toml: the settings of uv, and the exact version of every dependency, direct or not.

A lock file would name the registry it was made with; these pins do not, and resolve to the same versions anywhere.

    python scripts/pin.py            # keep the versions of uv.toml, add what is new in pyproject.toml
    python scripts/pin.py --upgrade  # the newest versions that pyproject.toml allows
"""

import subprocess
import sys
from pathlib import Path

HEADER = """\
# Made by scripts/pin.py. Every version is pinned here, so that a fresh machine installs what was tested.
compile-bytecode = true
# openrlhf asks for flash-attn, which must be compiled for CUDA; nothing here imports it.
override-dependencies = ["flash-attn ; sys_platform == 'never'"]
"""


def pins() -> list[str]:
    """Every requirement of the project with its extras and groups, as `name==version`."""
    flags = ["--all-extras", "--all-groups", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-project"]
    out = subprocess.run(["uv", "export", "--quiet", *flags], check=True, capture_output=True, text=True).stdout
    return [line.strip() for line in out.splitlines() if "==" in line]


def main() -> None:
    """Resolves and writes."""
    root = Path(__file__).parents[1]
    if "--upgrade" in sys.argv:
        (root / "uv.toml").write_text(HEADER)
    (root / "uv.lock").unlink(missing_ok=True)
    rows = "\n".join(f'  "{pin.replace(chr(34), chr(39))}",' for pin in pins())
    (root / "uv.toml").write_text(f"{HEADER}constraint-dependencies = [\n{rows}\n]\n")


if __name__ == "__main__":
    main()
