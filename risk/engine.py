"""Whether an intent may become an order.

Theory of operation. Every intent gets exactly one decision. For an order, or other terms for one, everything that can be said
about it is gathered in a case (risk/case.py), every control of the registry (risk/limits) looks at the case, and what they all
pass is approved: bound to its exact content, the limits in force and a deadline, and reserved at its worst before the next intent
is looked at. Cancels always pass. From the ledger's one stream of events come positions and what orders may still execute
(risk/exposure.py); operators and the kill file turn the switches (risk/switches.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core import ids, topics
from core.contracts import (
    Alert,
    Approval,
    CancelIntent,
    ClearKillSwitch,
    Denial,
    Evidence,
    Intent,
    KillSwitchState,
    LedgerAdjusted,
    LimitsChanged,
    OrderIntent,
    OrderStateChanged,
    ReplaceIntent,
    RiskDecision,
    RiskEvent,
    SetTradingState,
    Severity,
    TripKillSwitch,
    Verdict,
)
from core.machine import (
    NO_NEEDS,
    Answer,
    Archive,
    Attached,
    BacklogState,
    Command,
    ConfigLoaded,
    Effect,
    Input,
    LinkStopped,
    Message,
    Needs,
    Observed,
    Publish,
)
from core.settings import Settings
from risk.case import (
    NS_PER_MS,
    Case,
    Rules,
    Situation,
    Wish,
    order_case,
    read_mark,
    wish_of_order,
    wish_of_replace,
)
from risk.decision import approval_of, evidence_of, evidence_without_order
from risk.denials import DenialCode
from risk.exposure import Exposure, ExposureState, Reservation, SymbolExposure, reservation_of
from risk.health import Health, HealthState, Symptom
from risk.limits.registry import REGISTRY, Judges, Registry, require_enforced
from risk.limits.version import limits_version, told_limits
from risk.memory import (
    ARCHIVE_KIND,
    DecidedIntent,
    Memory,
    MemoryState,
    OrderTerms,
    hash_of,
)
from risk.switches import Switches, SwitchState, Turn

__all__ = ["RiskEngine", "RiskState", "build_risk_engine", "rules_of"]

_DAEMON = topics.Daemon.RISK_ENGINE.value
_DECISIONS = topics.RISK_DECISION.name()
_TELEMETRY, _ALERTS, _LIMITS = topics.TELEMETRY_RISK.name(), topics.ALERTS_FIRED.name(), topics.CONTROL_LIMITS.name()
_encode = msgspec.json.Encoder().encode


class RiskState(msgspec.Struct, frozen=True):
    """The whole state of a RiskEngine. `excesses` are symbols beyond their limit, `limits_version` is the last one published."""

    exposure: ExposureState = ExposureState()
    memory: MemoryState = MemoryState()
    switches: SwitchState = SwitchState()
    health: HealthState = HealthState()
    excesses: tuple[str, ...] = ()
    limits_version: str = ""


class RiskEngine:
    """Machine. Reads strat.intent, orders.events, marks, commands, kill file · Writes risk.decision, control.limits, telemetry.risk, alerts.fired · Decides what may be sent.

    Invariants: one decision per intent message, and one that is not a repeat per intent id, for ever; the worst case of every
    symbol is within its limits at each approval of an entry; nothing is reserved that was not approved or shown by the ledger.
    """

    def __init__(self, settings: Settings, rules: Rules, registry: Registry = REGISTRY) -> None:
        self._settings = settings
        self._rules = rules
        self._judges = Judges(registry)
        self._instruments = {symbol: settings.instrument(symbol) for symbol in settings.symbols}
        self._exposure = Exposure()
        self._memory = Memory(batch_max=settings.journal.batch_max, duplicate_window_ns=settings.limits.duplicate_window_ms * NS_PER_MS)
        self._switches = Switches()
        self._health = Health()
        self._excesses: tuple[str, ...] = ()
        self._told_version = ""
        self._situation = self._look()

    @property
    def next_wake_ns(self) -> int | None:
        """Never: nothing here depends on time alone."""
        return None

    def needs(self, event: Input) -> Needs:
        """The mark of the intent's symbol, and the earlier answers to its id and, for a replace whose order is gone, to its target's."""
        match event:
            case Message(body=OrderIntent(intent_id=intent_id, symbol=symbol)):
                return Needs((symbol,), ((ARCHIVE_KIND, intent_id),))
            case Message(body=CancelIntent(intent_id=intent_id)):
                return Needs((), ((ARCHIVE_KIND, intent_id),))
            case Message(body=ReplaceIntent(intent_id=intent_id, target_intent_id=target)):
                known = self._exposure.reservations.get(target)
                if known is None:
                    return Needs((), ((ARCHIVE_KIND, intent_id), (ARCHIVE_KIND, target)))
                return Needs((known.symbol,), ((ARCHIVE_KIND, intent_id),))
            case _:
                return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input."""
        if not _is_told_before_run(event):
            self._health.on_other_input()
        match event:
            case Message():
                return self._on_message(event, attached, now_ns)
            case Observed():
                return self._on_observed(event, now_ns)
            case Command():
                return self._on_command(event, now_ns)
            case ConfigLoaded():
                return self._on_config(event, now_ns)
            case _:
                return ()

    def snapshot(self) -> RiskState:
        """The whole state."""
        return RiskState(
            self._exposure.snapshot(),
            self._memory.snapshot(),
            self._switches.state,
            self._health.state,
            self._excesses,
            self._told_version,
        )

    def restore(self, snapshot: RiskState) -> None:
        """Become the engine that gave this snapshot."""
        self._exposure.restore(snapshot.exposure)
        self._memory.restore(snapshot.memory)
        self._switches.restore(snapshot.switches)
        self._health.restore(snapshot.health)
        self._excesses = snapshot.excesses
        self._told_version = snapshot.limits_version
        self._situation = self._look()

    # Intents.

    def _on_message(self, event: Message, attached: Attached, now_ns: int) -> Sequence[Effect]:
        match event.body:
            case OrderIntent() as intent:
                wish = wish_of_order(intent, ids.client_order_id(self._rules.id_prefix, intent.strategy_id, intent.intent_id))
                return self._judge_order(event, intent, wish, None, attached, now_ns)
            case CancelIntent() as intent:
                return self._pass_cancel(event, intent, attached, now_ns)
            case ReplaceIntent() as intent:
                return self._on_replace_intent(event, intent, attached, now_ns)
            case OrderStateChanged() as changed:
                self._exposure.on_order(changed)
                return self._watch_excess(changed.symbol, changed.cause, now_ns)
            case LedgerAdjusted(position=position, reason=reason) if position is not None:
                self._exposure.on_position(position)
                return self._watch_excess(position.symbol, reason, now_ns)
            case _:
                return ()

    def _on_replace_intent(self, event: Message, intent: ReplaceIntent, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Other terms for an order are judged as the order they would make; without an order to change only the wish is judged."""
        target = self._exposure.reservations.get(intent.target_intent_id)
        wish = None
        if target is not None and target.strategy_id == intent.strategy_id and not target.has_ended:
            order_id = ids.client_order_id(self._rules.id_prefix, intent.strategy_id, intent.target_intent_id, target.revision + 1)
            wish = wish_of_replace(intent, target, order_id, self._rules)
        if wish is not None:
            return self._judge_order(event, intent, wish, target, attached, now_ns)
        case = Case(
            intent=intent,
            now_ns=now_ns,
            rules=self._rules,
            limits=self._rules.limits,
            situation=self._situation,
            content_hash=hash_of(intent),
            decided=self._memory.recall(intent.intent_id, attached.archived),
            target=target,
            target_decided=self._memory.recall(intent.target_intent_id, attached.archived),
        )
        evidence = evidence_without_order(intent, self._situation, self._exposure_of(target), now_ns)
        return self._answer(event, intent, case.content_hash, case.decided, evidence, self._judges.judge_wish(case), None, now_ns)

    def _judge_order(self, event: Message, intent: OrderIntent | ReplaceIntent, wish: Wish, target: Reservation | None, attached: Attached, now_ns: int) -> Sequence[Effect]:
        symbol = wish.order.symbol
        terms = _terms(intent) if isinstance(intent, OrderIntent) else None
        case = order_case(
            intent,
            wish,
            now_ns=now_ns,
            rules=self._rules,
            situation=self._situation,
            content_hash=hash_of(intent),
            decided=self._memory.recall(intent.intent_id, attached.archived),
            target=target,
            instrument=self._instruments[symbol] if symbol in self._instruments else self._settings.instrument(symbol),
            quote=read_mark(next((mark for mark in attached.marks if mark.symbol == symbol), None), now_ns),
            exposure=self._exposure.of(symbol),
            open_positions=self._exposure.open_positions_with(symbol),
            last_allowed_ns=None if terms is None else self._memory.last_allowed_ns(terms),
        )
        denials = self._judges.judge_order(case)
        evidence = evidence_of(case)
        approval = None if denials else approval_of(case, _decision_id(event, intent, case.decided))
        if approval is not None:
            self._reserve(intent, wish)
            if terms is not None:
                self._memory.remember_order(terms, now_ns)
        return self._answer(event, intent, case.content_hash, case.decided, evidence, denials, approval, now_ns)

    def _pass_cancel(self, event: Message, intent: CancelIntent, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Cancels pass in every state, however often they are asked for: holding one back can only do harm."""
        decided = self._memory.recall(intent.intent_id, attached.archived)
        exposure = self._exposure_of(self._exposure.reservations.get(intent.target_intent_id))
        return self._answer(event, intent, hash_of(intent), decided, evidence_without_order(intent, self._situation, exposure, now_ns), [], None, now_ns)

    def _exposure_of(self, reservation: Reservation | None) -> SymbolExposure | None:
        return None if reservation is None else self._exposure.of(reservation.symbol)

    def _reserve(self, intent: OrderIntent | ReplaceIntent, wish: Wish) -> None:
        if isinstance(intent, ReplaceIntent):
            self._exposure.reserve_replace(intent.target_intent_id, wish.order.order_qty)
        else:
            self._exposure.reserve(intent.intent_id, reservation_of(intent))

    def _answer(
        self,
        event: Message,
        intent: Intent,
        content_hash: str,
        decided: DecidedIntent | None,
        evidence: Evidence,
        denials: list[Denial],
        approval: Approval | None,
        now_ns: int,
    ) -> list[Effect]:
        """The decision; the archive's memory of it, and for an id that means two things an alert."""
        verdict = Verdict.DENIED if denials else Verdict.ALLOWED
        decision = RiskDecision(
            decision_id=_decision_id(event, intent, decided),
            verdict=verdict,
            intent=intent,
            limits_version=self._rules.limits_version,
            evidence=evidence,
            decided_ns=now_ns,
            denials=tuple(denials),
            approval=approval,
        )
        effects: list[Effect] = [Publish(_DECISIONS, decision, intent.intent_id)]
        if decided is None:
            remembered = DecidedIntent(content_hash, verdict)
            self._memory.remember(intent.intent_id, remembered)
            effects.append(Archive(ARCHIVE_KIND, intent.intent_id, _encode(remembered)))
        elif decided.content_hash != content_hash:
            text = f"{intent.strategy_id}: intent id {intent.intent_id} was used before, for another wish"
            effects.append(_alert(DenialCode.INTENT_ID_REUSED.value, text, now_ns))
        return effects

    # What the venue's facts made of the account.

    def _watch_excess(self, symbol: str, cause: str, now_ns: int) -> Sequence[Effect]:
        """Tell when a fact took a symbol's worst case beyond its limit, and when it is back. Entries are denied by the limit itself."""
        worst, allowed = self._exposure.of(symbol).worst_qty, self._rules.limits.position_qty_max
        if (worst > allowed) == (symbol in self._excesses):
            return ()
        if worst > allowed:
            self._excesses = (*self._excesses, symbol)
            text = f"{symbol}: the position could reach {worst}, allowed are {allowed}; entries are denied (cause {cause})"
            return self._tell("POSITION_EXCESS", text, now_ns, symbol=symbol, alert=text)
        self._excesses = tuple(s for s in self._excesses if s != symbol)
        return self._tell("POSITION_EXCESS_ENDED", f"{symbol}: the position can reach {worst}, allowed are {allowed}", now_ns, symbol=symbol)

    # Switches, links and configuration.

    def _on_observed(self, event: Observed, now_ns: int) -> Sequence[Effect]:
        told: Turn | Symptom | None
        match event.fact:
            case KillSwitchState() as seen:
                told = self._switches.on_kill_file(seen)
            case LinkStopped(topic=topic, producer=producer, reason=reason):
                told = self._health.on_link_stopped(f"{topic} of {producer}", reason)
            case BacklogState(topic=topic, behind=behind, is_over=True):
                told = self._health.on_backlog(topic, behind)
            case BacklogState(topic=topic, behind=behind):
                told = self._health.on_caught_up(topic, behind)
            case _:
                return ()
        self._situation = self._look()
        match told:
            case Turn():
                return self._tell_turn(told, now_ns)
            case Symptom():
                return self._tell(told.event, told.text, now_ns, alert=told.text if told.is_alarm else "")
            case _:
                return ()

    def _on_command(self, command: Command, now_ns: int) -> Sequence[Effect]:
        match command.body:
            case SetTradingState() as body:
                turn = self._switches.set_trading_state(body, command.actor)
            case TripKillSwitch() as body:
                turn = self._switches.trip(body, command.actor)
            case ClearKillSwitch() as body:
                turn = self._switches.clear(body, command.actor)
            case other:
                turn = Turn(f"refused: {type(other).__name__} is not a command for {_DAEMON}")
        self._situation = self._look()
        return [*self._tell_turn(turn, now_ns), Answer(command.command_id, turn.answer)]

    def _on_config(self, event: ConfigLoaded, now_ns: int) -> Sequence[Effect]:
        """A run begins: what the last one saw of files, links and backlogs no longer counts, what a person set does."""
        self._switches.begin_run()
        self._health.begin_run()
        self._situation = self._look()
        version = self._rules.limits_version
        if version == self._told_version:
            return ()
        self._told_version = version
        reason = f"configuration {event.config_hash}"
        return [Publish(_LIMITS, LimitsChanged(limits_version=version, actor="config", reason=reason, changed_ns=now_ns, limits=told_limits(self._settings)))]

    def _look(self) -> Situation:
        switches = self._switches
        return Situation(
            trading_state=switches.state.trading_state,
            trading_reason=switches.state.trading_reason,
            kill_state=switches.kill_state,
            kill_reason=switches.kill_reason,
            is_kill_readable=switches.is_kill_readable,
            effective_state=switches.effective,
            stopped_links=tuple(self._health.state.stopped_links),
            backlogs=self._health.state.backlogs,
        )

    def _tell_turn(self, turn: Turn, now_ns: int) -> list[Effect]:
        """The event of a door that was turned, and an alert when the kill switch was tripped."""
        if not turn.event:
            return []
        text = f"{turn.answer}: {turn.reason or 'no reason given'} (by {turn.actor or 'unknown'})"
        return self._tell(turn.event, turn.reason, now_ns, actor=turn.actor, alert=text if turn.is_trip else "")

    def _tell(self, name: str, reason: str, now_ns: int, *, actor: str = "", symbol: str = "", alert: str = "") -> list[Effect]:
        told = RiskEvent(event=name, reason=reason, occurred_ns=now_ns, trading_state=self._situation.effective_state, actor=actor, symbol=symbol)
        effects: list[Effect] = [Publish(_TELEMETRY, told)]
        if alert:
            effects.append(_alert(name, alert, now_ns))
        return effects


def build_risk_engine(settings: Settings, *, id_prefix: str) -> RiskEngine:
    """The engine of a suite. ConfigError when a limit is configured that no control enforces, ValueError for a prefix too long for an order id."""
    require_enforced(REGISTRY)
    ids.client_order_id(id_prefix, "", "")
    return RiskEngine(settings, rules_of(settings, id_prefix))


def rules_of(settings: Settings, id_prefix: str) -> Rules:
    """What a suite's configuration says to its controls."""
    return Rules(
        limits=settings.limits,
        limits_version=limits_version(settings),
        account=settings.account.name,
        venue=settings.account.venue,
        strategies=frozenset(name for name, strategy in settings.strategies.items() if strategy.enabled),
        id_prefix=id_prefix,
    )


def _is_told_before_run(event: Input) -> bool:
    """Whether an input may stand between a stopped link's and the configuration of the run it belongs to."""
    return isinstance(event, ConfigLoaded) or (isinstance(event, Observed) and isinstance(event.fact, LinkStopped))


def _terms(intent: OrderIntent) -> OrderTerms:
    return (intent.strategy_id, intent.symbol, intent.side, intent.order_qty, intent.limit_price, intent.stop_price)


def _decision_id(event: Message, intent: Intent, decided: DecidedIntent | None) -> str:
    """Named after the intent; the answer to a repeat also after the message that repeated it."""
    return f"{intent.intent_id}:d" if decided is None else f"{intent.intent_id}:d{event.seq}"


def _alert(name: str, text: str, now_ns: int) -> Publish:
    return Publish(_ALERTS, Alert(name=name, severity=Severity.CRITICAL, text=text, daemon=_DAEMON, occurred_ns=now_ns))
