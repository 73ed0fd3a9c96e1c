"""What the gateway knows of an order that has not ended, and how patient it is with a venue that does not answer."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.contracts import Approval, ReplaceOrder, SubmitOrder, TradingState
from core.settings import Settings
from core.venue import DUPLICATE_CLIENT_ORDER_ID, BrokerOrderReq

__all__ = [
    "NEVER_REACHED",
    "NOT_SENT",
    "ORIGINAL_ENDED",
    "REFUSED",
    "REPLACED",
    "SENDS_MAX",
    "CancelRequest",
    "CancelStage",
    "Ended",
    "LiveOrder",
    "Stage",
    "VenueTraits",
    "backoff_ns",
    "retry_delay_ns",
    "sweep_delay_ns",
    "terms_of",
    "traits_of",
]

NS_PER_MS = 1_000_000
BACKOFF_MIN_NS = 250 * NS_PER_MS
BACKOFF_MAX_NS = 30_000 * NS_PER_MS
AT_ONCE_MAX = 3
"""Failed questions are repeated this often without waiting: under a session clock time may stand still."""
SENDS_MAX = 3
"""How often one order is sent at most, each time after the venue has conclusively not got the one before."""
SWEEP_NS = 1_000 * NS_PER_MS
QUICK_SWEEPS = 10


class _Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    pass


class VenueTraits(_Fact, frozen=True):
    """What a venue guarantees about client order ids.

    `ids_unique_for_ever` or only among open orders; `late_arrival_ns` is how long after an attempt the order may still appear
    (request validity, server timeout and query lag together).
    """

    ids_unique_for_ever: bool = True
    late_arrival_ns: int = 0


class Stage(StrEnum):
    """How far an order has come: SENT (a call is under way), IN_DOUBT, TAKEN (a replacement the venue has taken and not yet
    confirmed), WORKING (the venue knows it), LOST (conclusively not found, and nothing follows from that), FOREIGN (not sent by
    this gateway: it is only cancelled)."""

    SENT = "SENT"
    IN_DOUBT = "IN_DOUBT"
    TAKEN = "TAKEN"
    WORKING = "WORKING"
    LOST = "LOST"
    FOREIGN = "FOREIGN"


class CancelStage(StrEnum):
    """HELD until the order is known, ASKED (a call is under way), WAITING to be asked again, TAKEN by the venue."""

    HELD = "HELD"
    ASKED = "ASKED"
    WAITING = "WAITING"
    TAKEN = "TAKEN"


class CancelRequest(_Fact, frozen=True):
    """One request to cancel an order, by its own id. `is_ours`: the gateway's own, for the kill switch or an operator."""

    request_id: str
    is_ours: bool = False
    stage: CancelStage = CancelStage.HELD
    call_id: str = ""
    failures: int = 0
    due_ns: int | None = None


class LiveOrder(_Fact, frozen=True):
    """One client order id that has not ended. A new fact makes a new LiveOrder.

    `orig_*` are set on a replacement, `replaced_by` holds the ids of the replacements asked for. `query` is the
    open lookup's call id. While in doubt `doubt` says why, `failures` counts unhelpful answers, `is_final` is set when the
    lookup under way was asked after the late-arrival bound.
    """

    client_order_id: str
    symbol: str
    stage: Stage = Stage.SENT
    order: BrokerOrderReq | None = None
    approval: Approval | None = None
    protective: bool = False
    correlation_id: str = ""
    orig_client_order_id: str = ""
    orig_venue_order_id: str = ""
    replaced_by: tuple[str, ...] = ()
    venue_order_id: str = ""
    sends: int = 0
    attempted_ns: int = 0
    doubt: str = ""
    query: str = ""
    lookups: int = 0
    failures: int = 0
    is_final: bool = False
    due_ns: int | None = None
    cancels: tuple[CancelRequest, ...] = ()
    cancel_calls: int = 0
    is_archived: bool = False

    @property
    def next_due_ns(self) -> int | None:
        """When a question or a cancel of this order is to be repeated; None: nothing waits for time."""
        if not self.cancels:
            return self.due_ns
        times = [t for t in (self.due_ns, *(c.due_ns for c in self.cancels)) if t is not None]
        return min(times, default=None)

    @property
    def is_unknown(self) -> bool:
        """Whether it is still open whether the venue has this order: cancels are held until that is answered."""
        return self.stage in _UNKNOWN

    @property
    def is_cancel_under_way(self) -> bool:
        """Whether a cancel is on its way, so that another one would add nothing."""
        return any(c.stage is not CancelStage.TAKEN for c in self.cancels)

    @property
    def was_called_duplicate(self) -> bool:
        """Whether the venue refused the id as one it knows: after that, not finding it proves nothing."""
        return self.doubt == DUPLICATE_CLIENT_ORDER_ID

    def must_go(self, state: TradingState) -> bool:
        """Whether a kill to this state cancels the order."""
        if self.protective or self.stage in (Stage.LOST, Stage.FOREIGN):
            return False
        return not (state is TradingState.REDUCING and self.approval is not None and self.approval.reduces)


NOT_SENT, NEVER_REACHED, REFUSED, REPLACED, ORIGINAL_ENDED = "NOT_SENT", "NEVER_REACHED", "REFUSED", "REPLACED", "ORIGINAL_ENDED"
"""How an order can end for the gateway, beside the venue's own CANCELLED, REJECTED, EXPIRED and FILLED."""

_ENDS_BY_US = frozenset({NOT_SENT, NEVER_REACHED, REFUSED, ORIGINAL_ENDED})
_UNKNOWN = frozenset({Stage.SENT, Stage.IN_DOUBT, Stage.TAKEN})


class Ended(_Fact, frozen=True):
    """The archive's row of an order that has ended: enough to know the id again, and to cancel it should it turn out alive."""

    symbol: str
    end: str
    at_ns: int
    venue_order_id: str = ""
    protective: bool = False
    correlation_id: str = ""

    @property
    def is_by_us(self) -> bool:
        """Whether the venue never said that it ended: then the venue may still show it alive."""
        return self.end in _ENDS_BY_US


def traits_of(settings: Settings) -> VenueTraits:
    """The simulated venue: it remembers every client order id for ever."""
    return VenueTraits(ids_unique_for_ever=True, late_arrival_ns=settings.venue.late_arrival_ms * NS_PER_MS)


def terms_of(instruction: SubmitOrder | ReplaceOrder) -> BrokerOrderReq:
    """Exactly what the venue will be told."""
    return BrokerOrderReq(
        client_order_id=instruction.client_order_id,
        symbol=instruction.symbol,
        side=instruction.side,
        order_type=instruction.order_type,
        time_in_force=instruction.time_in_force,
        order_qty=instruction.order_qty,
        limit_price=instruction.limit_price,
        stop_price=instruction.stop_price,
    )


def backoff_ns(step: int) -> int:
    """The `step`-th wait of a growing row: 250 ms, doubling to 30 s."""
    return min(BACKOFF_MIN_NS << min(step, 7), BACKOFF_MAX_NS)


def retry_delay_ns(failures: int) -> int:
    """How long to wait after so many failures in a row: not at all three times, then with back-off."""
    return 0 if failures <= AT_ONCE_MAX else backoff_ns(failures - AT_ONCE_MAX - 1)


def sweep_delay_ns(sweeps: int) -> int:
    """How long until the next sweep after so many: a second ten times, then doubling to 30 s."""
    return min(SWEEP_NS << min(max(0, sweeps - QUICK_SWEEPS), 5), BACKOFF_MAX_NS)
