"""The walls around a program: what it sees, what it may use, and that it goes when its supervisor goes."""

import os
import resource
import sys

from . import kernel, landlock, seccomp

SYSTEM = ("/usr", "/lib", "/lib64", "/lib32")
DISK = "size=64m,nr_inodes=1024,mode=700"
"""What a program may write, all its files together."""
BOX = "/box"
FILES, THREADS = 64, 64


def python_folders() -> list[str]:
    """Return the folders that Python needs, none inside another."""
    chosen: list[str] = []
    for folder in sorted({*SYSTEM, sys.base_prefix, sys.base_exec_prefix, sys.prefix}):
        if os.path.isdir(folder) and not any(folder.startswith(f"{parent}/") for parent in chosen):
            chosen.append(folder)
    return chosen


def enter(folder: str) -> str:
    """Move this process where there is no network and no file but Python's own, read-only, and an empty box.

    Returns:
        The box, a folder in memory.

    Raises:
        OSError: namespaces are not allowed here; this process is as it was, or can do less.
    """
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, DISK)
    for source in python_folders():
        target = f"{folder}{source}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(source):
            os.symlink(os.path.realpath(source), target)
            continue
        os.mkdir(target)
        kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
        kernel.read_only(target)
    os.mkdir(f"{folder}{BOX}")
    os.chroot(folder)
    os.chdir(BOX)
    return BOX


def bound(limit: int, value: int, last: int | None = None) -> None:
    """Set a limit of this process, or leave it where it is lower already."""
    hard = resource.getrlimit(limit)[1]
    highest = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(limit, (min(value, highest), min(last or value, highest)))


def confine(supervisor: int, enclosed: bool, cpu_seconds: int, file_bytes: int) -> None:
    """Bound this process for good; memory is bounded already.

    Args:
        enclosed: whether `enter` was allowed; if not, Landlock does what it can.

    Raises:
        OSError: one of the walls cannot be built here.
    """
    kernel.die_with(supervisor)
    bound(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)  # a signal with a name, then the end
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_NOFILE: FILES}
    if enclosed:  # elsewhere those of the user's other processes are counted too
        limits[resource.RLIMIT_NPROC] = THREADS
    for limit, value in limits.items():
        bound(limit, value)
    if not enclosed:
        landlock.read_only([*python_folders(), os.getcwd()])
    kernel.drop_capabilities()
    seccomp.install()
