#!/bin/sh
# dist/garret -> build/Garret.AppDir and, where the runtime is given, dist/Garret-x86_64.AppImage.
#   RUNTIME=runtime-x86_64 RUNTIME_SHA256=… packaging/linux/appimage.sh
# The runtime is AppImage's static type-2 runtime; it is only used when its hash is the one given.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
dir="$root/build/Garret.AppDir"
rm -rf "$dir"
mkdir -p "$dir/usr/lib" "$dir/usr/share/metainfo" "$dir/usr/share/applications"
cp -a "$root/dist/garret" "$dir/usr/lib/garret"
install -m 755 "$here/AppRun" "$dir/AppRun"
install -m 644 "$here/garret.desktop" "$dir/garret.desktop"
install -m 644 "$here/garret.desktop" "$dir/usr/share/applications/garret.desktop"
install -m 644 "$here/app.garret.Garret.metainfo.xml" "$dir/usr/share/metainfo/"
install -m 644 "$root/build/made/garret-256.png" "$dir/garret.png"
ln -s garret.png "$dir/.DirIcon"
[ -n "${RUNTIME:-}" ] || { echo "$dir"; exit 0; }
echo "$RUNTIME_SHA256  $RUNTIME" | sha256sum -c -
mksquashfs "$dir" "$root/build/garret.squashfs" -root-owned -noappend -comp zstd -quiet
cat "$RUNTIME" "$root/build/garret.squashfs" > "$root/dist/Garret-x86_64.AppImage"
chmod 755 "$root/dist/Garret-x86_64.AppImage"
echo "$root/dist/Garret-x86_64.AppImage"
