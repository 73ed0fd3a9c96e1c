"""Market data: the feed that the session clock runs on."""
