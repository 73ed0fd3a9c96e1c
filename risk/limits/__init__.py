"""The controls: one file each, one row each in the registry."""
