"""The signed answer to "is there a newer version": `update_manifest.py keygen|sign …`.

    update_manifest.py keygen                     prints a new key pair, once for the project
    update_manifest.py sign --page URL OUT.json   signs with the key in GARRET_UPDATE_SECRET

The secret stays in the protected environment of the release workflow; the public half and the
address go into the builds as GARRET_UPDATE_KEY and GARRET_UPDATE_URL.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

ROOT = Path(__file__).resolve().parent.parent
PREFIX = b"garret update manifest 1\n"  # the same in app/library/updates.py
VALID_DAYS = 400


def new_pair() -> tuple[str, str]:
    """A fresh secret and its public half, both base64."""
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(secret).decode(), base64.b64encode(public).decode()


def signed(payload: dict[str, object], secret: str) -> dict[str, str]:
    """The envelope around a payload."""
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret, validate=True))
    data = json.dumps(payload, sort_keys=True).encode()
    return {
        "payload": base64.b64encode(data).decode(),
        "signature": base64.b64encode(key.sign(PREFIX + data)).decode(),
    }


def payload_of(version: str, page: str, notes: str, min_version: str) -> dict[str, object]:
    """What is said about a release; the serial is the moment, so it only ever grows."""
    return {
        "app": "garret",
        "format": 1,
        "serial": int(time.time()),
        "expires": (datetime.now(UTC) + timedelta(days=VALID_DAYS)).isoformat(timespec="seconds"),
        "version": version,
        "min_version": min_version,
        "page": page,
        "notes": notes,
    }


def version() -> str:
    text = (ROOT / "app" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found.group(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("keygen")
    sign = verbs.add_parser("sign")
    sign.add_argument("--page", required=True, help="where people get this version")
    sign.add_argument("--notes", default="")
    sign.add_argument("--min-version", default="0.0", help="older ones have a known hole")
    sign.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.verb == "keygen":
        secret, public = new_pair()
        print(f"GARRET_UPDATE_SECRET={secret}\nGARRET_UPDATE_KEY={public}")
        return 0
    secret = os.environ.get("GARRET_UPDATE_SECRET", "")
    if not secret:
        print("GARRET_UPDATE_SECRET is not set: no update manifest is made.", file=sys.stderr)
        return 1
    payload = payload_of(version(), options.page, options.notes, options.min_version)
    options.out.write_text(json.dumps(signed(payload, secret)) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
