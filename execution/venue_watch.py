"""What the gateway notices about its venue beside its orders: whether it answers, how much it lets us ask, and who else trades there.

All of it ends in one thing: whether entries are sent, which is told to risk and to people when it changes.
"""

from __future__ import annotations

from core import topics
from core.contracts import Severity, VenueCondition
from core.ids import is_foreign_order
from core.machine import CallVenue, Publish
from core.venue import BANNED, RATE_LIMITED, Lookup, NotSent, OutcomeUnknown, Refused, VenueReply
from execution.admission import NOT_RECONCILED, Admission
from execution.live_book import CallKind, LiveBook, OpenCall

__all__ = ["INTERRUPTED", "VenueWatch"]

INTERRUPTED = "INTERRUPTED"
"""Why a call has no outcome when it was our process that died."""

_SEVERE = frozenset({"VENUE_BANNED", "FOREIGN_SUITE"})


class VenueWatch:
    """Feeds admission with what is seen of the venue, and tells what admission makes of it."""

    def __init__(self, book: LiveBook, admission: Admission) -> None:
        self._book = book
        self._admission = admission
        self._topic = topics.BROKER_CONDITION.name(venue=book.venue)

    def on_outcome(self, call_id: str, call: OpenCall, reply: VenueReply) -> None:
        """What the outcome of any call says about the venue itself. Nothing, when the call never left, or we died during it."""
        if isinstance(reply, NotSent) or (isinstance(reply, OutcomeUnknown) and reply.cause == INTERRUPTED and call.kind is not CallKind.PROBE):
            return
        now_ns = self._book.now_ns
        if isinstance(reply, Refused) and reply.code in (RATE_LIMITED, BANNED):
            self._admission.on_limited(reply, now_ns)
            self._book.banned_until_ns = self._admission.throttle.banned_until_ns
        self._admission.on_outcome(call_id, now_ns - call.asked_ns, now_ns, is_answer=not isinstance(reply, OutcomeUnknown))

    def on_stranger(self, order_id: str) -> None:
        """The venue shows an order of which nothing is known here. Under our mark with another suite's epoch it says that two trade one account."""
        own_prefix = self._admission.id_prefix
        if own_prefix and is_foreign_order(order_id, own_prefix):
            self._admission.on_foreign_suite(order_id)

    def is_ours(self, order_id: str) -> bool:
        """Whether an order carries this suite's mark."""
        own_prefix = self._admission.id_prefix
        return bool(own_prefix) and order_id.startswith(own_prefix)

    def on_due(self) -> None:
        """Ask the breaker's one question when its time has come; and a pause may have ended by itself."""
        if call_id := self._admission.begin_probe(self._book.now_ns):
            self._book.call(CallKind.PROBE, "", CallVenue(call_id, Lookup(client_order_id=call_id)))
        self._admission.is_stirred = True

    def tell(self) -> None:
        """Risk and people hear when entries stop passing, and when they pass again."""
        if not self._admission.is_stirred or (news := self._admission.news(self._book.now_ns)) is None:
            return
        book = self._book
        condition = VenueCondition(account=book.account, venue=book.venue, code=news.code, reason=news.reason, occurred_ns=book.now_ns)
        book.out.append(Publish(self._topic, condition))
        if news.code == NOT_RECONCILED:
            book.log("info", "entries_wait", code=news.code, reason=news.reason)
        elif news.code:
            severity = Severity.CRITICAL if news.code in _SEVERE else Severity.WARNING
            book.alert("entries_paused", severity, f"entries to {book.venue} stop, {news.code}: {news.reason}")
        else:
            book.alert("entries_pass", Severity.INFO, f"entries to {book.venue} pass again")
