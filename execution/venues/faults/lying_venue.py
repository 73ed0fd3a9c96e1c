"""The simulated venue with faults: the same books and the same market, and between them and the account everything that goes wrong.

Theory of operation. The venue underneath stays honest: what it does is booked, numbered and kept until it is acknowledged. Faults
stand at four places: where a request comes in, where the market fills an order, where an event goes out, and where the market moves.
Each decision is the machine's own, drawn from its seed and the number of the chance, so it is journaled with the input it was taken
for and is taken again in the same way. An event whose push was lost is given by the next subscription.

The wire's part is told as data: an answer `OutcomeUnknown` with cause TIMEOUT, RESET or BAD_REPLY is what the account can know, and
whoever carries it plays it (`wire_act`): the daemon's socket says nothing, closes, or sends rubbish; a driver in one thread hands the
reply over as it stands and, after a RESET, takes the connection down and up. A RESET that answers no request (an empty command id)
ends the connection by itself. What comes later than now comes at `next_wake_ns`.

When the session is over the faults are: everything withheld is said, so that the books can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from core.contracts import Bar, SessionClock, SessionPhase
from core.instrument import Instrument
from core.machine import NO_NEEDS, Answer, Attached, Command, Effect, Input, Message, Needs, Push
from core.money import ZERO
from core.settings import FaultSettings, VenueSettings
from core.venue import (
    BANNED,
    AcknowledgeEvents,
    FetchOpenOrders,
    Lookup,
    NotFound,
    OrderFilled,
    OrdersFetched,
    OrderUpdated,
    OutcomeUnknown,
    Refused,
    Subscribe,
    VenueRequest,
)
from execution.venues.faults.back_office import BackOffice
from execution.venues.faults.fault import NS_PER_MS, RESET, TIMEOUT, Asked, Dice, Fault, Job
from execution.venues.faults.line import Line
from execution.venues.orders import VenueOrder
from execution.venues.sharing import Outcome
from execution.venues.simulated import VenueState

__all__ = ["DESK", "LiesState", "LyingVenue", "LyingVenueState", "WireAct", "day_of", "wire_act"]

DESK = "desk"
"""The actor of requests that a person makes past the trading system: they are served honestly."""


class WireAct(StrEnum):
    """What the venue's end of a wire does with an answer: send it, say nothing, close the connection, or send what is no answer."""

    SEND = "SEND"
    SAY_NOTHING = "SAY_NOTHING"
    CLOSE = "CLOSE"
    SEND_RUBBISH = "SEND_RUBBISH"


_DAY_NS = 86_400 * 10**9
_ACTS = {TIMEOUT.cause: WireAct.SAY_NOTHING, RESET.cause: WireAct.CLOSE, "BAD_REPLY": WireAct.SEND_RUBBISH}


def wire_act(reply: object) -> WireAct:
    """How an answer of this venue's is carried."""
    return _ACTS.get(reply.cause, WireAct.SEND) if isinstance(reply, OutcomeUnknown) else WireAct.SEND


class LiesState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the faults know: chances and strikes of each by name, what is to be done later, how the line is.

    `hidden` says until when an order is not found, `stalled` until when it does not trade on (ns UTC, by client order id); `days` is the
    last day a symbol traded (UTC days).
    """

    counts: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    line: Line = msgspec.field(default_factory=Line)
    hidden: dict[str, int] = msgspec.field(default_factory=dict)
    stalled: dict[str, int] = msgspec.field(default_factory=dict)
    days: dict[str, int] = msgspec.field(default_factory=dict)
    is_over: bool = False


class LyingVenueState(VenueState, frozen=True):
    """The venue's state and its faults'. What a venue without faults kept is one of these as well."""

    lies: LiesState = msgspec.field(default_factory=LiesState)


class LyingVenue(BackOffice):
    """Machine. A simulated venue that misbehaves as `faults` say.

    Invariants: every execution, amendment and split is in its books and is an event that a subscription brings sooner or later; an
    event is pushed by itself at most once before the account has acknowledged it, but for the faults whose point is that; nothing is
    drawn, hidden or withheld after the end of the session.
    """

    def __init__(
        self, instruments: Mapping[str, Instrument], opening_balances: Mapping[str, Decimal], rules: VenueSettings, settings: FaultSettings, faults: Sequence[Fault]
    ) -> None:
        super().__init__(instruments, opening_balances, rules)
        self.line = Line()
        self.days: dict[str, int] = {}
        self.dice = Dice(settings)
        self._settings = settings
        self._faults = {fault.name: fault for fault in faults}
        self._jobs: list[Job] = []
        self._hidden: dict[str, int] = {}
        self._stalled: dict[str, int] = {}
        self._is_over = False

    @property
    def strikes(self) -> dict[str, int]:
        """How often each fault has struck."""
        return {name: strikes for name, (_, strikes) in self.dice.counts.items() if strikes}

    @property
    def next_wake_ns(self) -> int | None:
        """When a day ends, or something that is late comes."""
        times = [job.due_ns for job in self._jobs]
        day_end_ns = super().next_wake_ns
        return min(times if day_end_ns is None else [*times, day_end_ns], default=None)

    def needs(self, event: Input) -> Needs:
        """What the honest venue needs, for this input and for every request that is still under way."""
        late = [self._job_needs(job) for job in self._jobs]
        archived = [key for needs in (super().needs(event), *late) for key in needs.archived]
        return Needs(archived=tuple(dict.fromkeys(archived))) if archived else NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input. What is late comes first, then the input, and each event that follows goes through the faults of the stream."""
        is_end = isinstance(event, Message) and isinstance(event.body, SessionClock) and event.body.phase is SessionPhase.ENDED
        last, effects = self.last_cursor, []
        # A bar may come before the clock that announces it: what is late by then comes before it either way.
        at_ns = max(now_ns, event.body.visible_ns - 1) if isinstance(event, Message) and isinstance(event.body, Bar) else now_ns
        effects += self._do_jobs(attached, at_ns, is_end=is_end)
        self._is_over = self._is_over or is_end
        if isinstance(event, Message) and isinstance(event.body, Bar):
            effects += self._disturb(event.body, at_ns)
        effects += super().handle(event, attached, now_ns)
        carried = [said for effect in effects for said in (self._carry(effect, last, at_ns) if isinstance(effect, Push) else (effect,))]
        return [*carried, *self._release()] if is_end else carried

    def snapshot(self) -> LyingVenueState:
        """The whole state."""
        honest: dict[str, Any] = msgspec.structs.asdict(super().snapshot())
        return LyingVenueState(
            **honest,
            lies=LiesState(
                dict(self.dice.counts),
                tuple(self._jobs),
                msgspec.structs.replace(self.line),
                dict(self._hidden),
                dict(self._stalled),
                dict(self.days),
                self._is_over,
            ),
        )

    def restore(self, snapshot: VenueState) -> None:
        """Become the venue that gave this snapshot; one without faults begins to have them."""
        super().restore(snapshot)
        lies = snapshot.lies if isinstance(snapshot, LyingVenueState) else LiesState()
        self.dice.counts = dict(lies.counts)
        self._jobs = list(lies.jobs)
        self.line = msgspec.structs.replace(lies.line)
        self._hidden, self._stalled, self.days = dict(lies.hidden), dict(lies.stalled), dict(lies.days)
        self._is_over = lies.is_over

    def _job_needs(self, job: Job) -> Needs:
        """What a request under way needs; of what is to happen about an event, its order's last word."""
        if job.request is not None:
            return super().needs(Command(job.command_id, "", job.request))
        match job.event:
            case OrderFilled(fill=fill):
                return self._order_needs(fill.client_order_id)
            case OrderUpdated(order=view):
                return self._order_needs(view.client_order_id)
            case _:
                return NO_NEEDS

    # What faults may do.

    def honest(self, asked: Asked) -> list[Effect]:
        """What the venue does and answers by itself. Of what is hidden it says that it is not there."""
        match asked.request:
            case Lookup(client_order_id=name) if self._is_hidden(name, asked.now_ns):
                return [Answer(asked.command.command_id, NotFound())]
            case FetchOpenOrders():
                return [self._without_hidden(effect, asked.now_ns) for effect in super()._on_command(asked.command, asked.attached, asked.now_ns)]
            case _:
                return list(super()._on_command(asked.command, asked.attached, asked.now_ns))

    def fill_honestly(self, order: VenueOrder, qty: Decimal, price: Decimal, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        """The market gives an order so much."""
        return super()._fill(self._listings[order.terms.symbol].instrument, order, qty, price, now_ns)

    def later(self, job: Job) -> None:
        """Do this when its time has come, and not after the end of the session."""
        self._jobs.append(job)

    def hide(self, client_order_id: str, until_ns: int) -> None:
        """Do not find this order before `until_ns`."""
        self._hidden[client_order_id] = until_ns

    def stall(self, client_order_id: str, until_ns: int) -> None:
        """Do not trade this order on before `until_ns`."""
        self._stalled = {name: until for name, until in self._stalled.items() if self._book.find(name) is not None}
        self._stalled[client_order_id] = until_ns

    # Requests.

    def _on_command(self, command: Command, attached: Attached, now_ns: int) -> Sequence[Effect]:
        request = command.body
        if isinstance(request, AcknowledgeEvents):
            self.line.forget(request.cursor)
        if not isinstance(request, VenueRequest) or isinstance(request, AcknowledgeEvents) or command.actor == DESK:
            return super()._on_command(command, attached, now_ns)
        if self.line.swallows_request(now_ns):
            return [Answer(command.command_id, TIMEOUT)]
        asked = Asked(command, request, attached, now_ns)
        if isinstance(request, Subscribe):
            return self._on_subscribe(asked)
        if now_ns < self.line.banned_until_ns:
            # Whoever asks during a ban is banned anew.
            self.line.banned_until_ns = now_ns + self._settings.ban_ms * NS_PER_MS
            return [Answer(command.command_id, Refused(code=BANNED, retry_after_ms=self._settings.ban_ms))]
        fault = self._struck(fault for fault in self._faults.values() if fault.hits_request(request))
        return self.honest(asked) if fault is None else fault.on_request(asked, self)

    def _on_subscribe(self, asked: Asked) -> list[Effect]:
        if self.line.storm:
            self.line.storm -= 1
            return [Answer(asked.command.command_id, RESET)]
        self.line.silent_until_ns = 0
        effects = self.honest(asked)
        if self.line.skips_backfill:
            self.line.skips_backfill = False
            return [effect for effect in effects if not (isinstance(effect, Push) and effect.event.cursor in self.line.withheld)]
        self.line.withheld = ()
        return effects

    def _is_hidden(self, client_order_id: str, now_ns: int) -> bool:
        until_ns = self._hidden.get(client_order_id)
        if until_ns is not None and until_ns <= now_ns:
            del self._hidden[client_order_id]
            return False
        return until_ns is not None

    def _without_hidden(self, effect: Effect, now_ns: int) -> Effect:
        if not isinstance(effect, Answer) or not isinstance(effect.reply, OrdersFetched):
            return effect
        seen = tuple(order for order in effect.reply.orders if not self._is_hidden(order.client_order_id, now_ns))
        return Answer(effect.command_id, OrdersFetched(orders=seen, cursor=effect.reply.cursor))

    # The market.

    def _disturb(self, bar: Bar, now_ns: int) -> list[Effect]:
        if bar.symbol not in self._listings:
            return []
        effects = [
            effect for fault in self._faults.values() if fault.hits_bar(bar, self) and not self._is_over and self.dice.strikes(fault) for effect in fault.on_bar(bar, self, now_ns)
        ]
        self.days[bar.symbol] = day_of(bar)
        return effects

    def _apply(self, instrument: Instrument, outcome: Outcome, now_ns: int) -> list[Effect]:
        if outcome.qty and self._stalled.get(outcome.order.client_order_id, 0) > now_ns:
            outcome = outcome._replace(qty=ZERO)
        return super()._apply(instrument, outcome, now_ns)

    def _fill(self, instrument: Instrument, order: VenueOrder, qty: Decimal, price: Decimal, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        fault = self._struck(fault for fault in self._faults.values() if fault.hits_fill(order, qty))
        return super()._fill(instrument, order, qty, price, now_ns) if fault is None else fault.on_fill(order, qty, price, self, now_ns)

    # What goes out, and what comes late.

    def _carry(self, push: Push, last: int, now_ns: int) -> list[Effect]:
        """An event as the faults let it through. One that was pushed before is asked for, and comes."""
        event = push.event
        if event.cursor <= last or self._is_over:
            return [push]
        if self.line.swallows_push(now_ns):
            self.line.withhold(event.cursor)
            return []
        fault = self._struck(fault for fault in self._faults.values() if fault.hits_event(event))
        return [push] if fault is None else fault.on_event(event, self, now_ns)

    def _release(self) -> list[Effect]:
        """Everything that was withheld, at the end."""
        self.line.heal()
        self._hidden.clear()
        withheld, self.line.withheld = set(self.line.withheld), ()
        return [Push(event) for event in self._events if event.cursor in withheld]

    def _do_jobs(self, attached: Attached, now_ns: int, *, is_end: bool) -> list[Effect]:
        due = [job for job in self._jobs if is_end or job.due_ns <= now_ns]
        if not due:
            return []
        self._jobs = [job for job in self._jobs if not (is_end or job.due_ns <= now_ns)]
        return [effect for job in due for effect in self._faults[job.fault].on_due(job, attached, self, now_ns)]

    def _struck(self, candidates: Iterable[Fault]) -> Fault | None:
        """The first of these faults that takes its chance."""
        return None if self._is_over else next((fault for fault in candidates if self.dice.strikes(fault)), None)


def day_of(bar: Bar) -> int:
    """The UTC day a bar belongs to."""
    return bar.close_ns // _DAY_NS
