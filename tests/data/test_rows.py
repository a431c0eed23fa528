import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unigrpo.config import DataSection
from unigrpo.data.rows import read_rows
from unigrpo.errors import ConfigError, DataError


def message(section, *require):
    with pytest.raises(DataError) as error:
        read_rows(section, require)
    return str(error.value)


def test_columns_become_fields_and_the_rest_is_metadata(jsonl):
    section = jsonl(
        {"question": "q", "gold": "a", "solution": "s", "uid": 7, "level": 3, "weight": 0.5, "tags": [1.5, {"x": 2.5}]},
        columns={"prompt": "question", "answer": "gold", "response": "solution", "id": "uid"},
    )
    row = read_rows(section)[0]
    assert (row.prompt, row.answer, row.response, row.id) == ("q", "a", "s", "7")
    assert row.metadata == {"level": 3, "weight": 0.5, "tags": [1.5, {"x": 2.5}]}
    assert type(row.metadata["weight"]) is float
    assert type(row.metadata["tags"][1]["x"]) is float


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ('"007"', "007"),
        ('"1e3"', "1e3"),
        ('"2024-01-02"', "2024-01-02"),
        ('" 7 "', " 7 "),
        ("12", "12"),
        ("1e3", "1e3"),
        ("0.10", "0.10"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_an_answer_is_what_is_written(tmp_path, written, answer, kind):
    row = f'{{"prompt": "p", "answer": {written}, "response": {written}}}'
    path = tmp_path / f"rows.{kind}"
    path.write_text(row if kind == "jsonl" else f"[{row}]")
    found = read_rows(DataSection(path=str(path)))[0]
    assert (found.answer, found.response) == (answer, answer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=5), st.booleans())
def test_any_text_is_read_as_it_is(tmp_path, pairs, escaped):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"prompt": p, "answer": a}, ensure_ascii=escaped) for p, a in pairs]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    assert [(row.prompt, row.answer) for row in read_rows(DataSection(path=str(path)))] == pairs


ROWS = [{"prompt": "a", "answer": "007", "n": 1}, {"prompt": "b", "answer": "1e3", "n": 2}]


def formats(folder):
    data = Dataset.from_list(ROWS)
    data.to_parquet(folder / "rows.parquet")
    data.save_to_disk(folder / "saved")
    DatasetDict({"train": data.select([1]), "test": data}).save_to_disk(folder / "splits")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "rows.jsonl").write_text("\ufeff" + "\r\n".join(map(json.dumps, ROWS)))
    return [folder / name for name in ("rows.parquet", "saved", "splits", "rows.json", "rows.jsonl")]


def test_every_format_gives_the_same_rows(tmp_path):
    for path in formats(tmp_path):
        rows = read_rows(DataSection(path=str(path), split="test"))
        assert [(r.prompt, r.answer, r.metadata) for r in rows] == [("a", "007", {"n": 1}), ("b", "1e3", {"n": 2})]
        assert [row.id for row in rows] == [f"{path.stem}:1", f"{path.stem}:2"]
    assert [row.prompt for row in read_rows(DataSection(path=str(tmp_path / "splits"), split="train"))] == ["b"]


def test_a_missing_split_names_those_there_are(tmp_path):
    DatasetDict({"validation": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "data")
    assert message(DataSection(path=str(tmp_path / "data"))) == (
        f"{tmp_path}/data has no split `train`, only validation: set data.split to one of them."
    )


def test_blank_lines_are_skipped_and_ids_are_line_numbers(jsonl):
    section = jsonl({"prompt": "a"}, "", {"prompt": "b"})
    assert [row.id for row in read_rows(section)] == ["rows:1", "rows:3"]


def test_the_limit_takes_the_first_rows(jsonl):
    section = jsonl(*({"prompt": str(i)} for i in range(5)), limit=2)
    assert [row.prompt for row in read_rows(section)] == ["0", "1"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            '{"prompt": "a"',
            "broken JSON at column 15: Expecting ',' delimiter. Correct it, or remove the row.",
        ),
        ('["a"]', "found ['a'] (list), but a row is an object with named columns."),
        ('{"prompt": ' + "9" * 5000 + "}", "a number cannot be read: Exceeds the limit (4300 digits)"),
        ('{"prompt": ' + "[" * 100000, "the JSON is nested too deeply. Flatten it."),
        ('{"prompt": 5}', "`prompt` is 5 (int), but a prompt is text. Write it as a string."),
        (
            '{"prompt": [{"role": "user"}]}',
            "`prompt` is [{'role': 'user'}] (list), but a prompt is text. Write it as a string.",
        ),
        ('{"prompt": ""}', "`prompt` is empty, but every row needs a prompt. Fill it, or remove the row."),
        (
            '{"prompt": "a", "answer": null}',
            "`answer` is empty, but every row needs an answer. Fill it, or remove the row.",
        ),
        (
            '{"prompt": "a", "answer": NaN}',
            "`answer` is empty, but every row needs an answer. Fill it, or remove the row.",
        ),
        ('{"prompt": "a", "answer": true}', "`answer` is True (bool), but an answer is text. Write it as a string."),
        ('{"prompt": "a", "answer": [1]}', "`answer` is [1] (list), but an answer is text. Write it as a string."),
        ('{"prompt": "a\\ud800"}', "`prompt` holds half a surrogate pair at character 1. Remove it."),
        (
            '{"prompt": "a", "gold": 1}',
            "there is no column `answer`. Its columns: prompt, gold. Say which one holds the answer: "
            "data.columns.answer=COLUMN.",
        ),
    ],
)
def test_a_bad_row_names_its_line(jsonl, line, problem):
    section = jsonl({"prompt": "a", "answer": "b"}, line)
    assert message(section, "answer").startswith(f"{section.path} line 2: {problem}")


def test_a_mapped_column_must_exist(jsonl):
    section = jsonl({"question": "a"}, columns={"prompt": "qestion"})
    assert message(section) == (
        f"{section.path} line 1: there is no column `qestion`. Its columns: question. Correct data.columns.prompt; "
        "did you mean `question`?"
    )


def test_ids_must_be_unique(jsonl):
    section = jsonl({"prompt": "a", "id": "x"}, {"prompt": "b", "id": "y"}, {"prompt": "c", "id": "x"})
    assert message(section) == (
        f"{section.path} line 3: the id 'x' is that of {section.path} line 1 too. Make ids unique, or drop them."
    )


def test_bytes_that_are_no_utf8_name_their_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{"prompt": "\xff"}\n')
    assert message(DataSection(path=str(path))) == f"{path} line 2: not UTF-8 at byte 12. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{dir}/row.jsonl", "{dir}/row.jsonl does not exist. Did you mean {dir}/rows.jsonl?"),
        ("{dir}/zzz", "{dir}/zzz does not exist. {dir} holds nothing of a similar name."),
        (
            "{dir}/no/rows.jsonl",
            "{dir}/no/rows.jsonl does not exist. Nor does the folder {dir}/no; paths are taken from ",
        ),
        (
            "{dir}/rows.xml",
            "{dir}/rows.xml: cannot read .xml. Use one of .tar, .tar.gz, .tgz, .parquet, .jsonl, .json, .csv, .tsv, ",
        ),
        ("{dir}/empty.jsonl", "{dir}/empty.jsonl has no rows (data.limit is None). Give it at least one."),
        ("{dir}/one.json", "{dir}/one.json: found one dict, but a .json file holds a list of rows. Is it .jsonl?"),
        (
            "{dir}/lines.json",
            "broken JSON at line 2, column 1: Extra data. Write rows on lines of their own to a .jsonl file,",
        ),
        ("{dir}/bad.parquet", "{dir}/bad.parquet: cannot be read as parquet ("),
        ("{dir}", "{dir} is a folder that `datasets` did not save ("),
    ],
)
def test_a_bad_file_says_what_to_do(tmp_path, path, problem):
    files = {
        "rows.jsonl": '{"prompt": "a"}',
        "rows.xml": "prompt\na",
        "empty.jsonl": "\n",
        "one.json": '{"prompt": "a"}',
        "lines.json": '["a"]\n["b"]',
        "bad.parquet": "PAR1",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert problem.format(dir=tmp_path) in message(DataSection(path=path.format(dir=tmp_path)))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "data.path is not set, but data.source=file reads a file: set data.path."),
        ({"source": "gsm8k"}, "data.path is not set, but data.source=gsm8k reads a file: set data.path."),
        (
            {"source": "arithmetic", "path": "x.jsonl"},
            "data.path is x.jsonl, but data.source=arithmetic reads no file:",
        ),
        (
            {"source": "arithmetic", "columns": {"prompt": "q"}},
            "data.columns is set, but data.source=arithmetic names its",
        ),
        (
            {"path": "x.jsonl", "columns": {"promt": "q"}},
            "data.columns.promt is not a column to map. Did you mean `prompt`?",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_errors(fields, problem):
    with pytest.raises(ConfigError) as error:
        read_rows(DataSection(**fields))
    assert str(error.value).startswith(problem)


def test_an_image_is_a_path_from_the_folder_of_the_file(jsonl, tmp_path):
    rows = read_rows(jsonl({"prompt": "a", "image": "pictures/a.png"}, {"prompt": "b", "image": ""}))
    assert [row.image for row in rows] == [tmp_path / "pictures" / "a.png", None]
    assert all("image" not in row.metadata for row in rows)
    root = tmp_path / "elsewhere"
    for named, found in (("a.png", root / "a.png"), (str(tmp_path / "b.png"), tmp_path / "b.png")):
        section = jsonl({"prompt": "a", "picture": named}, columns={"image": "picture"}, image_root=str(root))
        assert read_rows(section, ("image",))[0].image == found


def test_a_missing_image_names_its_line(jsonl):
    section = jsonl({"prompt": "a", "image": "a.png"}, {"prompt": "b", "image": None})
    assert message(section, "image") == (
        f"{section.path} line 2: `image` is empty, but every row needs an image. Fill it, or remove the row."
    )
    section = jsonl({"prompt": "a", "image": 7})
    assert message(section) == (
        f"{section.path} line 1: `image` is 7 (int), but an image is the path of a file. Write it as a string."
    )
    assert "Say which one holds the image: data.columns.image=COLUMN." in message(jsonl({"prompt": "a"}), "image")


@pytest.mark.parametrize("folder", [True, False])
def test_images_of_datasets_stay_the_bytes_of_their_files(tmp_path, folder):
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    features = Features({"prompt": Value("string"), "image": Image()})
    data = Dataset.from_dict({"prompt": ["p"], "image": [picture]}, features=features)
    path = tmp_path / ("saved" if folder else "rows.parquet")
    (data.save_to_disk if folder else data.to_parquet)(str(path))
    row = read_rows(DataSection(path=str(path)), ("image",))[0]
    assert isinstance(row.image, bytes)
    assert row.image.startswith(b"\x89PNG")
