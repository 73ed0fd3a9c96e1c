"""Known bugs, planted one by one: what the simulator does not find of them it would not find of others."""
