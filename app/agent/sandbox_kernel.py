"""Landlock and seccomp for the launcher. Linux, stdlib only, because the launcher imports it.

Landlock holds files, seccomp holds calls and sockets. Every right newer than the running kernel's
ABI is left out before the call, and `missing_at` says what that means.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from typing import Any

# Landlock (linux/landlock.h); the system call numbers are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FILE_RIGHTS = 0x4007  # execute, write, read, truncate
_RIGHTS_BY_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
_READ = 0b1101  # execute, read file, read directory
_MAKE_DEVICES = (1 << 6) | (1 << 11)
_IOCTL = 1 << 15
_NET, _SCOPES = 0b11, 0b11

_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 38, 24
_KEPT_CAPABILITIES = {0, 1, 3, 4}  # chown, dac_override, fowner, fsetid: files in the folder
_LAST_CAPABILITY, _SETPCAP = 63, 8

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NUMBERS: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {
        "seccomp": (317,), "socket": (41,), "socketpair": (53,), "connect": (42,),
        "sendto": (44,), "truncate": (76,), "ioctl": (16,),
        "never": (101, 310, 311, 425, 426, 427, 165, 166, 155, 161, 167, 168, 169, 170, 171, 172,
                  173, 175, 176, 179, 246, 320, 313, 248, 249, 250, 321, 323, 298, 304, 163, 164,
                  227, 159, 305, 308, 272, 428, 429, 430, 431, 432, 433, 442, 438, 440, 153, 103),
        "xattr": (188, 189, 190, 197, 198, 199, 463, 466),
        "kept": (90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280),
    },
    "aarch64": {
        "seccomp": (277,), "socket": (198,), "socketpair": (199,), "connect": (203,),
        "sendto": (206,), "truncate": (45,), "ioctl": (29,),
        "never": (117, 270, 271, 425, 426, 427, 40, 39, 41, 51, 224, 225, 142, 161, 162, 105, 106,
                  60, 104, 294, 273, 217, 218, 219, 280, 282, 241, 265, 89, 170, 112, 171, 266,
                  268, 97, 428, 429, 430, 431, 432, 433, 442, 438, 440, 58, 116),
        "xattr": (5, 6, 7, 14, 15, 16, 463, 466),
        "kept": (52, 53, 452, 54, 55, 88),
    },
}  # fmt: skip
_ALLOW, _ERRNO, _KILL, _NOTIFY = 0x7FFF0000, 0x00050000, 0x80000000, 0x7FC00000
_NEW_LISTENER = 8
_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR = 0x40086602, 0x401C5820

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The sandbox could not be put up; the command does not run."""


class Spec:
    """What the command may do.

    write: directories it may change. devices: files it may write. read: what it may read and
    execute besides. network: sockets other than AF_UNIX. sandbox: False keeps only the keeper.
    Limits: processes, memory_bytes, file_bytes. control_fd, report_fd: the two pipes.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.write: list[str] = [str(path) for path in data.get("write", ())]
        self.devices: list[str] = [str(path) for path in data.get("devices", ())]
        self.read: list[str] = [str(path) for path in data.get("read", ())]
        self.network = bool(data.get("network", False))
        self.sandbox = bool(data.get("sandbox", True))
        self.processes = int(data.get("processes", 512))
        self.memory_bytes = int(data.get("memory_bytes", 0))
        self.file_bytes = int(data.get("file_bytes", 0))
        self.control_fd = int(data.get("control_fd", -1))
        self.report_fd = int(data.get("report_fd", -1))
        self.max_abi = int(data.get("max_abi", 99))  # tests: behave like an older kernel


def landlock_abi() -> int:
    """The kernel's Landlock ABI version; 0 where there is none."""
    if sys.platform != "linux" or platform.machine() not in _ARCH:
        return 0
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, 1)))


def _call(*arguments: Any) -> int:
    result = int(_libc.syscall(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def restrict_files(spec: Spec, abi: int) -> None:
    """Applies Landlock to this process for good."""
    handled = _RIGHTS_BY_ABI[max(known for known in _RIGHTS_BY_ABI if known <= abi)]
    net = _NET if abi >= 4 and not spec.network else 0
    scoped = _SCOPES if abi >= 6 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("<QQQ", handled, net, scoped)[:size]
    ruleset = _call(_CREATE_RULESET, attributes, size, 0)
    everything = handled & ~_MAKE_DEVICES & ~_IOCTL
    for path in spec.write:
        _grant(ruleset, path, everything, handled)
    for path in spec.read:
        _grant(ruleset, path, _READ, handled)
    for path in spec.devices:
        _grant(ruleset, path, 0b110 | (1 << 14) | _IOCTL, handled)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int, handled: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # nothing there: nothing to grant
    try:
        if not os.path.isdir(f"/proc/self/fd/{fd}"):
            rights &= _FILE_RIGHTS | _IOCTL
        rule = struct.pack("<Qi", rights & handled, fd)
        _call(_ADD_RULE, ruleset, 1, rule, 0)
    except OSError as error:
        if error.errno != errno.EBADFD:  # a pipe behind a name: Landlock has no say in those
            raise
    finally:
        os.close(fd)


def drop_capabilities() -> None:
    """Root keeps only what it needs for files; a user has nothing to lose."""
    if os.geteuid() != 0:
        return
    dropped = [c for c in range(_LAST_CAPABILITY + 1) if c not in _KEPT_CAPABILITIES]
    dropped.sort(key=lambda capability: capability == _SETPCAP)  # it is needed to drop the others
    for capability in dropped:
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _filter(machine: str, network: bool, abi: int, notify: bool) -> bytes:
    """The BPF program: a list of (numbers, verdict), tested one after the other."""
    numbers = _NUMBERS[machine]
    code: list[tuple[int, int, int, int]] = [
        (0x20, 0, 0, 4),
        (0x15, 1, 0, _ARCH[machine]),
        (0x06, 0, 0, _KILL),
        (0x20, 0, 0, 0),
    ]

    def verdict(number: int, result: int) -> None:
        code.extend([(0x15, 0, 1, number), (0x06, 0, 0, result)])

    if machine == "x86_64":  # the x32 numbers are another door to the same calls
        code.extend([(0x35, 0, 1, 0x40000000), (0x06, 0, 0, _ERRNO | errno.EPERM)])
    for number in numbers["never"]:
        verdict(number, _ERRNO | errno.EPERM)
    for number in numbers["xattr"]:
        verdict(number, _ERRNO | errno.ENOTSUP)
    for number in numbers["kept"]:
        if notify:
            verdict(number, _NOTIFY)
    if abi < 3:
        verdict(numbers["truncate"][0], _ERRNO | errno.EPERM)
    (ioctl,) = numbers["ioctl"]
    code.append((0x15, 0, 5, ioctl))
    code.append((0x20, 0, 0, 24))  # the request, low half
    code.extend([(0x15, 1, 0, _FS_IOC_SETFLAGS), (0x15, 0, 1, _FS_IOC_FSSETXATTR)])
    code.extend([(0x06, 0, 0, _ERRNO | errno.EPERM), (0x06, 0, 0, _ALLOW)])
    if not network:
        _filter_sockets(code, numbers)
    code.append((0x06, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in code)


def _filter_sockets(
    code: list[tuple[int, int, int, int]], numbers: dict[str, tuple[int, ...]]
) -> None:
    """AF_UNIX streams only, and no way to reach a socket somebody else listens on."""
    deny = (0x06, 0, 0, _ERRNO | errno.EPERM)
    code.extend([(0x15, 0, 1, numbers["connect"][0]), deny])
    for name in ("socket", "socketpair"):
        code.append((0x15, 0, 7, numbers[name][0]))
        code.append((0x20, 0, 0, 16))  # the family
        code.append((0x15, 0, 3, socket.AF_UNIX))
        code.append((0x20, 0, 0, 24))  # the type
        code.append((0x54, 0, 0, 0xF))
        code.append((0x15, 0, 1, socket.SOCK_DGRAM))
        code.append(deny)
        code.append((0x06, 0, 0, _ALLOW))
    code.append((0x15, 0, 5, numbers["sendto"][0]))
    code.append((0x20, 0, 0, 48))  # the address pointer, both halves: none may be given
    code.append((0x15, 0, 2, 0))
    code.append((0x20, 0, 0, 52))
    code.append((0x15, 1, 0, 0))
    code.append(deny)


def restrict_calls(spec: Spec, abi: int) -> int:
    """Applies the seccomp filter for good; the keeper's listener, or -1 where it cannot be."""
    machine = platform.machine()

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    for notify in (True, False):
        body = _filter(machine, spec.network, abi, notify)
        program = Program(len(body) // 8, body)
        flags = _NEW_LISTENER if notify else 0
        try:
            result = _call(_NUMBERS[machine]["seccomp"][0], 1, flags, ctypes.byref(program))
        except OSError as error:
            if not notify:
                raise Refused(f"seccomp: {error.strerror}") from error
            continue
        return result if notify else -1
    return -1


def missing_at(abi: int, has_listener: bool) -> list[str]:
    """What this kernel cannot enforce, in plain words."""
    out = []
    if abi < 2:
        out.append("files cannot be moved between directories")
    if abi < 6:
        out.append("commands can end other programs of yours")
    if not has_listener:
        out.append("commands can change permissions and times of your files outside the folder")
    return out


def forbid_new_privileges() -> None:
    """No set-uid program gains anything; both filters require it."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise Refused("no_new_privs was refused")
