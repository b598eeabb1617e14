#!/bin/bash
# Mounts a .dmg, self-tests the app on it with an empty home, and detaches it again.
set -euo pipefail
dmg=$1
mount=$(mktemp -d)
home=$(mktemp -d)
hdiutil attach "$dmg" -nobrowse -readonly -mountpoint "$mount"
result=0
HOME=$home QT_QPA_PLATFORM=offscreen "$mount/Garret.app/Contents/MacOS/garret" --self-test || result=$?
sleep 10 # Spotlight holds a fresh mount for a while
hdiutil detach "$mount" || hdiutil detach -force "$mount"
rm -rf "$home"
exit "$result"
