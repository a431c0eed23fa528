"""`unigrpo` and `python -m unigrpo`."""

import sys

from unigrpo.cli.packages import hidden_package


def main() -> int:
    """Runs the command line, once it is sure that `rewards`, `rollout` and `actors` are the installed ones."""
    message = hidden_package()
    if message:
        print(f"unigrpo: error: {message}", file=sys.stderr)
        return 2
    from unigrpo.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
