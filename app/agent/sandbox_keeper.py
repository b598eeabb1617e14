"""What the unsandboxed half of the launcher does for the command. Linux, stdlib only.

Landlock does not cover chmod, chown and utime. The seccomp filter hands these calls to the keeper
(user notification), which carries them out itself on the file it opened: only in the writable
places. Nothing is checked and then let through, so swapping links in between gains nothing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import struct
import time
from contextlib import suppress

_KEPT_NAMES = {
    "x86_64": {90: "chmod", 91: "fchmod", 268: "fchmodat", 452: "fchmodat2", 92: "chown",
               93: "fchown", 94: "lchown", 260: "fchownat", 132: "utime", 235: "utimes",
               261: "futimesat", 280: "utimensat"},
    "aarch64": {52: "fchmod", 53: "fchmodat", 452: "fchmodat2", 54: "fchownat", 55: "fchown",
                88: "utimensat"},
}  # fmt: skip
_RECV, _SEND, _VALID = 0xC0502100, 0xC0182101, 0x40082102
_AT_FDCWD, _AT_NOFOLLOW, _AT_EMPTY_PATH = -100, 0x100, 0x1000
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


class Keeper:
    """Carries out chmod, chown and utime for the sandboxed processes, in the writable places."""

    def __init__(self, listener: int, places: list[str]) -> None:
        self.listener = listener
        self._places = [os.path.realpath(place) for place in places]
        self._names = _KEPT_NAMES[platform.machine()]

    def serve(self) -> bool:
        """Answers one request; False when nobody is left to ask."""
        notice = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECV, notice, True)
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.EINTR)
        ident, pid = struct.unpack_from("<QI", notice, 0)
        number = struct.unpack_from("<i", notice, 16)[0]
        arguments = struct.unpack_from("<6Q", notice, 32)
        try:
            self._carry_out(self._names.get(number, ""), ident, pid, arguments)
            code = 0
        except OSError as error:
            code = error.errno or errno.EPERM
        with suppress(OSError):
            fcntl.ioctl(self.listener, _SEND, bytearray(struct.pack("<QqiI", ident, 0, -code, 0)))
        return True

    def _carry_out(self, name: str, ident: int, pid: int, args: tuple[int, ...]) -> None:
        follow = True
        times_at = 0
        if name in ("fchmod", "fchown"):
            fd = self._by_descriptor(pid, args[0])
        elif name in ("chmod", "chown", "lchown", "utime", "utimes"):
            follow = name != "lchown"
            fd = self._by_path(pid, _AT_FDCWD, args[0], follow)
        else:
            flags = args[{"fchmodat2": 3, "fchownat": 4, "utimensat": 3}.get(name, 5)]
            flags = flags if name in ("fchmodat2", "fchownat", "utimensat") else 0
            follow = not flags & _AT_NOFOLLOW
            base = ctypes.c_int32(args[0] & 0xFFFFFFFF).value
            if args[1] == 0 or (flags & _AT_EMPTY_PATH and not _text_at(pid, args[1])):
                fd = self._by_descriptor(pid, base)
            else:
                fd = self._by_path(pid, base, args[1], follow)
        try:
            if name.startswith("ut") or name == "futimesat":
                times_at = args[1] if name in ("utime", "utimes") else args[2]
                times = _times(pid, times_at, name, fd)
            fcntl.ioctl(self.listener, _VALID, struct.pack("<Q", ident))  # still the same process
            self._check(fd)
            place = f"/proc/self/fd/{fd}"
            if "chmod" in name:
                mode = args[2] if name.startswith("fchmodat") else args[1]
                os.chmod(place, mode & 0o7777)
            elif "chown" in name:
                first = 2 if name == "fchownat" else 1
                owner, group = (
                    ctypes.c_int32(a & 0xFFFFFFFF).value for a in args[first : first + 2]
                )
                os.chown(place, owner, group)
            else:
                os.utime(place, ns=times)
        finally:
            os.close(fd)

    def _by_descriptor(self, pid: int, number: int) -> int:
        if number == _AT_FDCWD:
            return os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_CLOEXEC)
        return os.open(f"/proc/{pid}/fd/{number & 0xFFFFFFFF}", os.O_PATH | os.O_CLOEXEC)

    def _by_path(self, pid: int, base: int, address: int, follow: bool) -> int:
        path = _text_at(pid, address)
        if not path:
            raise OSError(errno.ENOENT, "")
        for own in ("/proc/self/", "/proc/thread-self/"):
            if path.startswith(own):
                path = f"/proc/{pid}/{path[len(own) :]}"
        if path.startswith("/dev/fd/"):
            path = f"/proc/{pid}/fd/{path[8:]}"
        start = self._by_descriptor(pid, base)
        try:
            flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
            return os.open(path, flags, dir_fd=start)
        finally:
            os.close(start)

    def _check(self, fd: int) -> None:
        real = os.readlink(f"/proc/self/fd/{fd}")
        if real.startswith("/memfd:"):
            return
        for place in self._places:
            if real == place or real.startswith(place.rstrip("/") + "/"):
                return
        raise OSError(errno.EPERM, "outside")


def _memory(pid: int, address: int, size: int) -> bytes:
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)


def _text_at(pid: int, address: int) -> str:
    """A path in the memory of another process; it may end at the end of a page."""
    out = b""
    while len(out) < 4096:
        step = 4096 - (address + len(out)) % 4096
        out += _memory(pid, address + len(out), step)
        end = out.find(b"\0")
        if end >= 0:
            return os.fsdecode(out[:end])
    raise OSError(errno.ENAMETOOLONG, "")


def _times(pid: int, address: int, name: str, fd: int) -> tuple[int, int]:
    now = time.time_ns()
    if address == 0:
        return now, now
    status = os.stat(fd)
    if name == "utime":
        access, change = struct.unpack("<qq", _memory(pid, address, 16))
        return access * 10**9, change * 10**9
    a_s, a_part, m_s, m_part = struct.unpack("<qqqq", _memory(pid, address, 32))
    if name in ("utimes", "futimesat"):
        return a_s * 10**9 + a_part * 1000, m_s * 10**9 + m_part * 1000
    old = (status.st_atime_ns, status.st_mtime_ns)
    pairs = ((a_s, a_part), (m_s, m_part))
    found = [
        now if part == _UTIME_NOW else kept if part == _UTIME_OMIT else whole * 10**9 + part
        for (whole, part), kept in zip(pairs, old, strict=True)
    ]
    return found[0], found[1]


def children_of(root: int) -> dict[int, int]:
    """Every descendant of a process with its resident bytes."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] in (b"Z", b"X"):
            continue
        parents[int(name)] = int(fields[1])
        resident[int(name)] = int(fields[21]) * resource.getpagesize()
    found: dict[int, int] = {}
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if pid not in found and (parent == root or parent in found):
                found[pid] = resident[pid]
                grown = True
    return found


def end_tree(root: int) -> None:
    """Ends every descendant: first stopped, so that none can start another, then killed."""
    for _ in range(100):
        left = children_of(root)
        if not left:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, number)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)
