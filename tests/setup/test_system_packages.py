from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.bootstrap import system_packages
from scripts.bootstrap.console import SetupFailed
from scripts.bootstrap.qt_libraries import QT_LIBRARIES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="about Linux packages")

LDD = """#!/bin/sh
echo "	linux-vdso.so.1 (0x0)"
echo "	libxcb-cursor.so.0 => not found"
echo "	libc.so.6 => /lib/libc.so.6 (0x0)"
echo "	libEGL.so.1 => not found"
"""


@pytest.mark.parametrize(
    ("release", "column"),
    [
        ('ID=debian\nVERSION_ID="12"', 0),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'".replace("'", '"'), 0),
        ("ID=fedora", 1),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"', 1),
        ("ID=arch", 2),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', 3),
        ("ID=slackware", None),
        ("", None),
    ],
)
def test_the_package_manager_is_known_from_os_release(release: str, column: int | None) -> None:
    manager = system_packages.package_manager(release)
    assert (manager.column if manager else None) == column


def test_missing_libraries_are_listed_once(tmp_path: Path) -> None:
    ldd = tmp_path / "ldd"
    ldd.write_text(LDD)
    ldd.chmod(0o755)
    files = [tmp_path / "a", tmp_path / "b", tmp_path / "gone"]
    for file in files[:2]:
        file.touch()
    found = system_packages.missing_sonames(files, str(ldd))
    assert found == ["libxcb-cursor.so.0", "libEGL.so.1"]


def test_without_root_the_user_gets_one_command_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system_packages, "_os_release", lambda: "ID=ubuntu")
    wanted = [QT_LIBRARIES["libxcb-cursor.so.0"], QT_LIBRARIES["libEGL.so.1"]]
    with pytest.raises(SetupFailed) as caught:
        system_packages._install(wanted, "Installing", tmp_path / "log")
    assert caught.value.remedy == (
        "Install them with:  sudo apt-get install -y --no-install-recommends libxcb-cursor0 libegl1"
    )


def test_an_unknown_system_gets_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "_os_release", lambda: "")
    with pytest.raises(SetupFailed) as caught:
        system_packages._install([QT_LIBRARIES["libEGL.so.1"]], "Installing", tmp_path / "log")
    assert "libegl1" in caught.value.remedy


def test_a_machine_with_a_compiler_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    system_packages.need_compiler(tmp_path / "log")
    assert not (tmp_path / "log").exists()
