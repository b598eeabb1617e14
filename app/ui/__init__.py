"""The window: the only package (with compose) that imports PySide6 and qasync."""
