import http.server
import threading

import pytest

from unigrpo.cli import doctor
from unigrpo.cli.main import main
from unigrpo.config import ClusterSection


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


def test_a_cluster_that_does_not_answer_is_wrong_and_so_is_what_is_no_ray(capsys, monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert main(["doctor"]) == 1
        [text] = [text for mark, text in lines(capsys) if mark == "wrong"]
        assert text.startswith(f"Ray at RAY_ADDRESS={address} cannot be used: what answers there is not the head")
        monkeypatch.setenv("RAY_ADDRESS", f"http://{address}")
        assert main(["doctor"]) == 0
        assert ["ok", f"RAY_ADDRESS=http://{address} answers"] in lines(capsys)
        server.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["doctor"]) == 1
    advice = "does not answer: start that cluster, or unset the variable"
    assert ["wrong", f"RAY_ADDRESS={address} {advice}"] in lines(capsys)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:99999")
    assert main(["doctor"]) == 1
    assert "is no address (Port out of range 0-65535): write HOST:6379" in capsys.readouterr().out


@pytest.mark.ray
def test_what_a_cluster_has_is_told(capsys, monkeypatch):
    import ray

    from actors.connect import connect

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    connect(ClusterSection(), 1)
    try:
        cores = ray.cluster_resources()["CPU"]
        address = ray.get_runtime_context().gcs_address
        monkeypatch.setenv("RAY_ADDRESS", address)
        main(["doctor"])
        assert f"RAY_ADDRESS={address}: 1 nodes, {cores:g} CPUs, " in capsys.readouterr().out
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("mode", "address", "mark", "said"),
    [
        (None, None, "ok", "gets a token of its own"),
        ("token", None, "ok", "calls need a token"),
        ("disabled", None, "note", "whoever reaches a Ray that is started here"),
        (None, "127.0.0.1:1", "note", "a cluster with a token"),
    ],
)
def test_whether_calls_need_a_token_is_told(capsys, monkeypatch, mode, address, mark, said):
    for name, value in (("RAY_AUTH_MODE", mode), ("RAY_ADDRESS", address)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    main(["doctor"])
    [found] = [line for line in lines(capsys) if line[1].startswith("RAY_AUTH_MODE")]
    assert found[0] == mark
    assert said in found[1]


def test_a_limit_of_memory_and_a_full_disk_are_told(capsys, monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text(f"{1 << 30}\n")
    monkeypatch.setattr(doctor, "LIMIT", limit)
    monkeypatch.setattr(doctor, "LITTLE_SHARED", 1 << 30)
    main(["doctor"])
    found = lines(capsys)
    assert ["note", "this container may use 1.0 GiB of memory, and is ended above that"] in found
    if doctor.SHARED.is_dir():
        [text] = [text for _, text in found if "/dev/shm" in text]
        assert text.endswith("(shared memory of Ray): start the container with --shm-size=8g")


@pytest.mark.parametrize("word", ["torch", "x=1"])
def test_it_takes_no_arguments(capsys, word):
    assert main(["doctor", word]) == 2
    assert f"doctor takes no arguments, but was given {word!r}." in capsys.readouterr().err
