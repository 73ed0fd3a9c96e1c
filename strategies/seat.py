"""Where a strategy sits in the host: the strategy itself, its desk, its standing, and the checkpoint of all three.

A strategy is foreign code. `attempt` is the one place that runs it, and the one place where whatever it raises ends.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import msgspec

from core.contracts import OrderType
from strategies.desk import Book, Desk
from strategies.strategy import Strategy, WorkingOrder

__all__ = ["AnyStrategy", "Raised", "Seat", "StrategyRecord", "attempt"]

FLATTEN = "flatten"

AnyStrategy = Strategy[Any, Any]
T = TypeVar("T")


class StrategyRecord(msgspec.Struct):
    """One strategy in a checkpoint: its exported state (JSON, of `version`), its book, and where it stands with the host.

    `quarantine` is why it is not called any more ('' when it is); `steps` counts the host's own actions for it; `retry_ns` is
    when unfinished winding down is tried again (0: nothing is left to do); `watch` is the last half day looked at for positions.
    """

    version: int
    state: str
    book: Book
    entries_enabled: bool = True
    is_started: bool = False
    is_stopped: bool = False
    quarantine: str = ""
    steps: int = 0
    retry_ns: int = 0
    watch: int = 0


class Raised(NamedTuple):
    """What a strategy's code raised."""

    text: str


def attempt(call: Callable[[], T]) -> T | Raised:
    """Run a strategy's code and take whatever it raises for an answer."""
    try:
        return call()
    except MemoryError:
        # The host's own trouble, and not the same on a replay: it must end the process.
        raise
    except Exception as error:  # Foreign code: what it raises must stop it and nothing else, and no list of errors is long enough.
        return Raised(f"{type(error).__name__}: {error}")


class Seat:
    """One strategy, its desk, and where it stands. `strategy` is None when the configuration, or its checkpoint, has none to run."""

    def __init__(self, desk: Desk, symbols: tuple[str, ...], strategy: AnyStrategy | None) -> None:
        self.desk = desk
        self.symbols = symbols
        self.strategy = strategy
        self.flattens = strategy is not None and strategy.params.on_quarantine == FLATTEN
        self.is_started = False
        self.is_stopped = False
        self.quarantine = ""
        self.steps = 0
        self.retry_ns = 0
        self.watch = 0
        self._kept = (0, "")

    @property
    def is_off(self) -> bool:
        """Whether it may open nothing, so that its resting entries have to go."""
        return bool(self.quarantine) or not self.desk.entries_enabled or self.strategy is None

    @property
    def runner(self) -> AnyStrategy | None:
        """The strategy, while it may be called."""
        return None if self.quarantine else self.strategy

    @property
    def held(self) -> dict[str, Decimal]:
        """What it holds, by symbol."""
        return {symbol: position.qty for symbol, position in self.desk.book.positions.items() if position.qty}

    def unwanted(self) -> list[WorkingOrder]:
        """What must not go on working while it is off: entries, and under `flatten` everything but what is closing it."""
        flattens = self.quarantine and self.flattens
        return [order for order in self.desk.book.working.values() if not (self.closes(order) if flattens else self.desk.is_exit(order))]

    def to_close(self) -> list[str]:
        """The symbols that are held and must be closed."""
        return [symbol for symbol in self.symbols if self.desk.closing_qty(symbol)] if self.quarantine and self.flattens else []

    def closes(self, order: WorkingOrder) -> bool:
        """Whether an order takes the position towards zero at once."""
        return order.order_type is OrderType.MARKET and self.desk.reduces(order.symbol, order.side, order.leaves_qty)

    def record(self) -> StrategyRecord:
        """Its checkpoint. One whose state cannot be exported comes back from it quarantined, with no state."""
        version, state, quarantine = *self._kept, self.quarantine
        if (strategy := self.strategy) is not None:
            version = strategy.state_version
            exported = attempt(lambda: _export(strategy))
            state, quarantine = ("", quarantine or f"export_state: {exported.text}") if isinstance(exported, Raised) else (exported, quarantine)
        return StrategyRecord(
            version,
            state,
            self.desk.book.copy(),
            self.desk.entries_enabled,
            self.is_started,
            self.is_stopped,
            quarantine,
            self.steps,
            self.retry_ns,
            self.watch,
        )

    def restore(self, record: StrategyRecord) -> None:
        """Become the seat that gave this record; a state that cannot be read leaves it quarantined, with the record kept."""
        self.desk.book = record.book.copy()
        self.desk.entries_enabled = record.entries_enabled
        self.is_started, self.is_stopped, self.quarantine = record.is_started, record.is_stopped, record.quarantine
        self.steps, self.retry_ns, self.watch = record.steps, record.retry_ns, record.watch
        self._kept = (record.version, record.state)
        if (strategy := self.strategy) is not None:
            found = attempt(lambda: _import(strategy, record))
            if isinstance(found, Raised):
                self.strategy = None
                self.quarantine = self.quarantine or f"checkpoint: {found.text}"


def _export(strategy: AnyStrategy) -> str:
    return msgspec.json.encode(strategy.export_state()).decode()


def _import(strategy: AnyStrategy, record: StrategyRecord) -> None:
    if record.version == strategy.state_version:
        strategy.restore_state(msgspec.json.decode(record.state, type=strategy.State))
    else:
        strategy.restore_state(strategy.upgrade_state(record.version, record.state))
