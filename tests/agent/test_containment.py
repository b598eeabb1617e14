from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.beneath import Beneath
from app.agent.containment import split
from app.agent.folders import check, needs_confirmation
from app.agent.protected import guarded_name, is_guarded, read_asks, write_asks
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError

ROOT = Path("/home/me/work")
WINDOWS = Path("C:/Users/me/work")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        (".", ()),
        ("a/b", ("a", "b")),
        ("./a//b/", ("a", "b")),
        ("a/../b", ("b",)),
        ("/home/me/work", ()),
        ("/home/me/work/a", ("a",)),
        ("/home/me/../me/work/a", ("a",)),
        ("-rf", ("-rf",)),
        ("%2e%2e%2f", ("%2e%2e%2f",)),
        ("~tmp", ("~tmp",)),
    ],
)
def test_paths_inside(text: str, parts: tuple[str, ...]) -> None:
    assert split(text, ROOT, "linux") == parts


@pytest.mark.parametrize(
    "text",
    [
        "..", "../x", "a/../../b", "/etc/x", "/home/me/workshop/x", "/home/me", "~", "~/x",
        "\\\\host\\share", "//host/share", "..\\x", "a\\..\\..\\b", "C:\\x", "C:/x", "\\x",
        "x\0y", "a/" * 3000,
    ],
)  # fmt: skip
def test_paths_outside(text: str) -> None:
    with pytest.raises(WorkspaceError):
        split(text, ROOT, "linux")


@pytest.mark.parametrize(
    "text", ["NUL", "a/CON.txt", "x.txt:ads", "x.", "x ", "C:x", "D:\\x", "com1", "..\\..\\x"]
)
def test_windows_tricks(text: str) -> None:
    with pytest.raises(WorkspaceError):
        split(text, WINDOWS, "win32")


def test_windows_separators_and_case() -> None:
    root = Path("/C:/Users/me/work")  # how a drive looks to the pure path rules here
    assert split("a\\b", root, "win32") == ("a", "b")


def test_a_mac_compares_without_case_and_without_private() -> None:
    assert split("/TMP/Work/a", Path("/private/tmp/work"), "darwin") == ("a",)


@pytest.fixture(params=[True, False], ids=["openat2", "walk"])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    root = tmp_path / "work"
    (root / "real").mkdir(parents=True)
    (root / "real/file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    return Workspace(root, use_openat2=request.param)


def test_links_inside_are_followed(workspace: Workspace) -> None:
    (workspace.root / "relative").symlink_to("real")
    (workspace.root / "absolute").symlink_to(workspace.root / "real")
    for name in ("relative", "absolute"):
        assert workspace.read_bytes(workspace.locate(f"{name}/file")) == b"inside"


@pytest.mark.parametrize("target", ["../secret", "..", "/etc/passwd", "real/../../secret"])
def test_links_out_are_refused(workspace: Workspace, target: str) -> None:
    (workspace.root / "link").symlink_to(target)
    with pytest.raises(WorkspaceError):
        workspace.locate("link")


def test_a_link_swapped_in_after_the_check_is_not_followed(workspace: Workspace) -> None:
    path = workspace.locate("real/file")
    (workspace.root / "real").rename(workspace.root / "moved")
    (workspace.root / "real").symlink_to("..")
    (workspace.root.parent / "file").write_text("outside")
    with pytest.raises(WorkspaceError):
        workspace.read_bytes(path)
    with pytest.raises(WorkspaceError):
        workspace.write_bytes(path, b"x")
    assert (workspace.root.parent / "file").read_text() == "outside"


def test_a_racing_swap_never_reads_outside(workspace: Workspace) -> None:
    outside = workspace.root.parent / "out"
    outside.mkdir()
    (outside / "file").write_text("outside")
    os.rename(workspace.root / "real", workspace.root / "a")
    (workspace.root / "b").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name in ("a", "b"):
                os.rename(workspace.root / name, workspace.root / "real")
                os.rename(workspace.root / "real", workspace.root / name)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(400):
            try:
                seen.add(workspace.read_bytes(workspace.locate("real/file")))
            except WorkspaceError:
                seen.add(b"refused")
    finally:
        stop.set()
        thread.join()
    assert b"outside" not in seen


def test_devices_and_pipes_are_refused_without_waiting(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    (workspace.root / "zero").symlink_to("/dev/zero")
    with pytest.raises(WorkspaceError):
        workspace.read_bytes("pipe")
    with pytest.raises(WorkspaceError):
        workspace.write_bytes("pipe", b"x")
    with pytest.raises(WorkspaceError):
        workspace.locate("zero")


def test_a_write_breaks_a_hard_link_and_keeps_the_mode(workspace: Workspace) -> None:
    secret = workspace.root.parent / "secret"
    secret.chmod(0o640)
    os.link(secret, workspace.root / "hard")
    workspace.write_bytes("hard", b"new")
    assert secret.read_text() == "outside"
    assert (workspace.root / "hard").stat().st_mode & 0o777 == 0o640
    assert not list(workspace.root.glob(".garret-*"))


@pytest.mark.parametrize("name", ["a\u202eb", "a\x1b[2K", "a\u200bb", "a\nb", "a\udcff"])
def test_names_that_deceive_are_not_made(workspace: Workspace, name: str) -> None:
    with pytest.raises(WorkspaceError):
        workspace.write_bytes(name, b"x")


@given(st.lists(st.sampled_from(["a", "..", ".", "link", "up", "", "b"]), max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_mixture_of_names_leaves_the_folder(tmp_path_factory, names: list[str]) -> None:  # type: ignore[no-untyped-def]
    root = Path(os.path.realpath(tmp_path_factory.getbasetemp())) / "mix" / "deep"
    if not root.exists():
        (root / "a/b").mkdir(parents=True)
        (root / "link").symlink_to("a/b")
        (root / "a/up").symlink_to("../..")
        (root / "up").symlink_to("a/../..")
    beneath = Beneath(root)
    try:
        parts = beneath.canonical(split("/".join(names), root))
    except WorkspaceError:
        return
    finally:
        beneath.close()
    real = Path(os.path.realpath(root.joinpath(*parts)))
    assert real == root or root in real.parents


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit", ".GIT/config", "sub/.git/HEAD", ".env", ".env.local", "a/.ENV",
        ".vscode/tasks.json", "AGENTS.md", "agents.MD", ".github/workflows/ci.yml", ".bashrc",
        "x/.mcp.json", ".claude/settings.json", "deploy.key", ".gitlab-ci.yml", ".envrc",
        ".husky/pre-push", "skills/a/SKILL.md", ".gitignore", "",
    ],
)  # fmt: skip
def test_writes_that_are_always_asked(path: str) -> None:
    assert write_asks(path)


@pytest.mark.parametrize("path", ["a.py", "git/x", "environment.py", "src/.github.txt", "key.py"])
def test_writes_that_are_not(path: str) -> None:
    assert write_asks(path) == ""


@pytest.mark.parametrize("path", [".env", "a/.env.prod", "id_rsa", "x/cert.pem", ".ssh/config"])
def test_reads_that_are_always_asked(path: str) -> None:
    assert read_asks(path)


@pytest.mark.parametrize("path", [".env.example", "env.py", "id_rsa.pub", ".git/config", "a.py"])
def test_reads_that_are_not(path: str) -> None:
    assert read_asks(path) == ""


def test_git_itself_may_work() -> None:
    assert not is_guarded(".git/index")
    assert not is_guarded(".git/refs/heads/main")
    assert is_guarded(".git/hooks/pre-commit")
    assert is_guarded("vendor/lib/.git/config")


@pytest.mark.parametrize(
    "path", ["AGENTS.md", ".env.x", "a.pem", ".bashrc", "x.py", "README.md", ".git"]
)
def test_the_quick_name_check_agrees(path: str) -> None:
    assert guarded_name(path) == is_guarded(path)


def test_risky_folders_need_their_name_typed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("Documents", "Desktop", "project", ".config"):
        (home / name).mkdir(parents=True)
    for risky in (home, home / "Documents", home / "Desktop", home / ".config", tmp_path, "/"):
        with pytest.raises(WorkspaceError) as problem:
            check(Path(risky), home=home)
        assert problem.value.facts["needs_confirmation"]
    assert check(home / "project", home=home) == (home / "project").resolve()
    assert check(home / "Documents", "Documents", home=home)
    with pytest.raises(WorkspaceError):
        check(home / "Documents", "documents please", home=home)


def test_the_apps_own_folder_is_risky(tmp_path: Path) -> None:
    own = tmp_path / "project" / "garret"
    own.mkdir(parents=True)
    assert needs_confirmation(tmp_path / "project", tmp_path / "home", [own])
    assert needs_confirmation(own, tmp_path / "home", [own])


def test_two_who_list_the_folder_at_once_both_see_all_of_it(workspace: Workspace) -> None:
    for number in range(30):
        (workspace.root / f"file_{number}").touch()
    wanted = sorted(os.listdir(workspace.root))
    seen: set[str] = set()

    def look() -> None:
        for _ in range(150):
            seen.add(",".join(sorted(entry.path for entry in workspace.list_directory(""))))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {",".join(wanted)}
