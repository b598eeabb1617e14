"""Async client of any engine, and the supervisor of ours."""
