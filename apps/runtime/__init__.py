"""What every daemon runs on: shell, bus, journal, clock, sockets, health, logging, settings."""
