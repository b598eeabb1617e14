"""The chosen folder: every read and write of every tool goes through here.

Paths are workspace-relative texts with "/" that `locate` made; "" is the folder itself.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from app.agent.beneath import HAS_DIR_FD, Beneath, Parts
from app.agent.containment import outside, refuse_new_name, split
from app.core.errors import WorkspaceError

EntryKind = Literal["file", "directory", "link", "other"]
TEMPORARY_PREFIX = ".garret-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory, not followed when it is a link."""

    path: str
    kind: EntryKind
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    inode: int
    device: int
    links: int
    full_mode: int = 0  # st_mode with the file type

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def parts_of(path: str) -> Parts:
    """The components of a located path."""
    return tuple(path.split("/")) if path else ()


class Workspace:
    """One folder, held open. Not for untrusted roots: ask `app.agent.folders` first."""

    def __init__(self, root: Path, use_openat2: bool = True) -> None:
        real = Path(os.path.realpath(root))
        if not real.is_dir():
            raise WorkspaceError(f"{root} is not a folder.", "Choose a folder that exists.")
        self._root = real
        self._beneath = Beneath(real, use_openat2)

    @property
    def root(self) -> Path:
        return self._root

    def close(self) -> None:
        """Gives the folder's descriptor back."""
        self._beneath.close()

    def locate(self, text: str) -> str:
        """The canonical relative form of a path as the model wrote it.

        Raises:
            WorkspaceError: it leaves the folder.
        """
        try:
            parts = split(text, self._root)
        except WorkspaceError:
            parts = self._through_other_name(text)
        return "/".join(self._beneath.canonical(parts, text))

    def _through_other_name(self, text: str) -> Parts:
        """An absolute path that reaches the folder by another name (a link above it)."""
        if not os.path.isabs(text) or text.startswith(("//", "\\\\")) or "\0" in text:
            raise outside(text)
        existing = Path(os.path.normpath(text))
        rest: list[str] = []
        while not os.path.lexists(existing) and existing != existing.parent:
            rest.append(existing.name)
            existing = existing.parent
        real = Path(os.path.realpath(existing))
        return split(real.joinpath(*reversed(rest)).as_posix(), self._root)

    def entry(self, path: str) -> Entry | None:
        """What stands at a path; None for nothing."""
        status = self._beneath.lstat(parts_of(path))
        return None if status is None else entry_of(path, status)

    def read_bytes(self, path: str, limit_bytes: int | None = None) -> bytes:
        """A regular file's content, at most `limit_bytes` of it.

        Raises:
            WorkspaceError: not a regular file, not there, not readable.
        """
        with self.open_read(path) as file:
            try:
                return file.read() if limit_bytes is None else file.read(limit_bytes)
            except OSError as error:
                raise _refused(path, error) from error

    def open_read(self, path: str) -> BinaryIO:
        """A regular file to read piece by piece; the caller closes it.

        Raises:
            WorkspaceError: not a regular file, not there, not readable.
        """
        try:
            return os.fdopen(self._beneath.open_file(parts_of(path)), "rb")
        except OSError as error:
            raise _refused(path, error) from error

    def read_link(self, path: str) -> str:
        """Where a link points, as it is written in it."""
        parts = parts_of(path)
        try:
            if not HAS_DIR_FD:
                return os.readlink(self._root.joinpath(*parts))
            with self._beneath.directory(parts[:-1]) as parent:
                return os.readlink(parts[-1], dir_fd=parent)
        except OSError as error:
            raise _refused(path, error) from error

    def list_directory(self, path: str) -> list[Entry]:
        """The entries of a directory, in the system's order.

        Raises:
            WorkspaceError: not a directory, not there, not readable.
        """
        prefix = f"{path}/" if path else ""
        return [entry_of(prefix + name, status) for name, status in self.scan(path)]

    def scan(self, path: str) -> list[tuple[str, os.stat_result]]:
        """The names in a directory with their lstat, for walks over very many files.

        Raises:
            WorkspaceError: not a directory, not there, not readable.
        """
        try:
            if not HAS_DIR_FD:
                with os.scandir(self._root.joinpath(*parts_of(path))) as found:
                    return [(item.name, item.stat(follow_symlinks=False)) for item in found]
            with self._beneath.directory(parts_of(path)) as fd, os.scandir(fd) as found:
                return list(_with_status(found))
        except OSError as error:
            raise _refused(path, error) from error

    def write_bytes(
        self, path: str, data: bytes, mode: int | None = None, any_name: bool = False
    ) -> tuple[str, ...]:
        """Puts a whole file in place at once: temporary file, fsync, atomic replace.

        The old file's permission bits are kept unless `mode` is given. A hard link is broken by
        this, so a file outside that shares the content is never written through. `any_name`
        allows new names with invisible characters: undo puts back what was there.

        Returns:
            The directories that had to be made, outermost first.

        Raises:
            WorkspaceError: the place is no regular file or cannot be written.
        """
        parts = parts_of(path)
        if not parts:
            raise WorkspaceError("That is a folder, not a file.", "Name a file in it.")
        old = self._beneath.lstat(parts)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise WorkspaceError(f"{path} is not a regular file.", "Choose another path.")
        if old is None and not any_name:
            refuse_new_name(parts)
        try:
            made = self.make_directories("/".join(parts[:-1]), any_name)
            self._replace(parts, data, old, mode)
        except OSError as error:
            raise _refused(path, error) from error
        return made

    def _replace(
        self, parts: Parts, data: bytes, old: os.stat_result | None, mode: int | None
    ) -> None:
        temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        if not HAS_DIR_FD:
            self._replace_by_name(parts, data, temporary, flags)
            return
        with self._beneath.directory(parts[:-1]) as parent:
            fd = os.open(temporary, flags, 0o666, dir_fd=parent)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    file.flush()
                    if old is not None:
                        _keep_owner(fd, old)
                    if mode is not None or old is not None:
                        os.fchmod(fd, stat.S_IMODE(mode if mode is not None else old.st_mode))  # type: ignore[union-attr]
                    os.fsync(fd)
                os.replace(temporary, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=parent)
                raise
            os.fsync(parent)

    def _replace_by_name(self, parts: Parts, data: bytes, temporary: str, flags: int) -> None:
        target = self._root.joinpath(*parts)
        if self._beneath.canonical(parts[:-1]) != parts[:-1]:
            raise outside("/".join(parts))
        place = target.with_name(temporary)
        fd = os.open(place, flags, 0o666)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.replace(place, target)
        except BaseException:
            with suppress(OSError):
                place.unlink()
            raise

    def make_directories(self, path: str, any_name: bool = False) -> tuple[str, ...]:
        """Makes what is missing of a directory path; returns the new ones, outermost first.

        Raises:
            OSError: as the system says.
        """
        parts = parts_of(path)
        made: list[str] = []
        for depth in range(1, len(parts) + 1):
            here = parts[:depth]
            if self._beneath.lstat(here) is not None:
                continue
            if not any_name:
                refuse_new_name(here)
            if HAS_DIR_FD:
                with self._beneath.directory(here[:-1]) as parent:
                    os.mkdir(here[-1], dir_fd=parent)
            else:
                os.mkdir(self._root.joinpath(*here))
            made.append("/".join(here))
        return tuple(made)

    def remove(self, path: str) -> None:
        """Deletes a file or a link, or a directory that is empty.

        Raises:
            OSError: as the system says (ENOTEMPTY for a directory in use).
        """
        parts = parts_of(path)
        if not parts:
            raise WorkspaceError("The folder itself is never deleted.")
        status = self._beneath.lstat(parts)
        if status is None:
            return
        is_directory = stat.S_ISDIR(status.st_mode)
        if not HAS_DIR_FD:
            target = self._root.joinpath(*parts)
            target.rmdir() if is_directory else target.unlink()
            return
        with self._beneath.directory(parts[:-1]) as parent:
            if is_directory:
                os.rmdir(parts[-1], dir_fd=parent)
            else:
                os.unlink(parts[-1], dir_fd=parent)

    def make_link(self, path: str, target: str) -> None:
        """Puts a symbolic link back (undo only; tools never make links).

        Raises:
            OSError: as the system says.
        """
        parts = parts_of(path)
        if not HAS_DIR_FD:
            os.symlink(target, self._root.joinpath(*parts))
            return
        with self._beneath.directory(parts[:-1]) as parent:
            os.symlink(target, parts[-1], dir_fd=parent)

    def set_mode(self, path: str, mode: int) -> None:
        """Sets the permission bits of a regular file or a directory.

        Raises:
            OSError: as the system says.
        """
        parts = parts_of(path)
        if not HAS_DIR_FD:
            os.chmod(self._root.joinpath(*parts), stat.S_IMODE(mode))
            return
        status = self._beneath.lstat(parts)
        if status is not None and stat.S_ISDIR(status.st_mode):
            with self._beneath.directory(parts) as fd:
                os.fchmod(fd, stat.S_IMODE(mode))
            return
        try:
            fd = self._beneath.open_file(parts)
        except PermissionError:  # unreadable to us, but ours
            self._set_mode_unopened(parts, mode)
            return
        try:
            os.fchmod(fd, stat.S_IMODE(mode))
        finally:
            os.close(fd)

    def _set_mode_unopened(self, parts: Parts, mode: int) -> None:
        """A file without read permission: named by a descriptor, so no link is followed."""
        o_path = getattr(os, "O_PATH", None)
        with self._beneath.directory(parts[:-1]) as parent:
            if o_path is None:
                os.chmod(parts[-1], stat.S_IMODE(mode), dir_fd=parent, follow_symlinks=False)
                return
            fd = os.open(parts[-1], o_path | os.O_NOFOLLOW, dir_fd=parent)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(mode))
        finally:
            os.close(fd)


def _keep_owner(fd: int, old: os.stat_result) -> None:
    """Root keeps the owner of the file it replaces; others own what they write anyway."""
    mine = os.fstat(fd)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):
            os.fchown(fd, old.st_uid, old.st_gid)


def _with_status(found: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, os.stat_result]]:
    for item in found:
        with suppress(FileNotFoundError):
            yield item.name, item.stat(follow_symlinks=False)


def entry_of(path: str, status: os.stat_result) -> Entry:
    """The entry behind an lstat."""
    kind: EntryKind = "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file"
    elif stat.S_ISDIR(status.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(status.st_mode):
        kind = "link"
    return Entry(
        path,
        kind,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        stat.S_IMODE(status.st_mode),
        status.st_ino,
        status.st_dev,
        status.st_nlink,
        status.st_mode,
    )


def _refused(path: str, error: OSError) -> WorkspaceError:
    sentence = f"{path or 'The folder'}: {error.strerror or error}."
    return WorkspaceError(sentence, "", errno=error.errno or 0)
