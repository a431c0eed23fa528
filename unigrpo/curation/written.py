"""The rows as a file that `unigrpo sft` reads as it is, each with where it comes from."""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unigrpo.config.files import write_atomically
from unigrpo.curation.filters import Right
from unigrpo.data.rows import Row
from unigrpo.errors import DataError

PICTURES = "images"
SIGNIFICANT = 6
"""Digits of a pass rate."""
PROVENANCE = (
    "source_id",
    "sample",
    "teacher",
    "teacher_seed",
    "teacher_sampling",
    "teacher_request",
    "verifier",
    "pass_rate",
    "rewards",
)
OWN = ("id", "prompt", "response", "answer", "image", *PROVENANCE)


def check_columns(rows: Sequence[Row]) -> None:
    """Raise `DataError` where a column of the data has a name that we write ourselves."""
    for row in rows:
        taken = next((name for name in OWN if name in row.metadata), None)
        if taken:
            raise DataError(
                f"{row.where}: the column `{taken}` would be replaced by that of the curated data: rename it, or map "
                "it with data.columns."
            )


def write(path: Path, rows: Sequence[Right], verifier: str, instruction: str) -> None:
    """Write rows to a .jsonl or .parquet file, at once and whole; pictures that are no files go beside a .jsonl.

    Raises:
        DataError: columns of the data do not fit into a .parquet file.
    """
    whole = path.suffix == ".parquet"
    records = [_record(one, verifier, instruction) | _image(one.request.row, path.parent, whole) for one in rows]
    if not whole:
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        return write_atomically(path, "".join(lines))
    return _write_parquet(path, records)


def _record(one: Right, verifier: str, instruction: str) -> dict[str, Any]:
    row, fields = one.request.row, dict(one.request.fields)
    teacher, seed = fields.pop("model"), fields.pop("seed", None)
    return {
        "id": f"{row.id}/{one.request.sample}",
        "prompt": row.prompt,
        "response": one.response,
        **({} if row.answer is None else {"answer": row.answer}),
        **{name: value for name, value in row.metadata.items() if _is_json(value)},
        "source_id": row.id,
        "sample": one.request.sample,
        "teacher": teacher,
        "teacher_seed": seed,
        "teacher_sampling": json.dumps({**fields, "instruction": instruction}, sort_keys=True),
        "teacher_request": one.request.key,
        "verifier": verifier,
        "pass_rate": round(one.pass_rate, SIGNIFICANT),
        "rewards": one.verdict.rewards,
    }


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _image(row: Row, folder: Path, whole: bool) -> dict[str, Any]:
    """The picture of a row: the path of its file, or its bytes, which a .jsonl cannot hold."""
    if row.image is None:
        return {}
    if isinstance(row.image, Path):
        return {"image": {"bytes": None, "path": str(row.image)} if whole else str(row.image)}
    found = row.image if isinstance(row.image, bytes) else _png(row.image)
    return {"image": {"bytes": found, "path": None} if whole else _kept(found, folder)}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _kept(picture: bytes, folder: Path) -> str:
    """Write a picture under the name of its content, and return its path from the folder."""
    kind = (Image.open(io.BytesIO(picture)).format or "png").lower()
    name = f"{PICTURES}/{hashlib.sha256(picture).hexdigest()[:32]}.{kind}"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(picture)
        os.replace(unfinished, path)
    return name


def _write_parquet(path: Path, records: Sequence[dict[str, Any]]) -> None:
    from pyarrow import ArrowException, Table, parquet

    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        parquet.write_table(Table.from_pylist(_same_columns(records)), unfinished)
    except ArrowException as error:
        raise DataError(
            f"{path} cannot be written ({error}): columns of the data differ in type. Use a .jsonl."
        ) from None
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _same_columns(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every record with the columns of all, of which parquet takes those of the first."""
    names = dict.fromkeys(name for record in records for name in record)
    return [{name: record.get(name) for name in names} for record in records]
