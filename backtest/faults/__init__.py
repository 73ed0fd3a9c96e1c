"""The fault simulator: the shipped nodes and machines under a seeded scheduler, a wire that loses, and disks that crash."""
