import json

import pytest

from unigrpo.config import DataSection
from unigrpo.models.tokenizer import ids_of, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(["What is 12 + 30? The answer is 42.", "user", "assistant"] * 20, 400)


@pytest.fixture(scope="session")
def ids(tokenizer):
    return ids_of(tokenizer)


@pytest.fixture
def jsonl(tmp_path):
    """Write rows as .jsonl and return a data section that reads them; keyword arguments are its fields."""

    def write(*rows, name: str = "rows.jsonl", **fields) -> DataSection:
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return DataSection(path=str(path), **fields)

    return write
