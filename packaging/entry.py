"""What the bundle's executable runs."""

from __future__ import annotations

import multiprocessing
import sys

if __name__ == "__main__":
    multiprocessing.freeze_support()  # before any Qt import: children re-run this file
    from app.__main__ import main

    sys.exit(main())
