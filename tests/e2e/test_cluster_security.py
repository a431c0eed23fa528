"""A Ray of our own is nobody else's, and a cluster that cannot be joined is one line within seconds."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
import ray
from ray._private.services import get_node_ip_address
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from actors.address import is_loopback
from actors.connect import connect
from actors.head import VERSIONS
from tests.e2e.heads import head_script
from tests.e2e.runs import run, train_args, weights
from unigrpo.cli.main import main
from unigrpo.config import ClusterSection

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TOKEN = "fedcba9876543210" * 4
OTHER = "0123456789abcdef" * 4
STRANGER = "import ray; ray.init(address={!r}, logging_level=40); print('joined')"
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without it a stranger's Ray would look for 127.0.0.1 at the machine's own address, where nothing listens."""


@pytest.fixture(autouse=True)
def no_cluster_is_meant(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def open_head():
    with head_script(RAY_AUTH_MODE="disabled") as (port, _, _):
        yield port


@pytest.fixture(scope="module")
def guarded_head():
    with head_script(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as (port, _, _):
        yield port


@pytest.fixture
def refused(tmp_path, capfd):
    """Runs with an address that must be refused, quickly and in one line, which is returned."""

    def refused(address: str) -> str:
        start = time.monotonic()
        assert main(train_args(tmp_path, tmp_path / "run", f"cluster.address={address}")) == 2
        assert time.monotonic() - start < 120
        assert not ray.is_initialized()
        assert not (tmp_path / "run").exists()
        [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("unigrpo: ")]
        return line

    return refused


def stranger(address: str, **env: str) -> subprocess.Popen:
    """Another process that joins a cluster; it tries for 20 s."""
    command = [sys.executable, "-c", STRANGER.format(address)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | LOOPBACK | env, **pipes)


def test_a_ray_of_our_own_listens_on_loopback_and_refuses_whoever_lacks_its_token():
    connect(ClusterSection(), 1)
    try:
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & os.environ.keys()
        mine = psutil.Process().children(recursive=True)
        listening = [c for p in [psutil.Process(), *mine] for c in p.net_connections("tcp") if c.status == "LISTEN"]
        assert len(listening) > 5
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}
        [token] = {p.environ()["RAY_AUTH_TOKEN"] for p in mine if p.name() == "raylet"}
        assert not any(token in word for p in mine for word in p.cmdline())
        address = ray.get_runtime_context().gcs_address
        tokens = {"right": {"RAY_AUTH_TOKEN": token}, "wrong": {"RAY_AUTH_TOKEN": OTHER}}
        asked = {name: stranger(address, RAY_AUTH_MODE="token", **env) for name, env in tokens.items()}
        asked["none"] = stranger(address)
        said = {name: process.communicate() for name, process in asked.items()}
        assert {name: process.returncode for name, process in asked.items()} == {"right": 0, "wrong": 1, "none": 1}
        assert [name for name, (out, _) in said.items() if "joined" in out] == ["right"]
        assert all("AuthenticationError" in said[name][1] for name in ("wrong", "none"))
        session = Path(ray._private.worker._global_node.get_session_dir_path())  # pyright: ignore
        files = [path for path in session.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if token.encode() in path.read_bytes()]
    finally:
        ray.shutdown()


@pytest.mark.long
def test_runs_follow_each_other_on_rays_of_their_own_and_on_clusters(tmp_path, open_head, guarded_head, monkeypatch):
    def weights_of(name: str, *settings: str) -> bytes:
        run(train_args(tmp_path, tmp_path / name, "steps=1", *settings))
        return weights(tmp_path / name)

    found = [weights_of("local", "cluster.backend=local"), weights_of("own")]
    found.append(weights_of("open", f"cluster.address=127.0.0.1:{open_head}"))
    found.append(weights_of("again"))
    with monkeypatch.context() as here:
        here.setenv("RAY_AUTH_MODE", "token")
        here.setenv("RAY_AUTH_TOKEN", TOKEN)
        found.append(weights_of("guarded", f"cluster.address=127.0.0.1:{guarded_head}"))
    found.append(weights_of("address of local", "cluster.address=local"))
    assert set(found) == {found[0]}
    secret = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert not secret


@pytest.mark.long
def test_ports_that_are_taken_do_not_keep_a_ray_of_our_own_from_starting(tmp_path):
    taken = []
    for port in (6379, 8265, 10001, 52365):
        try:
            taken.append(socket.create_server(("", port)))
        except OSError:
            continue  # taken already
    try:
        run(train_args(tmp_path, tmp_path / "run"))
    finally:
        for each in taken:
            each.close()


def test_a_cluster_elsewhere_is_joined_with_one_line_about_what_is_exposed(tmp_path, open_head, capfd):
    host = get_node_ip_address()
    if is_loopback(host):
        pytest.skip("this machine has no other address")
    run(train_args(tmp_path, tmp_path / "run", "steps=1", f"cluster.address={host}:{open_head}"))
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("unigrpo: warning: ")]
    assert len(said) == 1
    assert f"whoever reaches the ports of {host}:{open_head} can run any code there" in said[0]
    assert "asks for no token" in said[0]


def test_a_cluster_that_wants_a_token_says_so(guarded_head, refused, monkeypatch):
    address = f"127.0.0.1:{guarded_head}"
    assert f"Ray at {address} cannot be used: it wants a token. Set RAY_AUTH_MODE=token" in refused(address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", OTHER)
    line = refused(address)
    assert f"Ray at {address} cannot be used: it refuses the token that is here. Set RAY_AUTH_TOKEN" in line
    assert OTHER not in line
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    assert "RAY_AUTH_MODE is token, but there is none here" in refused(address)


@pytest.mark.parametrize(("name", "version"), [("ray_version", "2.40.0"), ("python_version", "3.9.1")])
def test_a_cluster_of_another_version_is_one_line(open_head, refused, name, version):
    with grpc.insecure_channel(f"127.0.0.1:{open_head}") as channel:
        kept = gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel)
        place = {"key": VERSIONS, "namespace": b"cluster"}
        true = kept.InternalKVGet(gcs_service_pb2.InternalKVGetRequest(**place)).value  # pyright: ignore
        said = {"value": json.dumps(json.loads(true) | {name: version}).encode(), "overwrite": True}
        kept.InternalKVPut(gcs_service_pb2.InternalKVPutRequest(**place, **said))  # pyright: ignore
        try:
            line = refused(f"127.0.0.1:{open_head}")
        finally:
            kept.InternalKVPut(gcs_service_pb2.InternalKVPutRequest(**place, value=true, overwrite=True))  # pyright: ignore
    here = (
        f"here is Ray {ray.__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}: install the same on both."
    )
    assert version in line.partition("here is")[0]
    assert here in line


@pytest.mark.parametrize("kind", ["http", "silent"])
def test_what_answers_but_is_no_ray_is_one_line(refused, kind):
    with socket.create_server(("", 0)) if kind == "silent" else web_server() as server:
        port = server.getsockname()[1] if kind == "silent" else server.server_port
        line = refused(f"127.0.0.1:{port}")
    assert f"Ray at 127.0.0.1:{port} cannot be used: what answers there is not the head of a Ray cluster" in line


@contextmanager
def web_server():
    with http.server.ThreadingHTTPServer(("", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_address_of_a_job_server_is_no_cluster(refused):
    line = refused("http://127.0.0.1:8265")
    assert "Ray at http://127.0.0.1:8265 cannot be used: http:// is no way to join a cluster" in line
