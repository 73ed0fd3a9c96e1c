"""The simulated venue as a process of its own."""
