"""Write the golden files anew: `python -m tests.golden.refresh`. Read the difference before you commit it."""

from __future__ import annotations

from tests.golden.streams import STREAMS, golden_path, intent_lines

__all__: list[str] = []

if __name__ == "__main__":
    for kind in STREAMS:
        golden_path(kind).write_text("\n".join(intent_lines(kind)) + "\n")
        print(f"wrote {golden_path(kind)}")
