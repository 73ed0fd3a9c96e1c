"""The daemons: thin covers over the machines, and the one place with clocks, sockets and files."""
