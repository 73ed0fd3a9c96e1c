"""Comparing the account with its venue: what is asked, where both differ, what is made of it, and what a person may decide."""
