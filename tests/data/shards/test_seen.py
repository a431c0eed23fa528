import base64
import io
import json

import pytest
from PIL import Image

from unigrpo.config import DataSection
from unigrpo.data.images import read_image
from unigrpo.data.rows import read_rows
from unigrpo.errors import DataError


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_vlmevalkits_tables_hold_picture_choices_and_answer(tmp_path):
    path = tmp_path / "bench.tsv"
    cells = ["0", base64.b64encode(png()).decode(), "Which?", "Look.", "red", "blue", "", "", "B", "colour"]
    path.write_text("index\timage\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\n" + "\t".join(cells) + "\n")
    [row] = read_rows(DataSection(path=str(path), task="understand", layout="vlmevalkit", columns={"id": "index"}))
    assert (row.id, row.prompt, row.answer, row.metadata["choices"]) == ("0", "Look.\nWhich?", "B", ["red", "blue"])
    assert row.image is not None
    assert read_image(row.image, "here").tolist() == [[[255, 0, 0]] * 4] * 3


def test_a_picture_that_is_no_base64_is_named(tmp_path):
    path = tmp_path / "bench.tsv"
    path.write_text("index\timage\tquestion\tanswer\n0\tcat.png\tWhich?\tB\n")
    with pytest.raises(DataError, match="`image` is no base64"):
        read_rows(DataSection(path=str(path), task="understand", layout="vlmevalkit"))


@pytest.mark.parametrize(
    "content",
    [
        [{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "y"}],
        {"info": {"year": 1}, "questions": [{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "y"}]},
        {"x": {"prompt": "a"}, "y": {"prompt": "b"}},
        '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "y"}\n',
    ],
)
def test_a_json_file_holds_rows_in_any_of_four_ways(tmp_path, content):
    path = tmp_path / "rows.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    for name in (str(path), str(tmp_path / "*.json")):
        rows = read_rows(DataSection(path=name))
        assert [(row.id, row.prompt) for row in rows] == [("x", "a"), ("y", "b")]
