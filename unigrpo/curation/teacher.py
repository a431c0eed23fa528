"""Who can be a teacher, and what goes wrong with one."""

from collections.abc import Callable, Sequence
from typing import Protocol

from unigrpo.curation.requests import Request
from unigrpo.curation.said import Said
from unigrpo.errors import UniGRPOError

Heard = Callable[[Request, Said], None]
"""Called with each answer as soon as it comes."""


class TeacherError(UniGRPOError, RuntimeError):
    """The teacher cannot be asked, or has stopped answering."""


class Teacher(Protocol):
    """Answers requests, in any order."""

    def ask(self, requests: Sequence[Request], heard: Heard) -> dict[str, int]:
        """Ask all, the first one alone, and return why some were not answered, with how many.

        Raises:
            TeacherError: the teacher cannot be asked; what was heard before stays.
            ConfigError: it takes no such requests.
        """
        ...
