"""Writes the tables in the documents that mirror code: `make tables`. A test fails while one of them is out of date.

A document holds `<!-- generated: NAME -->` and `<!-- end -->`; what stands between them is replaced by the table NAME.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from apps.cli.supervisor import STOPPED_FOR_GOOD
from apps.runtime import shell
from apps.runtime.daemon import EXIT_CONFIG
from core import node
from core.order.transitions import transition_table
from core.settings import Settings
from core.topics import topic_table
from risk.denials import denial_table
from risk.limits.registry import control_table

__all__ = ["TABLES", "filled", "stale_documents"]

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_EXIT_CODES = {
    0: "drained and stopped",
    EXIT_CONFIG: "the configuration or the journal cannot be used; what is wrong is printed",
    node.EXIT_HALT: "halt: history was lost, or a machine asked for a person",
    node.EXIT_FENCED: "fenced: another instance writes this daemon's streams",
    shell.EXIT_FORCED: "a second signal ended the draining",
    shell.EXIT_JOURNAL: "the journal could not be written, or the disk is nearly full",
    node.EXIT_POISON: "a message could not be handled; it is in quarantine and its link stands still",
}


def settings_table() -> str:
    """Every key of the configuration: its type, default, bounds, and the YAML that sets it."""
    lines: list[str] = []
    for section, field in Settings.model_fields.items():
        model = _model_of(field.annotation)
        if model is None:
            lines += [f"### `{section}`", "", _scalar_line(section, field), ""]
            continue
        is_map = get_origin(field.annotation) is dict
        lines += [f"### `{section}`", "", " ".join((model.__doc__ or "").split()), ""]
        lines += ["| Key | Type | Default | Bounds | Example |", "|---|---|---|---|---|"]
        path = f"{section}.<name>" if is_map else section
        lines += [_row(f"{path}.{key}", inner) for key, inner in model.model_fields.items()]
        lines.append("")
    return "\n".join(lines).rstrip()


def exit_code_table() -> str:
    """What each exit code of a daemon means, and whether a supervisor starts it again."""
    lines = ["| Code | Meaning | Started again |", "|---|---|---|"]
    lines += [f"| {code} | {meaning} | {'no' if code in STOPPED_FOR_GOOD else 'yes'} |" for code, meaning in sorted(_EXIT_CODES.items())]
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "topics": topic_table,
    "transitions": transition_table,
    "denials": denial_table,
    "controls": control_table,
    "settings": settings_table,
    "exit-codes": exit_code_table,
}


def filled(text: str) -> str:
    """The document with every generated table as the code has it now; KeyError names an unknown table."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block['name']]()}\n{block[3]}", text)


def stale_documents(root: Path = ROOT) -> Iterator[Path]:
    """The documents whose tables are not what the code says."""
    for path in _documents(root):
        text = path.read_text()
        if filled(text) != text:
            yield path


def main() -> int:
    """Write them."""
    for path in list(stale_documents()):
        path.write_text(filled(path.read_text()))
        print(f"{path.relative_to(ROOT)}: written", file=sys.stderr)
    return 0


def _documents(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The section a field holds, itself or by name."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _row(path: str, field: FieldInfo) -> str:
    return f"| `{path}` | {_type_name(field.annotation)} | {_default(field)} | {_bounds(field)} | {_example(path, field)} |"


def _scalar_line(name: str, field: FieldInfo) -> str:
    return f"{_type_name(field.annotation)}; default {_default(field)}; example {_example(name, field)}"


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(a) for a in arguments)
    if annotation is type(None):
        return "null"
    if origin is None:
        return str(getattr(annotation, "__name__", annotation)).lower()
    if arguments and all(isinstance(a, str) for a in arguments):
        return " \\| ".join(f"`{a}`" for a in arguments)
    if hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    return "mapping"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "-" if value in ("", (), {}, None) else f"`{_yaml(value)}`"


def _bounds(field: FieldInfo) -> str:
    signs = {"Gt": ">", "Ge": "≥", "Lt": "<", "Le": "≤"}
    found = [f"{signs[type(mark).__name__]} {_bound(mark)}" for mark in _metadata(field) if type(mark).__name__ in signs]
    return ", ".join(found) or "-"


def _bound(mark: Any) -> Any:
    return next(getattr(mark, name) for name in ("gt", "ge", "lt", "le") if hasattr(mark, name))


def _metadata(field: FieldInfo) -> list[Any]:
    """The constraints of a field, those of the inner type of an optional one included."""
    inner = [mark for argument in get_args(field.annotation) for mark in getattr(argument, "__metadata__", ())]
    flat: list[Any] = []
    for mark in (*field.metadata, *inner):
        flat += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return flat


def _example(path: str, field: FieldInfo) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    shown = _EXAMPLES.get(path) or _EXAMPLES.get(path.rsplit(".", 1)[-1], _yaml(value) if value not in ("", (), {}, None) else "…")
    nested = ": {".join(path.split("."))
    return f"`{nested}: {shown}{'}' * path.count('.')}`"


# Where the default says nothing: required keys, and those that are empty or off unless set.
_EXAMPLES = {
    "strategies.<name>.kind": "sma_cross",
    "path": "bars.parquet",
    "symbols": "[IBM, MSFT]",
    "speed": "60",
    "rows_max": "1000",
    "params": "{fast: 10, slow: 30}",
    "base_asset": "BTC",
    "order_qty_max": "10000",
    "participation_max": "0.1",
    "redis_url": "unix:///run/redis/redis.sock",
    "instruments": "{default: {tick: 0.01, lot: 1}}",
}


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml(v) for v in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_yaml(v)}' for k, v in value.items())}}}"
    return str(value)


if __name__ == "__main__":
    raise SystemExit(main())
