"""Market data: measurements, therefore floats. An order's price is never one of these."""

from __future__ import annotations

from math import isfinite

from core.contracts.base import Contract

__all__ = ["Bar", "BookLevel", "BookSnapshot", "BookUpdate", "MarketData", "Ticker", "Trade"]


def _require_price(name: str, value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value} is not a price, a finite number above 0 is required")


def _require_size(name: str, value: float) -> None:
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{name}: {value} is not a size, a finite number of at least 0 is required")


class Bar(Contract, frozen=True, tag="Bar.1"):
    """One completed bar of trades in [open_ns, close_ns).

    Topic md.bars.{timeframe}.{symbol} · Producer md_ingest · Consumers strategy_runner, paper_venue, risk_engine (marks).
    Prices in quote currency, `volume` in units of the instrument. Nobody may see a bar before `close_ns`.
    """

    symbol: str
    timeframe: str
    open_ns: int
    close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def __post_init__(self) -> None:
        for name in ("open", "high", "low", "close"):
            _require_price(name, getattr(self, name))
        _require_size("volume", self.volume)
        if not (self.low <= self.open <= self.high and self.low <= self.close <= self.high):
            raise ValueError(f"bar {self.symbol}: open {self.open} and close {self.close} must lie within low {self.low} and high {self.high}")
        if self.close_ns <= self.open_ns:
            raise ValueError(f"bar {self.symbol}: close_ns {self.close_ns} must come after open_ns {self.open_ns}")

    @property
    def visible_ns(self) -> int:
        """The first moment anyone may know this bar."""
        return self.close_ns


class Trade(Contract, frozen=True, tag="Trade.1"):
    """One print of the market's own (FIX 269=2). Topic md.trades.{symbol} · Producer md_ingest · Consumers strategy_runner."""

    symbol: str
    price: float
    size: float
    exchange_ns: int
    trade_id: str = ""

    def __post_init__(self) -> None:
        _require_price("price", self.price)
        _require_size("size", self.size)


class Ticker(Contract, frozen=True, tag="Ticker.1"):
    """Best bid and offer. Topic md.ticker.{symbol} · Producer md_ingest · Consumers strategy_runner, risk_engine (marks)."""

    symbol: str
    bid_price: float
    ask_price: float
    bid_size: float
    ask_size: float
    exchange_ns: int

    def __post_init__(self) -> None:
        for name in ("bid_price", "ask_price"):
            _require_price(name, getattr(self, name))
        for name in ("bid_size", "ask_size"):
            _require_size(name, getattr(self, name))


class BookLevel(Contract, frozen=True, array_like=True):
    """One price level; size 0 in an update deletes it."""

    price: float
    size: float

    def __post_init__(self) -> None:
        _require_price("price", self.price)
        _require_size("size", self.size)


class BookSnapshot(Contract, frozen=True, tag="BookSnapshot.1"):
    """A whole order book, best level first. Topic md.book.{symbol} · Producer md_ingest · Consumers strategy_runner."""

    symbol: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    update_id: int
    exchange_ns: int


class BookUpdate(Contract, frozen=True, tag="BookUpdate.1"):
    """Changed levels since `previous_update_id`. Topic md.book.{symbol} · Producer md_ingest · Consumers strategy_runner."""

    symbol: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    previous_update_id: int
    update_id: int
    exchange_ns: int


MarketData = Bar | Trade | Ticker | BookSnapshot | BookUpdate
