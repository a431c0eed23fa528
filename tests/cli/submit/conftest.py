import pytest

from tests.cli.submit.jobs import REWARD, write


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a reward, beside a folder that does not travel."""
    root = tmp_path / "work"
    write(root / "mine.py", REWARD)
    write(tmp_path / "elsewhere/data.jsonl", "{}\n")
    monkeypatch.chdir(root)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return root
