"""The models page: what suits this machine, what is installed, what is on its way."""
