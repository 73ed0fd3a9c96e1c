"""How a venue and the wire to it misbehave: a registry of named faults, and the simulated venue that has them."""
