"""The one table of topics: name, message types, producer, durable consumers, what a lost message costs.

Nothing else in the project spells a topic. A name may hold `{symbol}`, `{timeframe}` or `{venue}`; `Topic.name()` fills
them in and `topic_of()` finds the row a name belongs to. The durable-consumer roster is static on purpose: trimming waits
for the slowest row in it, so a consumer that is down loses nothing.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from core.contracts import (
    AccountSnapshot,
    Alert,
    ArmLease,
    Bar,
    BookSnapshot,
    BookUpdate,
    CancelIntent,
    CancelOrder,
    Contract,
    ExecutionReport,
    FillEvent,
    Heartbeat,
    LedgerAdjusted,
    LimitsChanged,
    NoTrade,
    OrderIntent,
    OrderStateChanged,
    PositionSnapshot,
    ReplaceIntent,
    ReplaceOrder,
    RiskDecision,
    RiskEvent,
    SessionClock,
    SubmitOrder,
    Ticker,
    Trade,
    VenueReport,
)

__all__ = ["ROSTER", "Consumer", "Daemon", "Delivery", "Topic", "View", "consumed_by", "produced_by", "topic_of", "topic_table"]


class Daemon(StrEnum):
    """The daemons that speak on the bus, by the name their streams carry."""

    MD_INGEST = "md_ingest"
    STRATEGY_RUNNER = "strategy_runner"
    RISK_ENGINE = "risk_engine"
    OMS = "oms"
    BROKER = "broker"
    PAPER_VENUE = "paper_venue"


class Delivery(StrEnum):
    """DURABLE: in sequence, exactly once in effect, kept until all consumers acknowledged. LOSSY: conflated, droppable, dated."""

    DURABLE = "DURABLE"
    LOSSY = "LOSSY"


class View(StrEnum):
    """How a consumer takes a durable topic.

    JOURNALED: every message is an input of the machine. AS_MARKS: the shell keeps the latest price per symbol and attaches
    it to the inputs that need it.
    """

    JOURNALED = "JOURNALED"
    AS_MARKS = "AS_MARKS"


class Consumer(msgspec.Struct, frozen=True):
    """A durable consumer. `sees_future` is true only for the venue: the market moves before anyone may look at it."""

    daemon: Daemon
    view: View = View.JOURNALED
    sees_future: bool = False


class Topic(msgspec.Struct, frozen=True):
    """One row of the table. `loss` says what a lost message would cost."""

    pattern: str
    types: tuple[type[Contract], ...]
    producers: tuple[Daemon, ...]
    consumers: tuple[Consumer, ...]
    delivery: Delivery
    loss: str

    def name(self, **fields: str) -> str:
        """The topic's name with its fields filled in; KeyError names a missing one."""
        return self.pattern.format(**fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields in the pattern."""
        return tuple(re.findall(r"\{(\w+)\}", self.pattern))

    @property
    def expression(self) -> re.Pattern[str]:
        """A regular expression for this topic's names. A symbol may contain dots and slashes, the other fields may not."""
        escaped = re.escape(self.pattern).replace(r"\{symbol\}", r"(?P<symbol>[^|]+)")
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^.|]+)", escaped) + r"\Z")


_EVERY_DAEMON = tuple(Daemon)
_CLOCKED = (*(Consumer(d) for d in (Daemon.STRATEGY_RUNNER, Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER)), Consumer(Daemon.PAPER_VENUE, sees_future=True))

MD_BARS = Topic(
    "md.bars.{timeframe}.{symbol}",
    (Bar,),
    (Daemon.MD_INGEST,),
    (Consumer(Daemon.STRATEGY_RUNNER), Consumer(Daemon.RISK_ENGINE, View.AS_MARKS), Consumer(Daemon.PAPER_VENUE, sees_future=True)),
    Delivery.DURABLE,
    "a bar strategy decides on a hole in its history",
)
MD_TRADES = Topic("md.trades.{symbol}", (Trade,), (Daemon.MD_INGEST,), (), Delivery.LOSSY, "a print is missing; ages show it")
MD_BOOK = Topic("md.book.{symbol}", (BookSnapshot, BookUpdate), (Daemon.MD_INGEST,), (), Delivery.LOSSY, "the book is dirty until the next snapshot")
MD_TICKER = Topic("md.ticker.{symbol}", (Ticker,), (Daemon.MD_INGEST,), (), Delivery.LOSSY, "the quote grows older; risk denies when it is stale")
CONTROL_CLOCK = Topic("control.clock", (SessionClock,), (Daemon.MD_INGEST,), _CLOCKED, Delivery.DURABLE, "a replay stands still")
STRAT_INTENT = Topic(
    "strat.intent",
    (OrderIntent, CancelIntent, ReplaceIntent),
    (Daemon.STRATEGY_RUNNER,),
    (Consumer(Daemon.RISK_ENGINE),),
    Delivery.DURABLE,
    "a wish, or a cancel, is never answered",
)
RISK_DECISION = Topic(
    "risk.decision",
    (RiskDecision,),
    (Daemon.RISK_ENGINE,),
    (Consumer(Daemon.OMS), Consumer(Daemon.STRATEGY_RUNNER)),
    Delivery.DURABLE,
    "an approved order is never created",
)
ORDERS_ACCEPTED = Topic(
    "orders.accepted.{venue}",
    (SubmitOrder, CancelOrder, ReplaceOrder),
    (Daemon.OMS,),
    (Consumer(Daemon.BROKER),),
    Delivery.DURABLE,
    "an order or a cancel never reaches the venue",
)
BROKER_REPORTS = Topic(
    "broker.reports.{venue}",
    (VenueReport,),
    (Daemon.BROKER,),
    (Consumer(Daemon.OMS),),
    Delivery.DURABLE,
    "a fill is not booked",
)
ORDERS_EVENTS = Topic(
    "orders.events",
    (OrderStateChanged, LedgerAdjusted),
    (Daemon.OMS,),
    (Consumer(Daemon.RISK_ENGINE), Consumer(Daemon.STRATEGY_RUNNER)),
    Delivery.DURABLE,
    "risk and strategies trade on a wrong position",
)
FILLS_NEW = Topic("fills.new", (FillEvent,), (Daemon.OMS,), (), Delivery.DURABLE, "an observer misses a fill until it reads the gap")
POSITIONS_SNAPSHOT = Topic("positions.snapshot", (PositionSnapshot,), (Daemon.OMS,), (), Delivery.DURABLE, "a screen is out of date")
ACCOUNT_SNAPSHOT = Topic("account.snapshot", (AccountSnapshot,), (Daemon.OMS,), (), Delivery.DURABLE, "a screen is out of date")
EXEC_REPORTS = Topic("exec.reports", (ExecutionReport,), (), (), Delivery.DURABLE, "a parent order's progress is out of date")
CONTROL_LEASE = Topic("control.lease", (ArmLease,), (Daemon.RISK_ENGINE,), (), Delivery.LOSSY, "the broker disarms: safe")
CONTROL_HEARTBEAT = Topic("control.heartbeat", (Heartbeat,), _EVERY_DAEMON, (), Delivery.LOSSY, "an age grows by one beat")
CONTROL_LIMITS = Topic("control.limits", (LimitsChanged,), (Daemon.RISK_ENGINE,), (), Delivery.DURABLE, "a screen shows old limits")
TELEMETRY_NO_TRADE = Topic("telemetry.no_trade", (NoTrade,), (Daemon.STRATEGY_RUNNER,), (), Delivery.DURABLE, "one reason is missing on a screen")
TELEMETRY_RISK = Topic("telemetry.risk", (RiskEvent,), (Daemon.RISK_ENGINE,), (), Delivery.DURABLE, "one line is missing on a screen")
ALERTS_FIRED = Topic("alerts.fired", (Alert,), _EVERY_DAEMON, (), Delivery.DURABLE, "nobody hears of a problem")

ROSTER: tuple[Topic, ...] = (
    MD_TRADES,
    MD_BOOK,
    MD_TICKER,
    MD_BARS,
    CONTROL_CLOCK,
    STRAT_INTENT,
    RISK_DECISION,
    ORDERS_ACCEPTED,
    BROKER_REPORTS,
    ORDERS_EVENTS,
    FILLS_NEW,
    POSITIONS_SNAPSHOT,
    ACCOUNT_SNAPSHOT,
    EXEC_REPORTS,
    CONTROL_LEASE,
    CONTROL_HEARTBEAT,
    CONTROL_LIMITS,
    TELEMETRY_NO_TRADE,
    TELEMETRY_RISK,
    ALERTS_FIRED,
)


def topic_of(name: str) -> Topic:
    """The row a topic name belongs to; KeyError when the table has none."""
    for topic in ROSTER:
        if topic.expression.match(name):
            return topic
    raise KeyError(f"topic {name!r} is not in core/topics.py")


def produced_by(daemon: Daemon) -> tuple[Topic, ...]:
    """The topics this daemon may publish on."""
    return tuple(topic for topic in ROSTER if daemon in topic.producers)


def consumed_by(daemon: Daemon) -> tuple[tuple[Topic, Consumer], ...]:
    """The topics this daemon is a durable consumer of, with how it takes them."""
    return tuple((topic, consumer) for topic in ROSTER for consumer in topic.consumers if consumer.daemon is daemon)


def topic_table() -> str:
    """The table as Markdown, for docs/ARCHITECTURE.md."""
    lines = ["| Topic | Messages | Producer | Durable consumers | A lost message costs |", "|---|---|---|---|---|"]
    for topic in ROSTER:
        consumers = ", ".join(c.daemon.value + (" (marks)" if c.view is View.AS_MARKS else "") for c in topic.consumers) or "-"
        producers = "every daemon" if topic.producers == _EVERY_DAEMON else ", ".join(d.value for d in topic.producers) or "-"
        lines.append(f"| `{topic.pattern}` | {', '.join(t.__name__ for t in topic.types)} | {producers} | {consumers} | {topic.loss} |")
    return "\n".join(lines)
