"""Runs first in the bundle: gives it the streams and certificates a double-click start lacks."""

from __future__ import annotations

import os
import sys

# The bootloader points the linker at the bundle; the programs we start must not be.
_before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
if sys.platform.startswith("linux"):
    os.environ.pop("LD_LIBRARY_PATH", None)
    if _before is not None:
        os.environ["LD_LIBRARY_PATH"] = _before

# The environment as it was given to us, before this and other hooks add to it: what the sandbox
# launcher hands on. Its caller has chosen every variable in it.
sys.garret_environ = {
    name: value for name, value in os.environ.items() if not name.startswith(("_PYI_", "_MEI"))
}

# What we start of ourselves (the engine, the header check) is a program of its own. The bootloader
# would take it for a worker that still has the library path removed above, and the linker would
# then find only what the system happens to have.
os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"

# A windowed program on Windows has none; whatever prints would crash.
if sys.stdout is None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as we do
if sys.stderr is None:
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
if sys.stdin is None:
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115

# OpenSSL looks where the build machine keeps its certificates; other systems keep them elsewhere.
if sys.platform.startswith("linux") and "SSL_CERT_FILE" not in os.environ:
    for _file in (
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ):
        if os.path.exists(_file):
            os.environ["SSL_CERT_FILE"] = _file
            break
