"""`unigrpo doctor`: what this machine has, and what is missing for which part."""

import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement

from unigrpo import __version__
from unigrpo.cli.main import show
from unigrpo.errors import ConfigError

PORTS = {6379: "Ray's head", 8265: "Ray's dashboard, where jobs are submitted"}
LITTLE_DISK, LITTLE_MEMORY = 5, 4
"""GiB below which a run of a small model is in danger."""
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
    from rollout.colocated import usable_cores

    yield Finding("ok", f"{usable_cores()} of {os.cpu_count()} cores may be used")
    memory = psutil.virtual_memory()
    free, total = memory.available / GIB, memory.total / GIB
    yield Finding("ok" if free > LITTLE_MEMORY else "note", f"{free:.1f} of {total:.1f} GiB of memory are free")
    yield _disk("this folder", Path.cwd(), "name an output= elsewhere")
    yield _disk("Ray's files", Path(tempfile.gettempdir()), "set TMPDIR")
    yield from _accelerators()


def _disk(use: str, folder: Path, advice: str) -> Finding:
    free = shutil.disk_usage(folder).free / GIB
    if not os.access(folder, os.W_OK):
        return Finding("note", f"{folder} ({use}) cannot be written: {advice}")
    return Finding("ok" if free > LITTLE_DISK else "note", f"{free:.1f} GiB are free in {folder} ({use})")


def _accelerators() -> Iterator[Finding]:
    import torch

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
    built = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}" if torch.version.cuda else "none"
    yield Finding("note", f"no GPU is seen ({built}): everything runs on the CPU")


def cluster() -> Iterator[Finding]:
    """Whether a Ray cluster is meant, and whether the ports of one on this machine are free."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        yield _reached(address)
    else:
        yield Finding("ok", "RAY_ADDRESS is not set: a run starts a Ray of its own on 127.0.0.1")
    for port, use in PORTS.items():
        if _answers("127.0.0.1", port):
            yield Finding("note", f"port {port} answers: {use} or another program runs here already")
        else:
            yield Finding("ok", f"port {port} is free ({use})")


def _reached(address: str) -> Finding:
    host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
    if not port.isdigit():
        return Finding("note", f"RAY_ADDRESS={address} names no port, so that it was not tried")
    if _answers(host, int(port)):
        return Finding("ok", f"RAY_ADDRESS={address} answers")
    return Finding("wrong", f"RAY_ADDRESS={address} does not answer: start that cluster, or unset the variable")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True
