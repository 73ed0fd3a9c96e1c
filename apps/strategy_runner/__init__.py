"""Runs the strategies."""
