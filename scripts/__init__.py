"""Tools for people who work on this repository; nothing at run time needs them."""
