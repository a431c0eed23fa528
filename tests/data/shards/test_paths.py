import http.server
import threading
from functools import partial

import pytest

from tests.data.shards.write import write_tars
from unigrpo.config import DataSection
from unigrpo.config.sources import is_streamed
from unigrpo.data.rows import read_rows
from unigrpo.data.shards.paths import braces, expand, opened
from unigrpo.errors import DataError, UniGRPOError


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.tar", ["a.tar"]),
        ("{08..10}.tar", ["08.tar", "09.tar", "10.tar"]),
        ("{8..10}.tar", ["8.tar", "9.tar", "10.tar"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{b,a}/{0..1}.tar", ["b/0.tar", "b/1.tar", "a/0.tar", "a/1.tar"]),
        ("s3://bucket/{000..001}.tar", ["s3://bucket/000.tar", "s3://bucket/001.tar"]),
    ],
)
def test_braces_stand_for_what_a_shell_makes_of_them(path, found):
    assert braces(path) == found


def test_wildcards_are_sorted_and_must_fit_something(tmp_path):
    for name in ("b.tar", "a.tar", "c.txt"):
        (tmp_path / name).touch()
    assert expand(f"{tmp_path}/*.tar") == [f"{tmp_path}/a.tar", f"{tmp_path}/b.tar"]
    with pytest.raises(DataError, match="fits no file"):
        expand(f"{tmp_path}/*.parquet")


@pytest.mark.parametrize("path", ["{0..9999999}", "{0..9999}{0..9999}", "{abc}"])
def test_a_brace_without_an_end_is_refused(path):
    with pytest.raises(DataError, match=r"stands for more than|is no range"):
        braces(path)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{tmp}/none.tar", "does not exist"),
        ("{tmp}", "is a folder"),
        ("nosuch://bucket/a.tar", "nosuch"),
        ("http://127.0.0.1:9/a.tar", "http://127.0.0.1:9/a.tar"),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path, path, problem):
    with pytest.raises(UniGRPOError, match=problem), opened(path.format(tmp=tmp_path)):
        pass


@pytest.mark.parametrize(
    ("fields", "streams"),
    [
        ({"path": "a.jsonl"}, False),
        ({"path": "a.tar"}, True),
        ({"path": "a.tar", "limit": 5}, False),
        ({"path": "a.tar", "streaming": False}, False),
        ({"path": "a.jsonl", "streaming": True}, True),
        ({"path": "{0..3}.parquet"}, True),
        ({"path": "s3://bucket/a.jsonl"}, True),
        ({"path": "org/name", "source": "hub"}, True),
        ({"source": "arithmetic"}, False),
    ],
)
def test_large_data_is_streamed_unless_something_else_is_said(fields, streams):
    assert is_streamed(DataSection(**fields)) is streams


@pytest.fixture
def server(tmp_path):
    """A real web server of a folder."""
    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_shards_are_read_over_http(tmp_path, server):
    write_tars(tmp_path, shards=2, each=3)
    section = DataSection(task="image", layout="caption", path=f"{server}/{{00000..00001}}.tar")
    assert [row.prompt for row in read_rows(section)] == [f"picture {number}" for number in range(6)]


def test_a_missing_shard_behind_an_address_is_named(tmp_path, server):
    write_tars(tmp_path, shards=1, each=3)
    section = DataSection(task="image", layout="caption", path=f"{server}/{{00000..00001}}.tar")
    with pytest.raises(DataError, match=r"00001\.tar"):
        read_rows(section)
