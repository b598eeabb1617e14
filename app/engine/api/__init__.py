"""The HTTP surface of the engine, one file per wire format."""
