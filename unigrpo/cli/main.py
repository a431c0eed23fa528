"""From arguments to a verb, and from what it raises to one line and an exit status."""

import errno
import os
import sys
from importlib import import_module

from unigrpo import __version__
from unigrpo.cli.verbs import VERBS, Verb, find_verb
from unigrpo.errors import UniGRPOError
from unigrpo.stopping import StoppedError

HELP = ("--help", "-h")
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO)
"""What a disk says that takes no more."""
FREE = "What was saved before is whole: make room or correct the permissions, and go on with resume=true."


def main(argv: list[str] | None = None) -> int:
    """Runs `unigrpo VERB ...` and returns the exit status.

    It is 0, 2 for an error of the user's, 130 when interrupted, or 143 for a run that SIGTERM stopped.
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except UniGRPOError as error:
        print(f"unigrpo: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"unigrpo: error: {where}{os.strerror(error.errno or 0)}. {FREE}", file=sys.stderr)
        return 2
    except StoppedError as stopped:
        print(f"unigrpo: {stopped}", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("unigrpo: interrupted", file=sys.stderr)
        return 130


def _run(args: list[str]) -> int:
    if not args or args[0] in HELP:
        return show(overview())
    if args[0] in ("--version", "-V"):
        return show(f"unigrpo {__version__}")
    verb, rest = find_verb(args[0], list(VERBS)), args[1:]
    asked = next((index for index, word in enumerate(rest) if word in HELP), None)
    if asked is not None:
        return show(verb_help(verb, next(iter(rest[asked + 1 :]), None)))
    return verb.run(rest)


def show(text: str) -> int:
    """Prints to standard output; a reader that has left, such as `head`, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would complain again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def overview() -> str:
    """What `unigrpo --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items())
    return (
        "unigrpo: reinforcement learning for masked-diffusion language models\n\n"
        f"  unigrpo VERB [FILE.yaml ...] [key=value ...]\n\n{verbs}\n\n"
        "Files are merged from left to right over the defaults; settings are written key=value, --key=value or\n"
        "--key value and come last. `unigrpo VERB --help` explains them all, `unigrpo VERB --help SECTION` some."
    )


def verb_help(verb: Verb, section: str | None) -> str:
    """What `unigrpo VERB --help [SECTION]` prints."""
    usage = f"unigrpo {verb.usage}"
    if verb.schema is None:
        return f"{usage}\n\n{verb.summary[0].upper()}{verb.summary[1:]}."
    text = import_module("unigrpo.config.help").help_text(verb.config_type(), section)
    return text.strip("\n") if section else f"{usage}\n\n{text}"
