"""Risk: whether an intent may become an order, and the evidence for it."""
