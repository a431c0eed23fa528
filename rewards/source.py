"""Loading a user's own reward, a function or a class, from a file or a module."""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from unigrpo.errors import RewardError

PRIVATE = "_unigrpo_reward_"
"""How the module of a file is called, so that a file called rewards.py or math.py hides no other module."""


def user_function(setting: str, spec: str) -> Callable[..., Any]:
    """Return the function that a setting points to: `file.py:function` or `package.module:function`."""
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where or not attribute:
        raise RewardError(f"{setting} is {spec!r}: write `file.py:function` or `package.module:function`.")
    module = _load_file(setting, Path(where)) if where.endswith(".py") else _load_module(setting, where)
    function = getattr(module, attribute, None)
    if callable(function):
        return function
    functions = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) or (inspect.isclass(value) and value.__module__ == module.__name__)
    ]
    close = get_close_matches(attribute, functions, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"Its functions are: {', '.join(functions) or 'none'}."
    raise RewardError(f"{setting}: {where} has no function `{attribute}`. {hint}")


def absolute_spec(spec: str | None) -> str | None:
    """Return a spec whose file, if it names one, does not depend on the current folder."""
    where, _, attribute = (spec or "").rpartition(":")
    return f"{Path(where).absolute()}:{attribute}" if where.endswith(".py") else spec


def location(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function, or of what is called in a class, for messages."""
    code = _code(function)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def raised_at(error: BaseException, function: Callable[..., Any]) -> str:
    """Return `file:line` of the deepest frame in the function's own file, or of the frame that raised."""
    code = _code(function)
    return _place(error, code.co_filename if code else "")


def _place(error: BaseException, file: str) -> str:
    """`file:line` of the deepest frame in a file, or of the frame that raised."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if frame[0] == file]
    return "{}:{}".format(*(own or frames)[-1]) if frames else file


def _code(function: Callable[..., Any]) -> CodeType | None:
    plain = getattr(inspect.unwrap(function), "__code__", None)
    return plain or getattr(getattr(function, "__call__", None), "__code__", None)  # noqa: B004


def _load_file(setting: str, path: Path) -> ModuleType:
    if not path.is_file():
        siblings = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = get_close_matches(path.name, siblings, n=1)
        hint = f"Did you mean {path.parent / close[0]}?" if close else f"It is looked for from {Path.cwd()}."
        raise RewardError(f"{setting}: there is no file {path}. {hint}")
    path = path.resolve()
    key = f"{PRIVATE}{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    sys.path.append(str(path.parent))  # at the end: what it imports from beside it hides nothing
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[key]
        raise _import_failed(setting, path, error) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _load_module(setting: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _import_failed(setting, module, error) from error
        raise RewardError(
            f"{setting}: there is no module {module}. Install its package, or give a file: `path/to/file.py:function`."
        ) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(setting, module, error) from error


def _import_failed(setting: str, where: Path | str, error: BaseException) -> RewardError:
    if isinstance(error, SyntaxError):
        at, reason = f"{error.filename}:{error.lineno}", error.msg
    else:
        at, reason = _place(error, str(where)), str(error)
    if isinstance(error, RewardError):
        return RewardError(f"{setting}: importing {where} failed: {error}")
    return RewardError(f"{setting}: importing {where} raised {type(error).__name__}: {reason} ({at}).")
