"""`njord verify`: the invariants of docs/EXECUTION_INVARIANTS.md, checked from the journals and the venue's own ledger."""
