"""What `run.py` and `test.py` need before anything is installed: standard library only."""
