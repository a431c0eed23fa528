"""Pictures: what the teacher is shown, and what is written for training."""

import numpy as np
import pytest
from PIL import Image

from tests.curation.conftest import read_lines, sums
from tests.curation.server import expected, shade
from unigrpo.config import DataSection
from unigrpo.data.images import read_image
from unigrpo.data.rows import read_rows
from unigrpo.errors import DataError

ROWS = sums(12)
LOOK = "def told(response, answer):\n    return float(f'get {answer}.' in response)\n"


@pytest.fixture
def rows(tmp_path):
    """Sums, each with a picture whose mean is to be added."""
    found = []
    for number, row in enumerate(ROWS):
        grey = 10 * number
        Image.new("RGB", (40, 24), (grey, grey, grey)).save(tmp_path / f"{number}.png")
        total = int(row["answer"]) + grey
        found.append(row | {"image": f"{number}.png", "answer": str(total)})
    return found


@pytest.fixture
def told(tmp_path):
    (tmp_path / "told.py").write_text(LOOK)
    return [f"rewards.told.path={tmp_path / 'told.py'}:told", "keep={told: 1}"]


@pytest.fixture
def anything(tmp_path):
    """A reward that any answer gets."""
    (tmp_path / "any.py").write_text("def any(response):\n    return 1.0\n")
    return [f"rewards.any.path={tmp_path / 'any.py'}:any", "keep={any: 1}"]


def means(path, task, need=("response", "image")):
    """The mean of the picture of each row, as training reads it, by the row's prompt."""
    section = DataSection(path=str(path), task=task)
    return {row.prompt: read_image(row.image, row.where).mean() for row in read_rows(section, need)}


def test_what_understand_asks_about_is_shown_and_written(tmp_path, server, run, rows):
    summary = run(server, rows, "data.task=understand", "samples=8")
    assert summary.kept == expected(rows, 8)["right"]  # no sum is right without its picture
    assert means(tmp_path / "out/data.jsonl", "understand") == {row["prompt"]: 10 * n for n, row in enumerate(rows)}


@pytest.mark.parametrize("resolution", [None, 16])
def test_pictures_are_shown_as_they_are_or_as_they_are_trained_on(server, run, rows, anything, resolution):
    settings = [] if resolution is None else [f"teacher.resolution={resolution}", "data.fit=pad"]
    run(server, rows, "data.task=understand", "samples=1", *settings, *anything)
    shades = sorted(map(shade, server.requests))
    white = 255 * 16 / 40  # the share of a padded square of 40 pixels that is not the picture
    assert shades == pytest.approx([10 * n if resolution is None else 6 * n + white for n in range(12)], abs=3)


def test_a_changed_picture_is_asked_about_again(tmp_path, server, run, rows):
    run(server, rows, "data.task=understand", "samples=2")
    Image.new("RGB", (40, 24), (5, 5, 5)).save(tmp_path / "3.png")
    assert run(server, rows, "data.task=understand", "samples=2").asked == 2


def test_a_thought_before_a_drawing_stands_alone_and_keeps_the_picture(tmp_path, server, run, rows, told):
    seen = run(server, rows, "data.task=think_image", "teacher.look=true", "samples=8", *told)
    does = expected(rows, 8)
    assert seen.kept == does["right"] + does["wrong"] + does["silent"]  # what follows the thought is nobody's concern
    written = read_lines(tmp_path / "out/data.jsonl")
    assert all(row["response"].endswith(f"get {row['answer']}.</think>") for row in written)
    assert means(tmp_path / "out/data.jsonl", "think_image") == {row["prompt"]: 10 * n for n, row in enumerate(rows)}


def test_a_teacher_does_not_see_what_is_to_be_drawn_unless_it_is_told_to(server, run, rows, anything):
    run(server, rows, "data.task=think_image", *anything)
    assert set(map(shade, server.requests)) == {0}


@pytest.mark.parametrize("file", ["data.jsonl", "data.parquet"])
def test_pictures_that_are_no_files_are_written_too(tmp_path, server, run, rows, file):
    from pyarrow import Table, parquet

    data = tmp_path / "rows.parquet"
    bare = [row | {"image": {"bytes": (tmp_path / row["image"]).read_bytes(), "path": None}} for row in rows]
    parquet.write_table(Table.from_pylist(bare), data)
    settings = [f"data.path={data}", "data.task=understand", f"file={file}"]
    run(server, rows, *settings)
    found = means(tmp_path / "out" / file, "understand")
    assert found.items() <= {row["prompt"]: 10.0 * n for n, row in enumerate(rows)}.items()
    assert len(found) > 8
    first = (tmp_path / "out" / file).read_bytes()
    run(server, rows, *settings)
    assert (tmp_path / "out" / file).read_bytes() == first


def test_a_parquet_keeps_paths_too(tmp_path, server, run, rows):
    run(server, rows, "data.task=understand", "file=data.parquet", "samples=8")
    assert means(tmp_path / "out/data.parquet", "understand") == {row["prompt"]: 10 * n for n, row in enumerate(rows)}


def test_generated_pictures_are_written(tmp_path, server, run, rows, anything):
    settings = ["data.source=shapes", "data.path=null", "data.size=6", "data.task=think_image"]
    run(server, rows, *settings, *anything)
    section = DataSection(path=str(tmp_path / "out/data.jsonl"), task="think_image")
    drawn = {row.metadata["source_id"]: row for row in read_rows(section, ("response", "image"))}
    for old in read_rows(DataSection(source="shapes", size=6, task="think_image")):
        if old.id in drawn:
            assert np.array_equal(read_image(drawn[old.id].image, ""), old.image)
    assert drawn


def test_a_picture_in_a_text_task_and_one_that_is_missing_are_refused(tmp_path, server, run, rows):
    with pytest.raises(DataError, match="line 1: an image for a text task"):
        run(server, rows)
    (tmp_path / "3.png").unlink()
    with pytest.raises(DataError, match=r"line 4: the image .*3\.png' cannot be read: No such file"):
        run(server, rows, "data.task=understand")
    assert server.requests == []
