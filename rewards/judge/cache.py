"""Answers kept on disk, so that the same question costs nothing again."""

import sqlite3
import threading
import time
from pathlib import Path

from unigrpo.errors import RewardError

LIMIT = 500_000
"""Answers that are kept, about 1 KB each with log-probabilities; the oldest go first."""
BUSY = 30.0
"""Seconds to wait for another process that is writing; a write takes about a millisecond."""


class Cache:
    """A table of answers by key, in a file that several processes may use at once, even if they are killed."""

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        """Open or make `judge.sqlite` in a folder.

        Raises:
            RewardError: it cannot be used.
        """
        self.path, self.limit = Path(folder) / "judge.sqlite", limit
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            self._write_ahead()
            self._run("CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, key TEXT UNIQUE, answer TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise self._useless(error) from error

    def get(self, key: str) -> str | None:
        """Return what was kept under a key, if anything."""
        rows = self._try("SELECT answer FROM answers WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: str, answer: str) -> None:
        """Keep an answer; the first under a key stays."""
        self._try("INSERT OR IGNORE INTO answers (key, answer) VALUES (?, ?)", key, answer)
        self._try("DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?", self.limit)

    def _try(self, statement: str, *values: str | int) -> list[tuple[str]]:
        try:
            return self._run(statement, *values)
        except sqlite3.Error as error:
            raise self._useless(error) from error

    def _run(self, statement: str, *values: str | int) -> list[tuple[str]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _write_ahead(self) -> None:
        """Let readers and a writer work at once; the change itself does not wait for others, so that we do."""
        until = time.monotonic() + BUSY
        while True:
            try:
                self._run("PRAGMA journal_mode=WAL")
                self._run("PRAGMA synchronous=NORMAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _useless(self, error: Exception) -> RewardError:
        return RewardError(
            f"the judge's cache {self.path} cannot be used ({error}): set `cache` to a folder on a disk of this "
            "machine, or delete the file."
        )
