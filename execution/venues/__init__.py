"""Venues: the simulated one, and one pure translation per real one."""
