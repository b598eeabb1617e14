#!/bin/bash
# Signs dist/Garret.app from the inside out: libraries, frameworks, programs, the app.
# MAC_IDENTITY names a Developer ID certificate; without it the signature is ad hoc.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
app=${1:-"$here/../../dist/Garret.app"}
identity=${MAC_IDENTITY:--}
entitlements="$here/entitlements.plist"
options=(--force --options runtime)
if [ "$identity" = "-" ]; then
    entitlements="$here/entitlements-adhoc.plist"
else
    options+=(--timestamp)
fi

is_macho() { file -b "$1" | grep -q '^Mach-O'; }

# Deepest paths first: what lies inside is signed before what holds it. Links are not followed.
find "$app/Contents" -type f -print | awk '{ print gsub("/", "/"), $0 }' | sort -rn | cut -d' ' -f2- |
while IFS= read -r path; do
    is_macho "$path" || continue
    [ "$path" = "$app/Contents/MacOS/garret" ] && continue
    codesign "${options[@]}" --sign "$identity" "$path"
done
find "$app/Contents" -type d -name '*.framework' -print | awk '{ print gsub("/", "/"), $0 }' |
sort -rn | cut -d' ' -f2- | while IFS= read -r path; do
    codesign "${options[@]}" --sign "$identity" "$path"
done
codesign "${options[@]}" --entitlements "$entitlements" --sign "$identity" "$app/Contents/MacOS/garret"
codesign "${options[@]}" --entitlements "$entitlements" --sign "$identity" "$app"
codesign --verify --deep --strict=symlinks --verbose=2 "$app"
