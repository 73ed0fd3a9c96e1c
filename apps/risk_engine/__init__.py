"""Answers every intent."""
