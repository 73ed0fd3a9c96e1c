"""The simulated daemons: a process with what the shell around each node adds (kill file, seals, the two ends of the venue wire)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backtest.faults.host import ProcessFaults, SimulatedHost
from backtest.faults.schedule import MS, Schedule
from backtest.faults.venue_wire import VenueWire
from backtest.faults.wire import SimulatedServer
from core.contracts import Approval, KillSwitchState, KillSwitchStatus
from core.gate import Gate, GateFacts
from core.machine import CallVenue, Command, ConfigLoaded, Machine, Observed, VenueLinkState
from core.node import AcknowledgePush, Action, Call, Node, NodeSpec, Reply, SendPush
from core.seal import is_sealed, sealed
from core.venue import OutcomeUnknown, Place, Replace, VenueEvent, VenueReply, VenueRequest
from execution.arming import SELF_ARMED

__all__ = ["CLEAR", "KillFile", "SentOrder", "SimulatedBroker", "SimulatedDaemon", "SimulatedVenueDaemon"]

CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)
_POLL = 100 * MS
_KEY = b"the simulated suite's own approval key"


class KillFile:
    """The kill file of the simulated host: what it says, since when, and who has to look."""

    def __init__(self, schedule: Schedule) -> None:
        self.state = CLEAR
        self.history: list[tuple[int, KillSwitchState]] = [(0, CLEAR)]
        self._schedule = schedule
        self._watchers: list[Callable[[], None]] = []

    def watch(self, look: Callable[[], None]) -> None:
        """Somebody polls the file."""
        self._watchers.append(look)

    def write(self, state: KillSwitchState) -> None:
        """The file says something else from now on; everyone sees it at the next poll."""
        self.state = state
        self.history.append((self._schedule.now_ns(), state))
        self._schedule.trace(f"kill file {state.status} {state.trading_state}")
        polls = self._schedule.chance("kill file poll")
        for look in self._watchers:
            self._schedule.after(polls.randint(0, _POLL), look)


class SentOrder:
    """An order as it left for the venue: when, what, with which approval, and what the kill file said at that moment."""

    __slots__ = ("approval", "call_id", "is_attempt_committed", "is_attempt_published", "kill", "request", "sent_ns")

    def __init__(self, sent_ns: int, call: CallVenue, request: Place | Replace, kill: KillSwitchState) -> None:
        self.sent_ns = sent_ns
        self.call_id = call.call_id
        self.request = request
        self.approval = call.approval
        self.kill = kill
        self.is_attempt_committed = False
        self.is_attempt_published = False


class SimulatedDaemon(SimulatedHost):
    """A daemon of the suite: told its configuration and the kill file when a run begins, and every change of the kill file."""

    def __init__(
        self,
        spec: NodeSpec,
        build: Callable[[], Machine[Any]],
        snapshot_type: type,
        schedule: Schedule,
        server: SimulatedServer,
        faults: ProcessFaults,
        config: ConfigLoaded,
        kill_file: KillFile,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(spec, build, snapshot_type, schedule, server, faults=faults, gate=gate, restarts_halted=False)
        self._config = config
        self._kill_file = kill_file
        kill_file.watch(self._look_at_kill_file)

    def command(self, command: Command) -> None:
        """An operator asks."""
        if self.node is not None:
            node = self.node
            self._enter(self._life, lambda: self._hand(lambda: node.on_command(command, self._schedule.now_ns())))

    def gate_facts(self, approval: Approval | None) -> GateFacts:
        """Looked up afresh, as the shell does."""
        return GateFacts(self._kill_file.state, approval is not None and is_sealed(_KEY, approval), SELF_ARMED)

    def seal(self, approval: Approval) -> Approval:
        """Risk's seal."""
        return sealed(_KEY, approval)

    def _begin(self, node: Node) -> None:
        node.on_config(self._config)
        node.on_observed(Observed(self._kill_file.state), self._schedule.now_ns())

    def _look_at_kill_file(self) -> None:
        node = self.node
        if node is not None:
            self._enter(self._life, lambda: self._hand(lambda: node.on_observed(Observed(self._kill_file.state), self._schedule.now_ns())))

    def _hand(self, give: Callable[[], None]) -> None:
        give()
        self._pump()


class SimulatedBroker(SimulatedDaemon):
    """The broker, with its end of the venue wire. `sent` is every order that left, for the invariants."""

    def __init__(self, *args: Any, wire: VenueWire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent: list[SentOrder] = []
        self._wire = wire
        self._is_venue_started = False

    def on_venue_up(self) -> None:
        """Connected."""
        self._tell(lambda node: node.on_observed(Observed(VenueLinkState(True)), self._schedule.now_ns()))

    def on_venue_down(self, reason: str) -> None:
        """Not connected any more."""
        self._tell(lambda node: node.on_observed(Observed(VenueLinkState(False, reason)), self._schedule.now_ns()))

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        """A call has its outcome."""
        self._schedule.trace(f"broker hears {call_id}: {type(reply).__name__}")
        self._tell(lambda node: node.on_call_reply(call_id, reply, self._schedule.now_ns()))

    def on_venue_event(self, event: VenueEvent) -> None:
        """The venue pushed something."""
        self._tell(lambda node: node.on_push(event, self._schedule.now_ns()))

    def _tell(self, tell: Callable[[Node], None]) -> None:
        node = self.node
        if node is not None:
            self._enter(self._life, lambda: self._hand(lambda: tell(node)))

    def _begin(self, node: Node) -> None:
        super()._begin(node)
        self._is_venue_started = False

    def _published(self, node: Node) -> None:
        """Only now: until then an event taken from the venue could look reported and not be (apps/runtime/shell.py)."""
        if not self._is_venue_started:
            self._is_venue_started = True
            self._wire.broker_starts(self)

    def _ended(self) -> None:
        self._wire.broker_ended(self)

    def _act(self, action: Action) -> None:
        match action:
            case Call(call):
                if isinstance(call.request, Place | Replace):
                    self.sent.append(self._sent_order(call, call.request))
                if self._is_venue_started and self._wire.belongs_to(self):
                    self._wire.call(call)
                else:
                    self.on_venue_reply(call.call_id, OutcomeUnknown(cause="NOT_CONNECTED", text="no connection"))
            case AcknowledgePush(cursor):
                if self._wire.belongs_to(self):
                    self._wire.acknowledge(cursor)
            case _:
                super()._act(action)

    def _sent_order(self, call: CallVenue, request: Place | Replace) -> SentOrder:
        sent = SentOrder(self._schedule.now_ns(), call, request, self._kill_file.state)
        row = self.journal.calls.get(call.call_id)
        if row is not None:
            sent.is_attempt_committed = True
            fence = max((said.seq for said in reversed(self.journal.rows.get(call.after_topic, [])) if said.n <= row.n), default=0)
            sent.is_attempt_published = self.stored.get(call.after_topic, 0) >= fence > 0
        return sent


class SimulatedVenueDaemon(SimulatedDaemon):
    """The venue, with its end of the wire."""

    def __init__(self, *args: Any, wire: VenueWire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = wire

    def on_request(self, command_id: str, request: VenueRequest) -> None:
        """The broker asks."""
        node = self.node
        if node is not None:
            self._enter(self._life, lambda: self._hand(lambda: node.on_command(Command(command_id, "broker", request), self._schedule.now_ns())))

    def on_push_acknowledged(self, cursor: int) -> None:
        """The broker has taken every event up to here."""
        node = self.node
        if node is not None:
            self._enter(self._life, lambda: self._perform(node.on_push_acknowledged(cursor)))

    def _begin(self, node: Node) -> None:
        super()._begin(node)
        self._wire.venue_starts(self)

    def _ended(self) -> None:
        self._wire.venue_ended()

    def _act(self, action: Action) -> None:
        match action:
            case Reply(answer):
                self._wire.answer(answer)
            case SendPush(event):
                self._wire.push(event)
            case _:
                super()._act(action)
