"""The words and the laws: contracts, the order state machine, the sans-I/O node. Imports nothing of ours, does no I/O."""
