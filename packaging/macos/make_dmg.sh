#!/bin/bash
# dist/Garret.app -> dist/Garret-<version>-arm64.dmg with a link to Applications.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dist="$here/../../dist"
version=$(/usr/libexec/PlistBuddy -c 'Print CFBundleShortVersionString' "$dist/Garret.app/Contents/Info.plist")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
ditto "$dist/Garret.app" "$stage/Garret.app"
ln -s /Applications "$stage/Applications"
out="$dist/Garret-$version-arm64.dmg"
rm -f "$out"
for try in 1 2 3 4 5; do # hdiutil says “Resource busy” now and then on hosted machines
    if hdiutil create -volname Garret -srcfolder "$stage" -fs APFS -format ULFO "$out"; then
        break
    fi
    [ "$try" = 5 ] && exit 1
    sleep $((try * 5))
done
[ -z "${MAC_IDENTITY:-}" ] || codesign --sign "$MAC_IDENTITY" --timestamp "$out"
echo "$out"
