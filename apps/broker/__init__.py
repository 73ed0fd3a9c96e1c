"""The only process that trades at the venue."""
