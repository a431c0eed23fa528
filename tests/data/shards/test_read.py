import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.shards.write import write_parquet
from unigrpo.config import DataSection
from unigrpo.data.rows import read_rows
from unigrpo.data.shards.read import read_unit
from unigrpo.data.shards.units import Unit, units_of
from unigrpo.errors import DataError

ANSWERS = ["007", "1e3", "2024-01-01", "x,\ny"]
ROWS = [{"prompt": f"p{number}", "answer": answer} for number, answer in enumerate(ANSWERS)]
LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=9)


def answers(path) -> list:
    return [(row.prompt, row.answer) for row in read_rows(DataSection(path=str(path)))]


def test_answers_stay_as_they_are_written_in_every_kind_of_file(tmp_path):
    write_parquet(tmp_path / "a.parquet", ROWS)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    lines = ["prompt,answer", *(f'{row["prompt"]},"{row["answer"]}"' for row in ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "a.tsv").write_text("\n".join(lines).replace(",", "\t", 1).replace(",", "\t") + "\n")
    wanted = [(row["prompt"], row["answer"]) for row in ROWS]
    assert all(answers(tmp_path / name) == wanted for name in ("a.parquet", "a.jsonl", "a.csv"))
    assert answers(tmp_path / "a.tsv")[:3] == wanted[:3]
    assert answers(f"{tmp_path}/a.{{jsonl,parquet}}") == 2 * wanted


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(LINE, max_size=8), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_parts_of_a_jsonl_file_hold_each_line_once(tmp_path_factory, lines, cuts):
    path = tmp_path_factory.mktemp("parts") / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt": line}) + "\n" for line in lines))
    size = path.stat().st_size
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    parts = [Unit("jsonl", str(path), start, stop) for start, stop in pairwise(edges)]
    rows = [row for part in parts for row in read_unit(part, DataSection(path=str(path)))]
    assert [row.values["prompt"] for row in rows] == lines
    assert len({row.name for row in rows}) == len(lines)


def test_a_parquet_file_is_read_by_its_row_groups(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [{"prompt": str(number)} for number in range(25)], group=10)
    section = DataSection(path=str(path), streaming=True)
    units = units_of(section)
    rows = [row for unit in units for row in read_unit(unit, section)]
    assert len(units) == 3
    assert [row.values["prompt"] for row in rows] == list(map(str, range(25)))
    assert rows[12].where == f"{path} row 13"


def test_a_broken_line_is_an_error_in_its_place(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n{"prompt": \n[1]\n{"prompt": "b"}\n')
    path = str(tmp_path / "a.jsonl")
    first, second, third, last = read_unit(Unit("jsonl", path), DataSection(path=path))
    assert (first.values["prompt"], last.values["prompt"]) == ("a", "b")
    assert "line 2: broken JSON" in str(second)
    assert "line 3: found [1] (list)" in str(third)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"PAR1 and no more", "cannot be read as parquet"),
        ("a.csv", b'prompt,answer\n"open,1\n', "cannot be read as CSV"),
        ("a.csv", b"prompt,answer\na,b,c\n", "line 2: it has not as many columns as the header"),
        ("a.csv", b"prompt\n\xff\n", "cannot be read as CSV"),
        ("a.doc", b"", r"cannot read \.doc\. Use one of \.tar"),
        ("a.tar", b"no tar", "a.tar: damaged"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_rows(DataSection(path=f"{tmp_path}/{name[0]}*{name[1:]}"))


def test_the_hub_cannot_be_reached_from_here():
    with pytest.raises(DataError, match=r"the hub does not give.*data\.source=file data\.path=FOLDER"):
        read_rows(DataSection(source="hub", path="nobody/nothing"))


def test_a_data_set_in_a_folder_is_loaded_as_the_hub_would(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", ROWS[:2])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", ROWS[2:])
    section = DataSection(source="hub", path=str(tmp_path))
    assert len(units_of(section)) == 2
    assert [(row.prompt, row.answer) for row in read_rows(section)] == [(row["prompt"], row["answer"]) for row in ROWS]


def test_a_folder_saved_by_datasets_is_read_in_parts(tmp_path):
    from datasets import Dataset

    Dataset.from_list([{"prompt": str(number)} for number in range(2500)]).save_to_disk(tmp_path / "saved")
    section = DataSection(path=str(tmp_path / "saved"), streaming=True)
    units = units_of(section)
    rows = [row.values["prompt"] for unit in units for row in read_unit(unit, section)]
    assert (len(units), rows) == (3, list(map(str, range(2500))))
