"""The commands njord and njord-ctl."""
