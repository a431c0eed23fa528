"""Loading a user's own reward function from a file or a module."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from unigrpo.errors import RewardError


def user_function(name: str, spec: str) -> Callable[..., Any]:
    """Return the function that `rewards.NAME.path` points to: `file.py:function` or `package.module:function`."""
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where or not attribute:
        raise RewardError(f"rewards.{name}.path is {spec!r}: write `file.py:function` or `package.module:function`.")
    module = _load_file(name, Path(where)) if where.endswith(".py") else _load_module(name, where)
    function = getattr(module, attribute, None)
    if callable(function):
        return function
    functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
    close = get_close_matches(attribute, functions, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"Its functions are: {', '.join(functions) or 'none'}."
    raise RewardError(f"rewards.{name}.path: {where} has no function `{attribute}`. {hint}")


def absolute_spec(spec: str | None) -> str | None:
    """Return a spec whose file, if it names one, does not depend on the current folder."""
    where, _, attribute = (spec or "").rpartition(":")
    return f"{Path(where).absolute()}:{attribute}" if where.endswith(".py") else spec


def location(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function, for messages."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def raised_at(error: BaseException, function: Callable[..., Any]) -> str:
    """Return `file:line` of the deepest frame in the function's own file, or of the frame that raised."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = [frame for frame in frames if code and frame[0] == code.co_filename]
    return "{}:{}".format(*(own or frames)[-1])


def _load_file(name: str, path: Path) -> ModuleType:
    if not path.is_file():
        siblings = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = get_close_matches(path.name, siblings, n=1)
        hint = f"Did you mean {path.parent / close[0]}?" if close else f"It is looked for from {Path.cwd()}."
        raise RewardError(f"rewards.{name}.path: there is no file {path}. {hint}")
    path = path.resolve()
    # A private name, so that a file called rewards.py or math.py hides no other module.
    key = f"_unigrpo_reward_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[key]
        raise _import_failed(name, path, error) from error
    return module


def _load_module(name: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _import_failed(name, module, error) from error
        raise RewardError(
            f"rewards.{name}.path: there is no module {module}. Install its package, or give a file: "
            "`path/to/file.py:function`."
        ) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, module, error) from error


def _import_failed(name: str, where: Path | str, error: BaseException) -> RewardError:
    if isinstance(error, SyntaxError):
        at, reason = f"{error.filename}:{error.lineno}", error.msg
    else:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        reason = str(error)
        at = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else str(where)
    if isinstance(error, RewardError):
        return RewardError(f"rewards.{name}.path: importing {where} failed: {error}")
    return RewardError(f"rewards.{name}.path: importing {where} raised {type(error).__name__}: {reason} ({at}).")
