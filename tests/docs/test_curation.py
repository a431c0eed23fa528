from tests.curation.conftest import serve  # noqa: F401
from tests.docs.play import play
from tests.docs.worlds import write_yaml


def test_every_command_about_curation_does_what_it_says(tmp_path, monkeypatch, serve):  # noqa: F811
    server = serve(key="secret")
    monkeypatch.setenv("TEACHER_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    write_yaml("teacher.yaml", {"teacher": {"base_url": server.url, "model": "adder"}, "filter": {"near": None}})
    play("docs/curation.md", tmp_path, monkeypatch)
    assert server.requests
