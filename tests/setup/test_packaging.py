from __future__ import annotations

import configparser
import ctypes
import json
import os
import plistlib
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Any

import backend_packs
import bundle_contents
import check_macho
import icons
import licences
import linux_packages
import pytest
import sbom
import strip_symbols
import wheel_flags
import yaml

from app import __version__

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
LINUX = PACKAGING / "linux"
MACOS = PACKAGING / "macos"
METAINFO = LINUX / "app.garret.Garret.metainfo.xml"
# what Qt's plugins and Python's own modules link to, outside the bundle
SONAMES = (
    "libc.so.6", "libm.so.6", "libz.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libxcb.so.1",
    "libX11.so.6", "libEGL.so.1", "libGL.so.1", "libfontconfig.so.1", "libwayland-client.so.0",
    "libwayland-cursor.so.0", "libwayland-egl.so.1", "libdbus-1.so.3", "libxkbcommon-x11.so.0",
    "libglib-2.0.so.0", "libfreetype.so.6",
)  # fmt: skip
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


# -- one version everywhere -------------------------------------------------------------------


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = plistlib.loads((MACOS / "Info.plist").read_bytes())
    release = ElementTree.parse(METAINFO).find("releases/release")
    assert release is not None
    assert project["version"] == __version__
    assert info["CFBundleShortVersionString"] == __version__
    assert info["CFBundleVersion"] == __version__
    assert release.get("version") == __version__


# -- what the bundle holds --------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_engines_libraries_are_listed_for_each_system(platform: str, tmp_path: Path) -> None:
    for name in bundle_contents.ENGINE_LIBRARIES[platform]:
        (tmp_path / name).touch()
    found = [path.name for path in bundle_contents.engine_libraries(tmp_path, platform)]
    assert any("llama" in name for name in found)
    assert any("ggml-base" in name for name in found)
    assert any("ggml-cpu" in name for name in found)
    for name, target, kind in bundle_contents.engine_links(platform):
        assert name.startswith("llama_cpp/lib/")
        assert target in found
        assert kind == "SYMLINK"


def test_metal_is_in_the_mac_bundle_only() -> None:
    assert "libggml-metal.0.dylib" in bundle_contents.ENGINE_LIBRARIES["darwin"]
    assert not any("metal" in name for name in bundle_contents.ENGINE_LIBRARIES["linux"])


def test_a_wheel_without_a_library_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"libllama\.so"):
        bundle_contents.engine_libraries(tmp_path, "linux")


def test_a_backend_is_taken_along_when_the_wheel_has_it(tmp_path: Path) -> None:
    for name in (*bundle_contents.ENGINE_LIBRARIES["linux"], "libggml-vulkan.so.0"):
        (tmp_path / name).touch()
    found = bundle_contents.engine_libraries(tmp_path, "linux")
    assert found[-1].name == "libggml-vulkan.so.0"


@pytest.mark.parametrize(
    "name",
    [
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/plugins/platforms/libqwayland.so",
        "PySide6/Qt/plugins/platforms/libqoffscreen.so",
        "PySide6/Qt/plugins/platforms/qwindows.dll",
        "PySide6/Qt/plugins/platforms/libqcocoa.dylib",
        "PySide6/Qt/plugins/platformthemes/libqxdgdesktopportal.so",
        "PySide6/Qt/plugins/imageformats/libqsvg.so",
        "PySide6/Qt/plugins/imageformats/libqjpeg.so",
        "PySide6/Qt/plugins/imageformats/libqwebp.so",
        "PySide6/Qt/plugins/iconengines/libqsvgicon.so",
        "PySide6/Qt/lib/libQt6Widgets.so.6",
        "PySide6/Qt/lib/libQt6Svg.so.6",
        "libxcb-cursor.so.0",
        "libxkbcommon-x11.so.0",
        "libfontconfig.so.1",
        "resources/translations/garret_de.qm",
    ],
)
def test_what_the_window_needs_is_kept(name: str) -> None:
    assert not bundle_contents.is_pruned(name)


@pytest.mark.parametrize(
    "name",
    [
        "PySide6/Qt/plugins/platformthemes/libqgtk3.so",
        "PySide6/Qt/plugins/platforms/libqeglfs.so",
        "PySide6/Qt/plugins/platforms/libqvnc.so",
        "PySide6/Qt/plugins/imageformats/libqtiff.so",
        "PySide6/Qt/lib/libQt6Quick.so.6",
        "PySide6\\qml\\QtQuick\\x.dll",
        "libgtk-3.so.0",
        "libcairo.so.2",
    ],
)
def test_what_nothing_uses_is_left_out(name: str) -> None:
    assert bundle_contents.is_pruned(name)


def test_a_missing_library_stops_the_build_unless_it_is_gtk() -> None:
    lines = [
        "12 WARNING: Library not found: could not resolve 'libxcb-cursor.so.0', dependency of ...",
        "13 WARNING: Library not found: could not resolve 'libgtk-3.so.0', dependency of ...",
        "14 WARNING: Library ntdll required via ctypes not found",
        "15 INFO: Building",
    ]
    assert bundle_contents.missing_libraries(lines) == lines[:1]


def test_the_spec_is_python_and_names_no_machine() -> None:
    text = (PACKAGING / "garret.spec").read_text()
    compile(text, "garret.spec", "exec")
    assert "/home/" not in text
    assert "upx=True" not in text


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("cc", "strip", "readelf")),
    reason="no C compiler or binutils",
)
def test_symbols_are_stripped_where_the_library_stays_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, library = tmp_path / "one.c", tmp_path / "libone.so"
    source.write_text(
        "static int inner(int x) { return x * 2; }\nint one(int x) { return inner(x); }"
    )
    subprocess.run(["cc", "-g", "-O0", "-shared", "-fPIC", "-o", library, source], check=True)
    whole = library.read_bytes()
    assert strip_symbols.is_sound(library)
    assert strip_symbols.strip(library)
    assert library.stat().st_size < len(whole)
    assert ctypes.CDLL(str(library)).one(21) == 42
    at = whole.index(struct.pack("<II", 1, 5))  # the program header of the code: a LOAD, r-x
    broken = bytearray(whole)
    broken[at + 8 : at + 16] = struct.pack("<Q", 0x1010)  # where it lies in the file
    library.write_bytes(broken)
    assert not strip_symbols.is_sound(library)
    monkeypatch.setattr(strip_symbols, "is_sound", lambda _path: False)
    assert not strip_symbols.strip(library)
    assert library.read_bytes() == bytes(broken)
    assert {path.name for path in tmp_path.iterdir()} == {"one.c", "libone.so"}


# -- engines for other machines ---------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(wheel_flags.RECIPES))
def test_no_recipe_is_tuned_to_the_build_machine(name: str) -> None:
    flags = wheel_flags.RECIPES[name].flags
    assert "-DGGML_NATIVE=OFF" in flags
    assert {"-DGGML_RPC=OFF", "-DLLAMA_CURL=OFF"} <= set(flags)
    if "x86_64" in name or "amd64" in name:
        assert {"-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON", "-DGGML_AVX512=OFF"} <= set(
            flags
        )


def test_a_build_without_avx_or_with_too_much_is_noticed() -> None:
    recipe = wheel_flags.RECIPES["linux-x86_64-cpu"]
    good = "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | BMI2 = 1 | OPENMP = 1"
    assert wheel_flags.wrong_features(recipe, good) == []
    assert wheel_flags.wrong_features(recipe, "CPU : SSE3 = 1 |") != []
    assert wheel_flags.wrong_features(recipe, good + " | AVX512 = 1") == ["AVX512 must be off"]


def test_each_bundle_has_its_recipe() -> None:
    for system, machine in (("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64")):
        assert wheel_flags.recipe_for(system, machine) in wheel_flags.RECIPES
    with pytest.raises(KeyError):
        wheel_flags.recipe_for("darwin", "x86_64")


# -- macOS ------------------------------------------------------------------------------------


def test_info_plist_has_real_booleans_and_all_it_needs() -> None:
    info: dict[str, Any] = plistlib.loads((MACOS / "Info.plist").read_bytes())
    assert info["NSHighResolutionCapable"] is True
    assert info["NSSupportsAutomaticGraphicsSwitching"] is True
    assert info["NSRequiresAquaSystemAppearance"] is False
    assert info["LSMinimumSystemVersion"] == "14.0"
    assert info["LSArchitecturePriority"] == ["arm64"]
    assert re.fullmatch(r"[A-Za-z0-9.-]+", info["CFBundleIdentifier"])
    usage = [value for key, value in info.items() if key.endswith("UsageDescription")]
    assert len(usage) == 5
    assert all(text.startswith("Garret ") and text.endswith(".") for text in usage)
    declared = {one["UTTypeIdentifier"] for one in info["UTImportedTypeDeclarations"]}
    opened = {kind for one in info["CFBundleDocumentTypes"] for kind in one["LSItemContentTypes"]}
    assert opened == declared | {"public.folder"}


def test_the_signed_app_gets_one_entitlement_and_the_ad_hoc_one_two() -> None:
    prefix = "com.apple.security.cs."
    signed = plistlib.loads((MACOS / "entitlements.plist").read_bytes())
    ad_hoc = plistlib.loads((MACOS / "entitlements-adhoc.plist").read_bytes())
    assert signed == {f"{prefix}allow-unsigned-executable-memory": True}
    assert ad_hoc == {**signed, f"{prefix}disable-library-validation": True}


def test_signing_goes_inside_out_with_the_hardened_runtime() -> None:
    text = (MACOS / "sign.sh").read_text()
    signing = [line for line in text.splitlines() if "codesign" in line and "--sign" in line]
    assert len(signing) == 4
    assert "--options runtime" in text
    assert "--deep" not in "".join(signing)
    assert text.rindex('"$app/Contents/MacOS/garret"\n') < text.rindex('--sign "$identity" "$app"')
    assert "--strict=symlinks" in text


@pytest.mark.parametrize(
    "script", [*sorted(MACOS.glob("*.sh")), LINUX / "appimage.sh", LINUX / "AppRun"]
)
def test_shell_scripts_parse_and_may_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    assert shell in ("/bin/sh", "/bin/bash")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    subprocess.run([shell, "-n", str(script)], check=True)


def macho(*commands: bytes, cpu: int = 0x0100000C) -> bytes:
    body = b"".join(commands)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, 6, len(commands), len(body), 0, 0) + body


def load(kind: int, text: str) -> bytes:
    raw = text.encode() + b"\0"
    raw += b"\0" * (-len(raw) % 8)
    if kind == 0xC:  # LC_LOAD_DYLIB: name offset, timestamp, two versions
        return struct.pack("<IIIIII", kind, 24 + len(raw), 24, 0, 0, 0) + raw
    return struct.pack("<III", kind, 12 + len(raw), 12) + raw  # LC_RPATH


def minimum_system(major: int, minor: int) -> bytes:
    version = major << 16 | minor << 8
    return struct.pack("<IIIIII", 0x32, 24, 1, version, version, 0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (macho(minimum_system(13, 0), load(0xC, "@rpath/libggml.0.dylib")), ""),
        (macho(minimum_system(14, 0), load(0xC, "/usr/lib/libSystem.B.dylib")), ""),
        (macho(minimum_system(15, 1)), "needs macOS 15.1"),
        (macho(load(0xC, "/opt/homebrew/lib/libomp.dylib")), "links to /opt/homebrew"),
        (macho(load(0x8000001C, "/Users/runner/work/lib0")), "build machine"),
        (macho(cpu=0x01000007), "is for x86_64"),
    ],
)
def test_mac_libraries_that_would_not_load_elsewhere_are_found(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "lib.dylib"
    file.write_bytes(content)
    assert check_macho.is_macho(file)
    found = " ".join(finding.text for finding in check_macho.check_file(file, "arm64"))
    assert problem in found
    assert bool(found) == bool(problem)


# -- Linux ------------------------------------------------------------------------------------


def test_the_menu_entry_fits_its_icon_and_metadata() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(LINUX / "garret.desktop", encoding="utf-8")
    entry = parser["Desktop Entry"]
    root = ElementTree.parse(METAINFO).getroot()
    assert entry["Type"] == "Application"
    assert entry["Exec"].split()[0] == entry["TryExec"] == "garret"
    assert entry["Icon"] == "garret"
    assert root.findtext("launchable") == "garret.desktop"
    assert root.findtext("project_license") == "Apache-2.0"
    flatpak = yaml.safe_load((LINUX / "app.garret.Garret.yaml").read_text())
    assert root.findtext("id") == flatpak["id"]
    assert "--device=dri" in flatpak["finish-args"]
    assert not any("filesystem" in argument for argument in flatpak["finish-args"])


@pytest.mark.parametrize(
    "command",
    [
        ["desktop-file-validate", str(LINUX / "garret.desktop")],
        ["appstreamcli", "validate", "--no-net", str(METAINFO)],
    ],
    ids=lambda command: command[0],
)
def test_the_systems_own_validators_agree(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, check=True, capture_output=True)


def test_the_app_has_one_id_and_no_made_up_address() -> None:
    info = plistlib.loads((MACOS / "Info.plist").read_bytes())
    flatpak = yaml.safe_load((LINUX / "app.garret.Garret.yaml").read_text())
    component = ElementTree.parse(METAINFO).getroot().findtext("id")
    assert info["CFBundleIdentifier"] == flatpak["id"] == component == METAINFO.name.split(".m")[0]
    for path in (
        LINUX / "control",
        LINUX / "copyright",
        METAINFO,
        PACKAGING / "windows/garret.nsi",
    ):
        for host in re.findall(r"[\w.]+@([\w.-]+)", path.read_text()):
            assert host.endswith(".invalid"), f"{path.name}: {host}"


def test_the_debian_package_says_what_it_is() -> None:
    control = (LINUX / "control").read_text()
    for field in ("Package: garret", "Version: @VERSION@", "Depends: @DEPENDS@", "Maintainer: "):
        assert f"\n{field}" in f"\n{control}"
    assert control.endswith("\n")


def test_the_manual_page_names_every_command() -> None:
    page = (LINUX / "garret.1").read_text().replace("\\-", "-")
    help_text = subprocess.run(
        [sys.executable, "-P", "-m", "app", "--help"],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."},
    ).stdout  # fmt: skip
    commands = re.findall(r"^  ([a-z]+)  ", help_text, re.M)
    assert len(commands) >= 8
    for name in [*commands, "--self-test", "--version"]:
        assert re.search(rf'^\.BI? "?{re.escape(name)}\b', page, re.M), name
    if shutil.which("groff"):
        drawn = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", str(LINUX / "garret.1")], capture_output=True
        )
        assert drawn.stderr == b""


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
def test_debian_names_of_libraries_are_known_without_dpkg_too() -> None:
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    compared = 0
    for soname in SONAMES:
        found = re.search(rf"^\s*{re.escape(soname)} .*x86-64.* => (\S+)", cache.stdout, re.M)
        owners = linux_packages._owners(found.group(1)) if found else set()
        if owners:
            compared += 1
            assert linux_packages.debian_name(soname) in owners
    assert compared >= 3


def test_a_pack_adds_one_engine_to_the_programs_folder_and_nothing_else(tmp_path: Path) -> None:
    wheel = tmp_path / "engine.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("libllama.so", "libggml.so", "libggml.so.0", "libggml-vulkan.so.0.9"):
            archive.writestr(f"llama_cpp/lib/{name}", name.split(".")[0])
        for name in ("lib/libllama.so", "llama_cpp/llama.py", "llama_cpp/lib/libmtmd.so"):
            archive.writestr(name, "not wanted")
    folder = backend_packs.unpack_engine(wheel, tmp_path / "vulkan")
    assert (folder / "libggml.so").readlink() == Path("libggml.so.0")
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    made = backend_packs.make_pack(folder, "vulkan", tmp_path, tmp_path, "1.2.3")
    assert [path.name.split("_")[0].split("-1")[0] for path in made] == ["garret-vulkan"] * 2
    told = subprocess.run(["dpkg-deb", "-f", made[0]], capture_output=True, text=True, check=True)
    assert "Depends: garret (= 1.2.3)" in told.stdout
    rows = subprocess.run(["dpkg-deb", "-c", made[0]], capture_output=True, text=True, check=True)
    files = {row.split()[5] for row in rows.stdout.splitlines() if not row.startswith("d")}
    place = "./usr/lib/garret/_internal/backends/vulkan"
    assert files == {
        "./usr/share/doc/garret-vulkan/copyright", f"{place}/libllama.so", f"{place}/libggml.so",
        f"{place}/libggml.so.0", f"{place}/libggml-vulkan.so.0.9",
    }  # fmt: skip


def test_a_wheel_without_an_engine_makes_no_pack(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(FileNotFoundError, match=r"no llama\.cpp"):
        backend_packs.unpack_engine(tmp_path / "other.whl", tmp_path / "vulkan")


# -- Windows ----------------------------------------------------------------------------------


def test_the_windows_installer_needs_no_administrator_and_spares_user_data() -> None:
    text = (PACKAGING / "windows" / "garret.nsi").read_text()
    assert "RequestExecutionLevel user" in text
    assert "HKLM" not in text
    assert "$LOCALAPPDATA\\Programs\\Garret" in text
    uninstall = text[text.index('Section "Uninstall"') :]
    assert 'RMDir /r "$INSTDIR"' not in uninstall
    assert "APPDATA\\Garret" not in uninstall


def test_the_windows_installer_compiles(tmp_path: Path) -> None:
    if shutil.which("makensis") is None:
        pytest.skip("makensis is not installed")
    bundle = tmp_path / "garret"
    (bundle / "_internal").mkdir(parents=True)
    (bundle / "garret.exe").write_bytes(b"MZ")
    (bundle / "_internal" / "x.dll").write_bytes(b"MZ")
    icon = tmp_path / "garret.ico"
    svg = (ROOT / "resources" / "icons" / "garret.svg").read_bytes()
    icon.write_bytes(icons.ico(icons.draw_pngs(svg, (16, 32))))
    out = tmp_path / "Garret-set-up.exe"
    subprocess.run(
        ["makensis", "-V2", "-WX", f"-DVERSION={__version__}", f"-DBUNDLE={bundle}",
         f"-DICON={icon}", f"-DOUT={out}", "garret.nsi"],
        cwd=PACKAGING / "windows", check=True, capture_output=True,
    )  # fmt: skip
    assert out.read_bytes()[:2] == b"MZ"


def test_the_version_resource_has_its_blanks_filled_by_the_build() -> None:
    text = (PACKAGING / "windows" / "version-info.txt").read_text()
    filled = text.replace("@NUMBERS@", "0, 1, 0, 0").replace("@VERSION@", "0.1.0")
    assert "@" not in filled
    compile(filled, "version-info.txt", "eval")


# -- icons, licences, parts list --------------------------------------------------------------


def test_icon_files_have_the_formats_desktops_read() -> None:
    svg = (ROOT / "resources" / "icons" / "garret.svg").read_bytes()
    pngs = icons.draw_pngs(svg, icons.PNG_SIZES)
    assert all(png.startswith(b"\x89PNG") for png in pngs.values())
    made = icons.ico({size: pngs[size] for size in icons.ICO_SIZES})
    count = struct.unpack_from("<H", made, 4)[0]
    assert count == len(icons.ICO_SIZES)
    for index in range(count):
        size, offset = struct.unpack_from("<II", made, 6 + 16 * index + 8)
        assert made[offset : offset + 4] == b"\x89PNG"
        assert offset + size <= len(made)
    mac = icons.icns(pngs)
    assert mac[:4] == b"icns"
    assert struct.unpack(">I", mac[4:8])[0] == len(mac)


@pytest.mark.parametrize("package", ["jinja2", "PySide6-Essentials", "llama-cpp-python", "mcp"])
def test_each_part_comes_with_its_licence(package: str) -> None:
    part = licences.of_package(package)
    assert part["version"]
    assert part["licence"]
    assert part["licence"] != "see text" or part["texts"]


def test_the_lgpl_parts_say_how_they_may_be_replaced() -> None:
    assert "LGPL" in licences.of_package("PySide6-Essentials")["note"]
    assert "LGPL" in licences.of_package("shiboken6")["note"]


def test_the_parts_list_names_every_locked_package() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    document = json.loads(json.dumps(sbom.bill(lock, "1.0")))
    pins = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert {part["name"] for part in document["components"]} == pins
    assert all(part["hashes"] for part in document["components"])
    refs = [part["bom-ref"] for part in document["components"]]
    assert len(set(refs)) == len(refs)
    assert document == sbom.bill(lock, "1.0")


# -- workflows --------------------------------------------------------------------------------


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_limited_and_least_privileged(file: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert 1 <= job["timeout-minutes"] <= 90, name
        assert "latest" not in str(job["runs-on"]), name
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            # A value from outside must come in through the environment, never as program text.
            assert not re.search(r"\$\{\{\s*(inputs|github\.event|secrets)", step.get("run", ""))
    pinned = re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", file.read_text(), re.MULTILINE)
    assert len(pinned) == file.read_text().count("uses: ")


def test_only_signing_jobs_see_secrets_and_only_the_release_may_write() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    for name, job in workflow["jobs"].items():
        if "secrets." in json.dumps(job):
            assert "environment" in job, name
        writes = [key for key, value in job.get("permissions", {}).items() if value == "write"]
        assert not writes or name == "release", name
    steps = json.dumps(workflow["jobs"]["release"]["steps"])
    assert "--draft" in steps
    assert "SHA256SUMS" in steps
    for job in ("linux-install", "sign-mac", "windows"):
        assert job in workflow["jobs"]["release"]["needs"]


def test_the_release_runs_nothing_that_is_not_here() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text()
    named = re.findall(r"packaging[/\\][\w./\\-]+\.(?:py|sh|ps1|nsi)", text)
    assert named
    for path in named:
        assert (ROOT / path.replace("\\", "/")).exists(), path
