"""Downloads that survive: Range resume, verified prefixes, parallel ranges, one model per job."""
