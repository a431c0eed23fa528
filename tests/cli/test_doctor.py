import socket

import pytest

from unigrpo.cli import doctor
from unigrpo.cli.main import main


def lines(capsys):
    return [line.split(None, 1) for line in capsys.readouterr().out.splitlines()[1:]]


def test_all_that_is_installed_is_well(capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert main(["doctor"]) == 0
    found = lines(capsys)
    assert {mark for mark, _ in found} <= {"ok", "note"}
    said = " ".join(text for _, text in found)
    for word in ("torch ", "transformers ", "cores", "GiB of memory", "this folder", "GPU", "RAY_ADDRESS", "port 8265"):
        assert word in said


def test_what_is_missing_or_too_old_is_named_with_the_command_that_helps(capsys, monkeypatch):
    needs = ["nosuchthing>=1", "numpy<0.1", 'nosuchextra>=2; extra == "judge"', 'old; python_version < "3"']
    monkeypatch.setattr(doctor, "requires", lambda name: needs)
    monkeypatch.setattr(doctor, "extras", lambda: ["judge"])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert main(["doctor"]) == 1
    found = lines(capsys)
    assert found[0] == ["wrong", "nosuchthing is not installed: uv pip install 'nosuchthing>=1'"]
    assert found[1][0] == "wrong"
    assert found[1][1].endswith("is not <0.1: uv pip install 'numpy<0.1'")
    assert found[2] == ["note", "nosuchextra is not installed (extra judge): uv sync --extra judge"]
    assert not any("old" in text.split()[0] for _, text in found)


def test_a_cluster_that_does_not_answer_is_wrong(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert main(["doctor"]) == 0
        assert ["ok", f"RAY_ADDRESS={address} answers"] in lines(capsys)
    assert main(["doctor"]) == 1
    advice = "does not answer: start that cluster, or unset the variable"
    assert ["wrong", f"RAY_ADDRESS={address} {advice}"] in lines(capsys)


@pytest.mark.parametrize("word", ["torch", "x=1"])
def test_it_takes_no_arguments(capsys, word):
    assert main(["doctor", word]) == 2
    assert f"doctor takes no arguments, but was given {word!r}." in capsys.readouterr().err
