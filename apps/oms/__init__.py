"""The only writer of orders, fills, positions and cash."""
