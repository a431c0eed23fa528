"""`unigrpo doctor`: what this machine has, and what is missing for which part."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement

from actors.address import is_loopback, knock, place
from unigrpo import __version__
from unigrpo.cli.main import show
from unigrpo.errors import ClusterError, ConfigError

PORTS = {6379: "Ray's head", 8265: "Ray's dashboard, where jobs are submitted"}
LITTLE_DISK, LITTLE_MEMORY, LITTLE_SHARED = 5, 4, 1
"""GiB below which a run of a small model is in danger; shared memory is what Ray's workers hand each other data in."""
SHARED, LIMIT = Path("/dev/shm"), Path("/sys/fs/cgroup/memory.max")
GIB = 1 << 30


class Finding(NamedTuple):
    """One line of the report."""

    mark: str
    """`ok`; `note`, which stops nothing; or `wrong`, which does."""
    text: str


def run(args: list[str]) -> int:
    """Prints the report; 1 when something is wrong: a package that every run needs, or a cluster that was named."""
    if args:
        raise ConfigError(f"doctor takes no arguments, but was given {args[0]!r}.")
    found = [*packages(), *machine(), *cluster()]
    title = f"unigrpo {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    show("\n".join([title, *(f"  {mark:5}  {text}" for mark, text in found)]))
    return int(any(mark == "wrong" for mark, _ in found))


def packages() -> Iterator[Finding]:
    """Each package that unigrpo names: the installed version, and whether it is one that it allows."""
    for line in requires("unigrpo") or ():
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate():
            yield _package(need, None)
            continue
        extra = next((name for name in extras() if need.marker.evaluate({"extra": name})), None)
        if extra:
            yield _package(need, extra)


def extras() -> list[str]:
    """The optional parts of unigrpo, in the order of pyproject.toml."""
    return metadata("unigrpo").get_all("Provides-Extra") or []


def _package(need: Requirement, extra: str | None) -> Finding:
    wanted = f"{need.name}{need.specifier}"
    install = f"uv sync --extra {extra}" if extra else f"uv pip install '{wanted}'"
    use = f" (extra {extra})" if extra else ""
    try:
        has = version(need.name)
    except PackageNotFoundError:
        return Finding("note" if extra else "wrong", f"{need.name} is not installed{use}: {install}")
    if not need.specifier.contains(has, prereleases=True):
        return Finding("note" if extra else "wrong", f"{need.name} {has} is not {need.specifier}{use}: {install}")
    return Finding("ok", f"{need.name} {has}{use}")


def machine() -> Iterator[Finding]:
    """Cores, memory, disk and accelerators."""
    memory = psutil.virtual_memory()
    free, total = memory.available / GIB, memory.total / GIB
    yield Finding("ok" if free > LITTLE_MEMORY else "note", f"{free:.1f} of {total:.1f} GiB of memory are free")
    limit = LIMIT.read_text().strip() if LIMIT.is_file() else "max"
    if limit != "max" and int(limit) < memory.total:
        yield Finding("note", f"this container may use {int(limit) / GIB:.1f} GiB of memory, and is ended above that")
    yield _disk("this folder, for runs and checkpoints", Path.cwd(), "name an output= elsewhere")
    yield _disk("Ray's files", Path(tempfile.gettempdir()), "set TMPDIR")
    if SHARED.is_dir():
        yield _disk("shared memory of Ray", SHARED, "start the container with --shm-size=8g", LITTLE_SHARED)
    if find_spec("torch"):
        yield from _accelerators()


def _disk(use: str, folder: Path, advice: str, little: float = LITTLE_DISK) -> Finding:
    free = shutil.disk_usage(folder).free / GIB
    if not os.access(folder, os.W_OK):
        return Finding("note", f"{folder} ({use}) cannot be written: {advice}")
    if free <= little:
        return Finding("note", f"only {free:.1f} GiB are free in {folder} ({use}): {advice}")
    return Finding("ok", f"{free:.1f} GiB are free in {folder} ({use})")


def _accelerators() -> Iterator[Finding]:
    """What torch sees."""
    import torch

    from unigrpo.machine import usable_cores

    yield Finding("ok", f"{usable_cores()} of {os.cpu_count()} cores may be used")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name, (major, minor) = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        yield Finding(
            "ok", f"GPU {index}: {name}, compute {major}.{minor}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        )
    if torch.cuda.device_count():
        return
    if torch.backends.mps.is_available():
        yield Finding("ok", "GPU: Apple's, by mps")
        return
    if Path("/dev/nvidia0").exists():
        yield Finding(
            "note", f"a GPU is here that torch {torch.__version__} cannot use: install a torch for its driver"
        )
        return
    built = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}" if torch.version.cuda else "none"
    yield Finding("note", f"no GPU is seen ({built}): everything runs on the CPU")


def cluster() -> Iterator[Finding]:
    """The cluster that is meant, how its calls are guarded, and whether the ports of one on this machine are free."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        yield from _reached(address)
    else:
        yield Finding("ok", "RAY_ADDRESS is not set: a run starts a Ray of its own, that only it can use")
    yield _token(address)
    for port, use in PORTS.items():
        if _answers("127.0.0.1", port):
            yield Finding("note", f"port {port} answers: {use} or another program runs here already")
        else:
            yield Finding("ok", f"port {port} is free ({use})")


def _reached(address: str) -> Iterator[Finding]:
    try:
        found = place(address)
    except ValueError as error:
        yield Finding("wrong", f"RAY_ADDRESS={address} is no address ({error}): write HOST:6379")
        return
    if not found:
        yield Finding("note", f"RAY_ADDRESS={address} names no port, so that it was not tried")
    elif not _answers(*found):
        yield Finding("wrong", f"RAY_ADDRESS={address} does not answer: start that cluster, or unset the variable")
    elif "://" in address:
        yield Finding("ok", f"RAY_ADDRESS={address} answers")
    elif find_spec("ray"):
        yield _asked(address)
    if found and not is_loopback(found[0]):
        yield Finding("note", f"whoever reaches {address} can run any code there: keep it behind a firewall")


def _asked(address: str) -> Finding:
    from actors.head import greet

    try:
        found = greet(address, f"RAY_ADDRESS={address}")
    except ClusterError as error:
        return Finding("wrong", str(error))
    return Finding("ok", f"RAY_ADDRESS={address}: {found.nodes} nodes, {found.cpus:g} CPUs, {found.gpus:g} GPUs")


def _token(address: str | None) -> Finding:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token":
        return Finding("ok", "RAY_AUTH_MODE=token: Ray's calls need a token")
    if mode:
        return Finding(
            "note", f"RAY_AUTH_MODE={mode}: whoever reaches a Ray that is started here can run any code in it"
        )
    if address:
        return Finding(
            "note", "RAY_AUTH_MODE is not set: a cluster with a token (scripts/ray/head.sh) refuses this one"
        )
    return Finding("ok", "RAY_AUTH_MODE is not set: a Ray that a run starts gets a token of its own")


def _answers(host: str, port: int) -> bool:
    try:
        knock(host, port)
    except OSError:
        return False
    return True
