"""Opens things below a folder without ever leaving it, even while somebody swaps links.

Two steps. `canonical` resolves links to components that hold none (links inside the folder are
followed, links out of it refused). Every use then walks those components with O_NOFOLLOW from the
folder's descriptor, by one `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)` where Linux has it: a
component that became a link in between fails the walk.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.agent.containment import outside, split
from app.core.errors import WorkspaceError

Parts = tuple[str, ...]

_MAX_LINKS = 40
_O_PATH = getattr(os, "O_PATH", 0)
_O_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_O_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_DIR_FLAGS = os.O_RDONLY | _O_DIRECTORY | _O_NOFOLLOW | _O_CLOEXEC

_SYS_OPENAT2 = 437  # the same number on every Linux architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08

HAS_DIR_FD = os.open in os.supports_dir_fd


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Beneath:
    """A folder held by its descriptor. `close` gives the descriptor back."""

    def __init__(self, root: Path, use_openat2: bool = True) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | _O_DIRECTORY | _O_CLOEXEC) if HAS_DIR_FD else -1
        self._closing = weakref.finalize(self, _close, self._fd)
        self._openat2 = _load_openat2() if use_openat2 and HAS_DIR_FD else None

    def close(self) -> None:
        """Forgets the folder."""
        self._closing()
        self._fd = -1

    def canonical(self, parts: Parts, text: str = "", follow_last: bool = True) -> Parts:
        """The same place without links; components after the first missing one stay as written.

        Raises:
            WorkspaceError: a link leads out of the folder, or in circles.
        """
        if not HAS_DIR_FD:
            return self._canonical_by_name(parts, text)
        todo = list(reversed(parts))
        done: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if not done:
                    raise outside(text or "/".join(parts))
                done.pop()
                continue
            target = self._link_target(tuple(done), name)
            if target is None or (not todo and not follow_last):
                done.append(name)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise WorkspaceError("The links in that path go in circles.", "Use the real path.")
            if target.startswith("/"):
                done = []
                target = "/".join(split(target, self.root))
            todo.extend(reversed(target.split("/")))
        return tuple(done)

    def _link_target(self, parent: Parts, name: str) -> str | None:
        try:
            with self.directory(parent) as fd:
                return os.readlink(name, dir_fd=fd)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise _problem(error, "/".join((*parent, name))) from error

    def _canonical_by_name(self, parts: Parts, text: str) -> Parts:
        real = Path(os.path.realpath(self.root.joinpath(*parts)))
        try:
            return real.relative_to(self.root).parts
        except ValueError:
            raise outside(text or "/".join(parts)) from None

    @contextmanager
    def directory(self, parts: Parts) -> Iterator[int]:
        """A descriptor of a directory, walked without following any link.

        Raises:
            OSError: as the system says; ELOOP or ENOTDIR for a link.
        """
        fd = self._open_directory(parts)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_directory(self, parts: Parts) -> int:
        if not parts:
            # Not dup: a duplicate shares the place in the listing, so that two threads that list
            # the folder at once would each see a part of it.
            return os.open(".", _DIR_FLAGS, dir_fd=self._fd)
        if self._openat2 is not None:
            fd = self._openat2(self._fd, os.fsencode("/".join(parts)), _DIR_FLAGS)
            if fd is not None:
                return fd
            self._openat2 = None  # the kernel or a filter refuses the call itself
        fd = os.dup(self._fd)
        for name in parts:
            try:
                below = os.open(name, _DIR_FLAGS, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def open_file(self, parts: Parts, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a regular file; never blocks and never opens devices or FIFOs.

        Raises:
            WorkspaceError: it is a link, a directory, a device, a FIFO or a socket.
            OSError: as the system says.
        """
        if not parts:
            raise WorkspaceError("That is a folder, not a file.", "Use list_directory.")
        extra = _O_NOFOLLOW | _O_NONBLOCK | _O_CLOEXEC | getattr(os, "O_NOCTTY", 0)
        extra |= getattr(os, "O_BINARY", 0)
        if HAS_DIR_FD:
            with self.directory(parts[:-1]) as parent:
                self._refuse_special(os.lstat(parts[-1], dir_fd=parent), parts)
                fd = os.open(parts[-1], flags | extra, dir_fd=parent)
        else:
            if self._canonical_by_name(parts, "") != parts:
                raise outside("/".join(parts))
            self._refuse_special(os.lstat(self.root.joinpath(*parts)), parts)
            fd = os.open(self.root.joinpath(*parts), flags | extra)
        try:
            self._refuse_special(os.fstat(fd), parts)
        except WorkspaceError:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _refuse_special(status: os.stat_result, parts: Parts) -> None:
        if stat.S_ISREG(status.st_mode):
            return
        if stat.S_ISDIR(status.st_mode):
            raise WorkspaceError(f"{'/'.join(parts)} is a folder.", "Use list_directory.")
        raise WorkspaceError(
            f"{'/'.join(parts)} is not a regular file.",
            "Links that moved, devices, pipes and sockets are never opened.",
        )

    def lstat(self, parts: Parts) -> os.stat_result | None:
        """What stands there itself (links not followed); None for nothing."""
        try:
            if not parts:
                return os.fstat(self._fd) if HAS_DIR_FD else os.lstat(self.root)
            if not HAS_DIR_FD:
                return os.lstat(self.root.joinpath(*parts))
            with self.directory(parts[:-1]) as parent:
                return os.lstat(parts[-1], dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise _problem(error, "/".join(parts)) from error


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _problem(error: OSError, path: str) -> WorkspaceError:
    return WorkspaceError(f"{path}: {error.strerror or error}.", "", errno=error.errno or 0)


def _load_openat2() -> Callable[[int, bytes, int], int | None] | None:
    """A function (dir_fd, path, flags) → fd, None when the call is not available; or None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def openat2(dir_fd: int, path: bytes, flags: int) -> int | None:
        how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
        for _ in range(8):
            fd = libc.syscall(
                _SYS_OPENAT2, dir_fd, ctypes.c_char_p(path), ctypes.byref(how), ctypes.sizeof(how)
            )
            if fd >= 0:
                return int(fd)
            code = ctypes.get_errno()
            if code == errno.EAGAIN:  # a rename raced with the walk
                continue
            if code in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG):
                return None
            raise OSError(code, os.strerror(code), os.fsdecode(path))
        return None

    return openat2
