"""Execution: orders from approval to booked fill, and the simulated venue."""
