"""The parts of a release as a CycloneDX bill of materials: `sbom.py requirements.lock`."""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def parts(lock_text: str) -> list[dict[str, Any]]:
    """One component for each pin of a lock, with the hashes it accepts."""
    found = []
    for block in re.split(r"\n(?=[a-z0-9])", lock_text):
        pin = re.match(r"([a-z0-9-]+)==([^\s;\\]+)", block)
        if pin is None:
            continue
        name, version = pin.groups()
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
        found.append(
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{name}@{version}",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "hashes": [{"alg": "SHA-256", "content": one} for one in hashes],
            }
        )
    return found


def bill(lock_text: str, version: str) -> dict[str, Any]:
    """The whole document, CycloneDX 1.6."""
    components = parts(lock_text)
    app = {
        "type": "application",
        "bom-ref": f"garret@{version}",
        "name": "garret",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    seed = json.dumps(components, sort_keys=True) + version
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seed)}",
        "version": 1,
        "metadata": {"component": app},
        "components": components,
        "dependencies": [
            {"ref": app["bom-ref"], "dependsOn": [one["bom-ref"] for one in components]}
        ],
    }


def main() -> int:
    text = (ROOT / "app" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "([^"]+)"', text)
    assert version is not None
    lock = Path(sys.argv[1]).read_text(encoding="utf-8")
    print(json.dumps(bill(lock, version.group(1)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
