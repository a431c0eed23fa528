"""A filter of system calls: no processes, no network, no signals to others, none of the kernel's rarer doors."""

import ctypes
import errno
import os
import struct

from . import kernel

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The kernel's own name of each architecture, and the column of `FORBIDDEN`."""
FORBIDDEN: dict[str, tuple[int, int]] = {
    # Processes and programs; threads are made by clone, whose flags are looked at.
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157),
    "setpgid": (109, 154), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    # What can be done to another process of the same user; prctl could undo that it dies with its parent.
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "prctl": (157, 167),
    # Signals, which could stop whoever watches.
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    # Network, and io_uring, which could reach it unseen.
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # Memory that no limit of the process counts, or that stays when it is gone.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "userfaultfd": (323, 282),
    # What Landlock lets be done to files.
    "truncate": (76, 45), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1),
    "utimes": (235, -1), "utimensat": (280, 88), "futimesat": (261, -1), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    # Mounts, namespaces, and the machine itself.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "bpf": (321, 280), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "swapon": (167, 224), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "personality": (135, 92), "quotactl": (179, 60), "acct": (163, 89), "ioperm": (173, -1), "iopl": (172, -1),
    "modify_ldt": (154, -1),
}  # fmt: skip
"""Numbers on x86_64 and aarch64, -1 where there is none."""
CLONE, CLONE3, PRLIMIT, NEWEST = (56, 220), 435, (302, 261), 462
CLONE_THREAD = 0x10000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_MODE_FILTER = 2


def install() -> None:
    """Forbid the calls for this process and all its threads, for good.

    Raises:
        OSError: the kernel, or this architecture, has no such filters.
    """
    if os.uname().machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {os.uname().machine}")
    program = b"".join(_program(*ARCHITECTURES[os.uname().machine]))
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count and a pointer, which is aligned.
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(head))


def _program(architecture: int, column: int) -> list[bytes]:
    """Return the instructions of the filter; each skips 0 or more of those after it."""
    denied = _answer(errno.EPERM)
    # A clone3 that is not there makes the C library use clone, whose flags can be read here.
    absent = _answer(errno.ENOSYS)
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, NEWEST + 1, 0, 1),
        absent,
        _step(_EQUAL, CLONE3, 0, 1),
        absent,
    ]
    for numbers in FORBIDDEN.values():
        if numbers[column] != -1:
            code += [_step(_EQUAL, numbers[column], 0, 1), denied]
    return [
        *code,
        # The limits of process 0, which is itself, may be read; none can be raised.
        _step(_EQUAL, PRLIMIT[column], 0, 4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_EQUAL, 0, 1, 0),
        denied,
        _step(_RETURN, _ALLOW),
        _step(_EQUAL, CLONE[column], 1, 0),
        _step(_RETURN, _ALLOW),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, CLONE_THREAD, 1, 0),
        denied,
        _step(_RETURN, _ALLOW),
    ]


def _answer(code: int) -> bytes:
    return _step(_RETURN, _ERRNO | code)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
