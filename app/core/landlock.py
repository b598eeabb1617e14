"""Landlock: the Linux kernel's way for a process to give up rights for good. Stdlib only.

A restriction holds for the calling thread and whatever it starts later, so it belongs before the
first thread of a program. Rights that the running kernel does not know are left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

# linux/landlock.h; the system call numbers are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_NO_NEW_PRIVS = 38
_MACHINES = ("x86_64", "aarch64")
WRITE_FILE, TRUNCATE, REFER = 1 << 1, 1 << 14, 1 << 13
# write, remove, make anything, link and rename across folders, truncate
_WRITES_BY_ABI = {1: 0x1FF2, 2: 0x3FF2, 3: 0x7FF2}
_MAKE_DEVICES = (1 << 6) | (1 << 11)
_CONNECT_TCP, _SCOPE_SIGNAL = 1 << 1, 1 << 1


def landlock_abi() -> int:
    """The kernel's Landlock ABI version; 0 where there is none."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, 1)))


def restrict_writes(folders: Sequence[str], files: Sequence[str], *, connect: bool) -> None:
    """From here on this thread and its children write only below `folders` and into `files`.

    Args:
        folders: everything below may be made, changed and removed.
        files: files, or folders of them, that may be written but not made or removed.
        connect: whether TCP connections may still be opened (kernels with ABI 4 can forbid it).

    Raises:
        OSError: the kernel refused; nothing is restricted.
    """
    abi = landlock_abi()
    if not abi:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    handled = _WRITES_BY_ABI[min(abi, 3)]
    net = 0 if connect or abi < 4 else _CONNECT_TCP
    attributes = struct.pack("<QQQ", handled, net, _SCOPE_SIGNAL if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes[:size], size, 0)
    try:
        for path in folders:
            _grant(ruleset, path, handled & ~_MAKE_DEVICES)
        for path in files:
            _grant(ruleset, path, handled & (WRITE_FILE | TRUNCATE))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs was refused")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # nothing there: nothing to grant
    try:
        if not os.path.isdir(f"/proc/self/fd/{fd}"):
            rights &= WRITE_FILE | TRUNCATE
        _call(_ADD_RULE, ruleset, 1, struct.pack("<Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(*arguments: object) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
