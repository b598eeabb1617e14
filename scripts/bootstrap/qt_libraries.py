"""Which package of which distribution brings each library that Qt's Linux plugins link to."""

from __future__ import annotations

# soname, then the package on Debian/Ubuntu, Fedora, Arch and openSUSE (where Debian's name differs)
_TABLE = """
libEGL.so.1 libegl1 libglvnd-egl libglvnd libEGL1
libGL.so.1 libgl1 libglvnd-glx libglvnd libGL1
libGLX.so.0 libglx0 libglvnd-glx libglvnd libGLX0
libOpenGL.so.0 libopengl0 libglvnd-opengl libglvnd libOpenGL0
libX11.so.6 libx11-6 libX11 libx11 libX11-6
libX11-xcb.so.1 libx11-xcb1 libX11-xcb libx11 libX11-xcb1
libdbus-1.so.3 libdbus-1-3 dbus-libs dbus
libfontconfig.so.1 libfontconfig1 fontconfig fontconfig
libfreetype.so.6 libfreetype6 freetype freetype2
libglib-2.0.so.0 libglib2.0-0 glib2 glib2 libglib-2_0-0
libgthread-2.0.so.0 libglib2.0-0 glib2 glib2 libgthread-2_0-0
libwayland-client.so.0 libwayland-client0 libwayland-client wayland
libwayland-cursor.so.0 libwayland-cursor0 libwayland-cursor wayland
libwayland-egl.so.1 libwayland-egl1 libwayland-egl wayland
libxcb.so.1 libxcb1 libxcb libxcb
libxcb-cursor.so.0 libxcb-cursor0 xcb-util-cursor xcb-util-cursor
libxcb-glx.so.0 libxcb-glx0 libxcb libxcb
libxcb-icccm.so.4 libxcb-icccm4 xcb-util-wm xcb-util-wm
libxcb-image.so.0 libxcb-image0 xcb-util-image xcb-util-image
libxcb-keysyms.so.1 libxcb-keysyms1 xcb-util-keysyms xcb-util-keysyms
libxcb-randr.so.0 libxcb-randr0 libxcb libxcb
libxcb-render.so.0 libxcb-render0 libxcb libxcb
libxcb-render-util.so.0 libxcb-render-util0 xcb-util-renderutil xcb-util-renderutil
libxcb-shape.so.0 libxcb-shape0 libxcb libxcb
libxcb-shm.so.0 libxcb-shm0 libxcb libxcb
libxcb-sync.so.1 libxcb-sync1 libxcb libxcb
libxcb-util.so.1 libxcb-util1 xcb-util xcb-util
libxcb-xfixes.so.0 libxcb-xfixes0 libxcb libxcb
libxcb-xinerama.so.0 libxcb-xinerama0 libxcb libxcb
libxcb-xkb.so.1 libxcb-xkb1 libxcb libxcb
libxkbcommon.so.0 libxkbcommon0 libxkbcommon libxkbcommon
libxkbcommon-x11.so.0 libxkbcommon-x11-0 libxkbcommon-x11 libxkbcommon-x11
libzstd.so.1 libzstd1 libzstd zstd
"""


def _read(table: str) -> dict[str, tuple[str, str, str, str]]:
    found = {}
    for line in table.strip().splitlines():
        soname, debian, fedora, arch, *suse = line.split()
        found[soname] = (debian, fedora, arch, suse[0] if suse else debian)
    return found


QT_LIBRARIES = _read(_TABLE)
