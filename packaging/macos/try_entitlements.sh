#!/bin/bash
# Finds the smallest set of entitlements that ctypes works with under the hardened runtime.
set -euo pipefail
app=${1:-dist/Garret.app}
names=(allow-unsigned-executable-memory allow-jit disable-executable-page-protection)
for count in 0 1 2 3; do
    plist=$(mktemp)
    {
        echo '<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>'
        echo '<key>com.apple.security.cs.disable-library-validation</key><true/>'
        for name in "${names[@]:0:$count}"; do
            echo "<key>com.apple.security.cs.$name</key><true/>"
        done
        echo '</dict></plist>'
    } > "$plist"
    codesign --force --options runtime --entitlements "$plist" --sign - "$app/Contents/MacOS/garret"
    if HOME=$(mktemp -d) perl -e 'alarm 120; exec @ARGV' "$app/Contents/MacOS/garret" --self-test --no-window; then
        echo "enough: ${names[*]:0:$count}"
        exit 0
    fi
done
echo "none of these sets is enough"
exit 1
