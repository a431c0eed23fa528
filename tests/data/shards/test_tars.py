import io

import pytest

from tests.data.shards.write import captioned, png, write_tar
from unigrpo.data.files import Record
from unigrpo.data.shards.tars import samples
from unigrpo.errors import DataError


def read(path) -> list[Record | DataError]:
    with open(path, "rb") as file:
        return list(samples(str(path), file, path.name.partition(".")[0]))


def test_members_of_one_name_are_one_sample(tmp_path):
    members = {"json": '{"answer": "007", "score": 1e3}', "png": png(1), "txt": " a cat\n", "seg.png": png(2)}
    (found,) = read(write_tar(tmp_path / "shard-1.tar", {"deep/folder/a": members}))
    assert (found.name, found.values["__key__"]) == ("shard-1/deep/folder/a", "deep/folder/a")
    assert (found.values["answer"], str(found.values["score"]), found.values["txt"]) == ("007", "1e3", "a cat")
    assert found.values["image"] == found.values["png"] == png(1)
    assert found.values["seg.png"] == png(2)


def test_a_sample_that_cannot_be_read_leaves_the_others(tmp_path):
    broken = {"b": {"json": '{"a": '}, "c": {"txt": b"\xff\xfe"}}
    first, second, third, last = read(write_tar(tmp_path / "a.tar", captioned([1]) | broken | captioned([4])))
    assert (first.values["txt"], last.values["txt"]) == ("picture 1", "picture 4")
    assert "a.tar sample b, json: broken JSON" in str(second)
    assert "a.tar sample c: its text is not UTF-8 at byte 0" in str(third)


def test_a_shard_that_is_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path):
    whole = write_tar(tmp_path / "a.tar", captioned(range(3))).read_bytes()
    end = len(whole.rstrip(b"\0"))
    end += -end % 512
    for cut in {*range(0, end, 256), 1, 511, 513, end - 1, end}:
        found = []
        with pytest.raises(DataError, match=r"a\.tar: (damaged|holds no)"):
            found += samples("a.tar", io.BytesIO(whole[:cut]), "a")
        assert len(found) < 3


def test_the_last_whole_sample_is_named(tmp_path):
    path = write_tar(tmp_path / "a.tar", captioned(range(3)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a\.tar: damaged after sample 000001: .*Copy it again"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 10240, b"no archive " * 100])
def test_a_shard_without_samples_is_named(tmp_path, content):
    (tmp_path / "empty.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"empty\.tar: (holds no samples|damaged)"):
        read(tmp_path / "empty.tar")


def test_compressed_shards_are_read(tmp_path):
    import gzip

    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(write_tar(tmp_path / "a.tar", captioned(range(3))).read_bytes()))
    assert [found.values["txt"] for found in read(path)] == ["picture 0", "picture 1", "picture 2"]
