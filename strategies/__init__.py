"""Strategies: what an author implements, the host that runs them, and the ones that ship. Pure: no I/O, no clock, no randomness."""
