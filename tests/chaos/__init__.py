"""Real processes and a real server under random misfortune: `make chaos`."""
