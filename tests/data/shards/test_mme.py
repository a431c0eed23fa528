import io

import pytest

from unigrpo.data.shards.mme import rows
from unigrpo.errors import DataError


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "count").mkdir()
    (tmp_path / "count/a.jpg").touch()
    return f"{tmp_path}/count/a.txt"


def test_a_line_is_a_question_and_its_answer(picture):
    one, other = rows(picture, io.BytesIO(b"\xef\xbb\xbfOne\tor two?\t Yes\r\n\n"), "a"), io.BytesIO(b"Is it?\tNo")
    [found] = one
    assert found.values == {
        "question": "One\tor two?",
        "answer": "Yes",
        "category": "count",
        "image": picture[:-3] + "jpg",
    }
    assert (found.name, found.where) == ("a:1", f"{picture} line 1")
    assert [row.values["answer"] for row in rows(picture, other, "a")] == ["No"]


def test_a_line_without_a_tab_is_broken_and_the_others_are_read(picture):
    broken, whole = rows(picture, io.BytesIO(b"Is it?  Yes\nIs it not?\tNo\n"), "a")
    assert isinstance(broken, DataError)
    assert str(broken) == f"{picture} line 1: must be a question, a tab and its answer, as in MME's files."
    assert whole.values["answer"] == "No"


@pytest.mark.parametrize(
    ("name", "content", "said"), [("b", b"", "b.jpg or .png is not in"), ("a", b"\xff", "is no UTF-8")]
)
def test_a_file_that_is_none_of_mmes_says_so(picture, name, content, said):
    with pytest.raises(DataError, match=said):
        list(rows(picture.replace("a.txt", f"{name}.txt"), io.BytesIO(content), name))
