#!/bin/bash
# Sends an .app or a .dmg to Apple's notary and staples the ticket to it.
# Needs NOTARY_KEY_FILE (p8), NOTARY_KEY_ID and NOTARY_ISSUER.
set -euo pipefail
target=$1
submission=$target
if [ -d "$target" ]; then
    submission="${target%.app}.zip"
    ditto -c -k --keepParent "$target" "$submission" # ditto keeps the links, zip would not
fi
xcrun notarytool submit "$submission" --wait --timeout 45m \
    --key "$NOTARY_KEY_FILE" --key-id "$NOTARY_KEY_ID" --issuer "$NOTARY_ISSUER"
[ "$submission" = "$target" ] || rm -f "$submission"
xcrun stapler staple "$target"
xcrun stapler validate "$target"
