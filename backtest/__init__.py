"""The backtest engine and the fault simulator: the same machines, other surroundings."""
