"""Whether an order or a replacement goes to the venue now, a moment later, or not at all.

    every order   it is its intent's one order (control 32), and the gateway is not being shut down
    a reduction   goes, whatever stops entries; only a ban by the venue makes it wait, for as long as its approval is good
    an entry      goes while nobody else trades the account, the limits it was approved under are in force, the venue is well (circuit breaker), orders do not pile
                  up, and there is a token for it (throttle); it waits for a token no longer than configured

What pauses all entries is told to risk, which denies them there, so that nothing is reserved for what would not be sent. Cancels
are never asked about here.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from core.ids import is_order_of, order_prefix
from core.settings import Settings
from core.venue import BANNED, Refused
from execution.circuit_breaker import BreakerState, CircuitBreaker
from execution.live_orders import SENDS_MAX, LiveOrder
from execution.throttle import Throttle, ThrottleState

__all__ = ["GO", "NOT_RECONCILED", "NO_PAUSE", "Admission", "AdmissionState", "Pause", "Verdict"]

NOT_RECONCILED = "NOT_RECONCILED"
"""Why no entry passes before the account has been compared with its venue, or while both differ too much."""

_NS_PER_MS = 1_000_000
_VERSIONS_MAX = 100
"""So many limits versions that were replaced are remembered; an approval lives for seconds."""


class Verdict(NamedTuple):
    """Go (no code, no time), wait until `at_ns` (ns UTC), or be refused with a code."""

    code: str = ""
    text: str = ""
    at_ns: int = 0


class Pause(NamedTuple):
    """Why no entry passes now ('': they pass), and when that ends by itself (None: not by time)."""

    code: str = ""
    reason: str = ""
    until_ns: int | None = None


GO, NO_PAUSE = Verdict(), Pause()


class AdmissionState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything admission knows. `told` is the pause that risk was told of last, `pressed_until_ns` when the queue counts as short again,
    `id_prefix` what our own orders begin with ('': none was seen yet), `foreign_order` an order of another suite at our account,
    `unreconciled` why the account does not count as reconciled with its venue ('': it does).
    """

    throttle: ThrottleState = ThrottleState()
    breaker: BreakerState = BreakerState()
    limits_version: str = ""
    replaced_versions: tuple[str, ...] = ()
    pressed_until_ns: int = 0
    is_draining: bool = False
    id_prefix: str = ""
    foreign_order: str = ""
    unreconciled: str = ""
    told: Pause = NO_PAUSE


class Admission:
    """The gatekeeper of one account at one venue.

    Invariants: a reduction is refused only by a shutdown, by an id that is not its intent's, or by a ban that outlasts its approval;
    an entry never waits longer than the configured delay. `is_stirred` says that the pause may have changed.
    """

    def __init__(self, settings: Settings) -> None:
        throttle = settings.throttle
        self._account = settings.account.name
        # The time of a replay stands still while a call is under way, or jumps to the next datum: it measures nothing.
        self._measures = settings.runtime.clock == "system"
        self._delay_ns = throttle.delay_ms_max * _NS_PER_MS
        self._queue_age_ns = throttle.queue_age_ms_max * _NS_PER_MS
        self.throttle = Throttle(throttle)
        self.breaker = CircuitBreaker(settings.breaker)
        self.is_draining = False
        self.is_stirred = False
        self.told = NO_PAUSE
        self._limits_version = ""
        self._replaced_versions: tuple[str, ...] = ()
        self._pressed_until_ns = 0
        self.id_prefix = ""
        self._foreign_order = ""
        self._unreconciled = ""

    @property
    def state(self) -> AdmissionState:
        """The whole state."""
        return AdmissionState(
            throttle=self.throttle.state,
            breaker=self.breaker.state,
            limits_version=self._limits_version,
            replaced_versions=self._replaced_versions,
            pressed_until_ns=self._pressed_until_ns,
            is_draining=self.is_draining,
            id_prefix=self.id_prefix,
            foreign_order=self._foreign_order,
            unreconciled=self._unreconciled,
            told=self.told,
        )

    def restore(self, state: AdmissionState) -> None:
        """Become the admission that had this state."""
        self.throttle.restore(state.throttle)
        self.breaker.state = state.breaker
        self._limits_version, self._replaced_versions = state.limits_version, state.replaced_versions
        self._pressed_until_ns = state.pressed_until_ns
        self.is_draining = state.is_draining
        self.id_prefix, self._foreign_order, self._unreconciled = state.id_prefix, state.foreign_order, state.unreconciled
        self.told = state.told

    @property
    def due_ns(self) -> int | None:
        """When the breaker's probe is due, or, while it is closed, the end of the pause that was told."""
        return self.told.until_ns if self.breaker.due_ns is None else self.breaker.due_ns

    # Orders.

    def judge(self, order: LiveOrder, intent_id: str, strategy_id: str, ordered_ns: int, now_ns: int) -> Verdict:
        """What becomes of an order that the OMS ordered at `ordered_ns`."""
        if self.is_draining:
            return Verdict("DRAINING", "the broker is being stopped")
        # A replacement's id is made from the intent of the order it replaces; the hash of its content binds it all the same.
        if not order.orig_client_order_id and not is_order_of(order.client_order_id, strategy_id, intent_id):
            return Verdict("INTENT_MISMATCH", f"order {order.client_order_id} is not the one order of intent {intent_id}")
        if not self.id_prefix:
            self.id_prefix = order_prefix(order.client_order_id)
        if _reduces(order):
            return self._judge_exit(order, now_ns)
        if now_ns - ordered_ns > self._queue_age_ns:
            self._pressed_until_ns = now_ns + self._queue_age_ns
            self.is_stirred = True
        return self._objection(order, now_ns) or self._slot(now_ns)

    def judge_again(self, order: LiveOrder, now_ns: int) -> Verdict:
        """What becomes of an order whose turn has come."""
        if self.is_draining:
            return Verdict("DRAINING", "the broker is being stopped")
        if _reduces(order):
            return self._judge_exit(order, now_ns)
        if now_ns - order.queued_ns > self._delay_ns:
            return Verdict("ORDER_RATE_MAX", f"waited_ms={(now_ns - order.queued_ns) // _NS_PER_MS}, limit={self._delay_ns // _NS_PER_MS}")
        return self._objection(order, now_ns) or GO

    def judge_limited(self, order: LiveOrder, refused: Refused, now_ns: int) -> Verdict:
        """What becomes of an order that the venue would not take because of how much it is asked: the same may be sent again later."""
        until_ns = self.throttle.limited_until_ns
        is_patient = until_ns <= (order.approval.expires_ns if order.approval is not None else 0) if _reduces(order) else until_ns - now_ns <= self._delay_ns
        if not is_patient or order.sends >= SENDS_MAX:
            return Verdict(refused.code, refused.text)
        if not _reduces(order):
            self.throttle.charge(until_ns)
        return Verdict(at_ns=until_ns)

    def objection_to_resend(self, order: LiveOrder, now_ns: int) -> str:
        """Why an order that never got there is not sent again, or ''; sent again it takes its token like a new one."""
        if self.is_draining:
            return "DRAINING"
        if not _reduces(order) and (objection := self._objection(order, now_ns)) is not None:
            return objection.code
        self.throttle.charge(now_ns)
        return ""

    def _judge_exit(self, order: LiveOrder, now_ns: int) -> Verdict:
        """A reduction takes its token and goes. During a ban it would only make the ban longer."""
        banned_until_ns = self.throttle.banned_until_ns
        if banned_until_ns <= now_ns:
            self.throttle.charge(now_ns)
            return GO
        if order.approval is not None and banned_until_ns <= order.approval.expires_ns:
            return Verdict(at_ns=banned_until_ns)
        return Verdict("VENUE_BANNED", f"until_ns={banned_until_ns}")

    def _objection(self, order: LiveOrder, now_ns: int) -> Verdict | None:
        if order.approval is not None and order.approval.limits_version in self._replaced_versions:
            return Verdict("LIMITS_REPLACED", f"approved={order.approval.limits_version}, in_force={self._limits_version}")
        pause = self.pause(now_ns)
        return Verdict(pause.code, pause.reason) if pause.code else None

    def _slot(self, now_ns: int) -> Verdict:
        at_ns = self.throttle.slot_ns(now_ns)
        if at_ns - now_ns > self._delay_ns:
            return Verdict("ORDER_RATE_MAX", f"wait_ms={(at_ns - now_ns) // _NS_PER_MS}, limit={self._delay_ns // _NS_PER_MS}")
        self.throttle.charge(at_ns)
        return GO if at_ns == now_ns else Verdict(at_ns=at_ns)

    # What changes the rules.

    def begin_run(self) -> None:
        """A run begins: the last one's shutdown is over, and whoever started this one knows who else was at the account."""
        self.is_draining, self._foreign_order, self.is_stirred = False, "", True

    def on_foreign_suite(self, order_id: str) -> None:
        """Another suite trades this account: what the account holds is not what this one thinks it does."""
        self._foreign_order, self.is_stirred = order_id, True

    def on_reconciled(self, reason: str) -> None:
        """Why the account does not count as reconciled, or '' when it does."""
        self.is_stirred = self.is_stirred or reason != self._unreconciled
        self._unreconciled = reason

    def on_limits(self, version: str) -> None:
        """Other limits are in force: what was approved under those before is not sent any more."""
        if version == self._limits_version:
            return
        if self._limits_version:
            self._replaced_versions = (*(v for v in self._replaced_versions if v != version), self._limits_version)[-_VERSIONS_MAX:]
        self._limits_version = version

    def on_limited(self, refused: Refused, now_ns: int) -> None:
        """The venue wants to be asked less, whatever was asked."""
        self.is_stirred = True
        wait_ns = refused.retry_after_ms * _NS_PER_MS
        if refused.code == BANNED:
            self.throttle.on_banned(now_ns, wait_ns)
        else:
            self.throttle.on_limited(now_ns, wait_ns)

    def on_outcome(self, call_id: str, took_ns: int, now_ns: int, *, is_answer: bool) -> str:
        """A call has its outcome; why the breaker opened because of it, or ''."""
        was_open = self.breaker.is_open
        opened = self.breaker.on_outcome(call_id, took_ns if self._measures else 0, now_ns, is_answer=is_answer)
        if opened or was_open:
            self.is_stirred = True
        return opened

    def begin_probe(self, now_ns: int) -> str:
        """The id of the question to ask now, or ''."""
        due_ns = self.breaker.due_ns
        return "" if due_ns is None or due_ns > now_ns else self.breaker.begin_probe(self._account)

    # What pauses all entries.

    def pause(self, now_ns: int) -> Pause:
        """Why no entry passes at this moment."""
        if self._foreign_order:
            return Pause("FOREIGN_SUITE", f"order {self._foreign_order} is another suite's; end that one, then start this broker again")
        if self._unreconciled:
            return Pause(NOT_RECONCILED, self._unreconciled)
        if self.breaker.is_open:
            return Pause("VENUE_CIRCUIT_OPEN", "the venue answers too slowly or not at all")
        throttle = self.throttle
        if throttle.banned_until_ns > now_ns:
            return Pause("VENUE_BANNED", "the venue has banned this account for asking too much", throttle.banned_until_ns)
        if throttle.limited_until_ns - now_ns > self._delay_ns:
            return Pause("VENUE_RATE_LIMITED", "the venue wants to be asked less", throttle.limited_until_ns)
        if self._pressed_until_ns > now_ns:
            return Pause("BACK_PRESSURE", f"an order was more than {self._queue_age_ns // _NS_PER_MS} ms on its way to the venue", self._pressed_until_ns)
        return NO_PAUSE

    def news(self, now_ns: int) -> Pause | None:
        """The pause that risk has to be told of now, None when what it was told still holds."""
        self.is_stirred = False
        told, pause = self.told, self.pause(now_ns)
        self.told = pause
        return pause if pause.code != told.code else None


def _reduces(order: LiveOrder) -> bool:
    return order.approval is not None and order.approval.reduces
