"""Whether the packages installed beside `unigrpo` are the ones that an import would find.

`rewards`, `rollout` and `actors` are ordinary words, so a file of the user's may have the same name. Ray puts the
current folder first on the path of its workers even where this process does not, so it is searched too. Only the
standard library is imported here, and nothing that could be the wrong one.
"""

import os
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("rewards", "rollout", "actors")
HOME = Path(__file__).resolve().parents[2]


def hidden_package() -> str | None:
    """What hides one of our packages, and what to do; None when an import finds them all."""
    for name in PACKAGES:
        for spec in (find_spec(name), PathFinder.find_spec(name, [os.getcwd()])):
            found = _place(spec)
            if found and found.resolve() not in (HOME / name, HOME / f"{name}.py"):
                return _message(name, found)
    return None


def _place(spec: ModuleSpec | None) -> Path | None:
    """The file or folder that a module would be read from.

    A folder without `__init__.py` is nothing: Python prefers a regular package to it, wherever that is on the path.
    """
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name.startswith("__init__.") else origin


def _message(name: str, found: Path) -> str:
    here = Path.cwd()
    if found.resolve().is_relative_to(here) and "site-packages" not in found.parts:
        shown = f"./{found.resolve().relative_to(here)}"
        return f"{shown} hides the installed package '{name}': rename it, or run `unigrpo` from another folder."
    return f"{found} hides the installed package '{name}': uninstall it, or take its folder off PYTHONPATH."
