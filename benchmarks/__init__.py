"""What performance claims are made of."""
