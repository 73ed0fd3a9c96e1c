"""The simulated suite: the six daemons with their real machines, on one server, one venue wire and one kill file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from backtest.faults.daemon import KillFile, SimulatedBroker, SimulatedDaemon, SimulatedVenueDaemon
from backtest.faults.host import ProcessFaults
from backtest.faults.schedule import MS, Schedule
from backtest.faults.venue_wire import VenueWire, VenueWireFaults
from backtest.faults.wire import SimulatedServer, WireFaults
from backtest.faults.workload import SCRIPTED, Market, MarketState, load_scripted
from core.contracts import KillSwitchStatus
from core.ids import account_prefix
from core.machine import ConfigLoaded, Machine
from core.ports import StreamId
from core.settings import Settings
from core.topics import Daemon
from core.topology import durable_streams, node_spec
from execution.broker_gateway import BrokerGateway, GatewayState, build_gateway
from execution.gate import build_gate
from execution.oms import Oms, OmsState, build_oms
from execution.venues.faults.lying_venue import LyingVenueState
from execution.venues.faults.registry import build_served_venue
from execution.venues.simulated import SimulatedVenue
from risk.engine import RiskState, build_risk_engine
from strategies.host import HostState, StrategyHost, build_host

__all__ = ["ACCOUNT_EPOCH", "INTERVAL", "SimulatedSuite", "Workload", "simulated_settings"]

ACCOUNT_EPOCH = "simulated"
INTERVAL = 150 * MS
"""Between two bars."""

SYMBOLS = ("ALFA", "BRVO")


class Workload(msgspec.Struct, frozen=True):
    """How much goes on: bars per symbol, the chance of a wish per bar, and until which bar there are wishes."""

    bars: int = 8
    wishing_bars: int = 7
    activity: float = 0.6


def simulated_settings(shipped: Settings, seed: int, workload: Workload, lies: Mapping[str, float], *, late_arrival_ms: int = 0, **journal: int) -> Settings:
    """The shipped settings with a scripted strategy per symbol, the virtual clock, and a venue that fills in parts and `lies` at these rates.

    A request counts as never arriving when it has not been found for `late_arrival_ms`; a venue that lies needs two seconds.
    """
    told = shipped.model_dump()
    strategies = {
        f"s{k}": {"kind": SCRIPTED, "symbols": [symbol], "params": {"seed": seed * 16 + k, "bars": workload.wishing_bars, "activity": workload.activity}}
        for k, symbol in enumerate(SYMBOLS)
    }
    told |= {"environment": "test", "strategies": strategies}
    told["feed"] |= {"symbols": SYMBOLS, "timeframe": "1m"}
    told["runtime"] |= {"clock": "system"}
    told["journal"] |= journal
    told["venue"] |= {"seed": seed, "partial_fill_probability": 0.3, "participation_max": 0.5, "late_arrival_ms": 2_000 if lies else late_arrival_ms}
    if lies:
        # A venue whose requests can be under way for a while, and whose spans fit into a run of seconds.
        told["faults"] |= {"rates": dict(lies), "seed": seed, "silence_ms": 2_000, "stall_ms": 1_000, "ban_ms": 2_500, "late_ms": 300}
    return Settings.model_validate(told)


class SimulatedSuite:
    """Six processes and what lies between them."""

    def __init__(self, schedule: Schedule, settings: Settings, workload: Workload, wire: WireFaults, venue: VenueWireFaults, processes: ProcessFaults) -> None:
        self.schedule = schedule
        self.settings = settings
        self.server = SimulatedServer(schedule, wire)
        self.kill_file = KillFile(schedule)
        self.wire = VenueWire(schedule, venue, settings.venue.call_timeout_ms)
        self.began_ns = schedule.now_ns()
        self._workload = workload
        self._prefix = account_prefix(settings.environment, settings.account.name, ACCOUNT_EPOCH)
        self._config = ConfigLoaded("simulated", "")
        self._processes = processes
        self.streams = durable_streams(settings)
        self.zombies: list[SimulatedDaemon] = []
        self.venue = self._make(Daemon.PAPER_VENUE, LyingVenueState, SimulatedVenueDaemon, wire=self.wire)
        self.broker: SimulatedBroker = self._make(Daemon.BROKER, GatewayState, SimulatedBroker, wire=self.wire, gate=build_gate(settings))
        self.hosts: dict[Daemon, SimulatedDaemon] = {
            Daemon.PAPER_VENUE: self.venue,
            Daemon.BROKER: self.broker,
            Daemon.OMS: self._make(Daemon.OMS, OmsState, SimulatedDaemon),
            Daemon.RISK_ENGINE: self._make(Daemon.RISK_ENGINE, RiskState, SimulatedDaemon),
            Daemon.STRATEGY_RUNNER: self._make(Daemon.STRATEGY_RUNNER, HostState, SimulatedDaemon),
            Daemon.MD_INGEST: self._make(Daemon.MD_INGEST, MarketState, SimulatedDaemon),
        }

    def start(self) -> None:
        """Every daemon, in the order of a supervisor."""
        for host in self.hosts.values():
            host.start()

    def fork(self, daemon: Daemon, for_ns: int) -> None:
        """The process is stopped for a while; meanwhile another one is started on a copy of its journal, as on another host, and goes on
        in its place. When the first one wakes up it is a zombie: it knows nothing of its successor."""
        zombie = self.hosts[daemon]
        successor = self._make(daemon, zombie.snapshot_type, type(zombie), **({"wire": self.wire, "gate": build_gate(self.settings)} if daemon is Daemon.BROKER else {}))
        successor.connection = f"{daemon.value}#2"
        successor.journal = copy.deepcopy(zombie.journal)
        successor.stored = zombie.stored
        zombie.is_gone = True
        zombie.pause(for_ns)
        self.zombies.append(zombie)
        self.hosts[daemon] = successor
        if daemon is Daemon.BROKER:
            self.broker = successor
        successor.start()

    def build(self, daemon: Daemon) -> Machine[Any]:
        """A daemon's machine, built anew."""
        settings = self.settings
        match daemon:
            case Daemon.MD_INGEST:
                return Market(SYMBOLS, settings.feed.timeframe, self.began_ns + 100 * MS, INTERVAL, self._workload.bars, self.schedule.seed, ends=bool(settings.faults.rates))
            case Daemon.STRATEGY_RUNNER:
                return build_host(settings, epoch=f"epoch-{daemon.value}", load=load_scripted)
            case Daemon.RISK_ENGINE:
                return build_risk_engine(settings, id_prefix=self._prefix)
            case Daemon.OMS:
                return build_oms(settings)
            case Daemon.BROKER:
                return build_gateway(settings)
            case Daemon.PAPER_VENUE:
                return build_served_venue(settings)

    # The machines as they stand; a dead daemon has none.

    def machine(self, daemon: Daemon) -> Any:
        """A daemon's machine, None while it is dead."""
        node = self.hosts[daemon].node
        return None if node is None else node.machine

    @property
    def oms(self) -> Oms | None:
        """The OMS."""
        return self.machine(Daemon.OMS)  # type: ignore[no-any-return]

    @property
    def gateway(self) -> BrokerGateway | None:
        """The broker's machine."""
        return self.machine(Daemon.BROKER)  # type: ignore[no-any-return]

    @property
    def venue_machine(self) -> SimulatedVenue | None:
        """The venue."""
        return self.machine(Daemon.PAPER_VENUE)  # type: ignore[no-any-return]

    @property
    def strategies(self) -> StrategyHost | None:
        """The strategy host."""
        return self.machine(Daemon.STRATEGY_RUNNER)  # type: ignore[no-any-return]

    # Rest.

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way anywhere: every daemon quiet, every message acknowledged, every event of the venue taken, nothing in doubt."""
        return not self.unsettled(first=True)

    def unsettled(self, *, first: bool = False) -> list[str]:
        """What is still under way (only the first of it, when that is all that is asked)."""
        found: list[str] = []
        for test in (self._quiet_problems, self._acknowledgement_problems, self._venue_problems, self._order_problems, self._kill_problems):
            found += test()
            if found and first:
                return found
        return found

    def _quiet_problems(self) -> list[str]:
        return [f"{daemon.value} is not quiet" for daemon, host in self.hosts.items() if not host.is_quiet]

    def _acknowledgement_problems(self) -> list[str]:
        found = []
        for stream, consumers in self.streams.items():
            end, acks = self.server.store.tail(stream), self.server.store.acknowledgements(stream)
            said = self._said(stream)
            # A server that came back empty after everything was acknowledged needs nothing again.
            if end != said and (end or any(acks.get(consumer, 0) != said for consumer in consumers)):
                found.append(f"{stream.topic} of {stream.producer} ends at {end} on the server, {said} were said")
            found += [f"{stream.topic}: {consumer} acknowledged {acks.get(consumer, 0)} of {said}" for consumer in consumers if acks.get(consumer, 0) != said]
        return found

    def _said(self, stream: StreamId) -> int:
        rows = self.hosts[Daemon(stream.producer)].journal.rows.get(stream.topic)
        return rows[-1].seq if rows else 0

    def _venue_problems(self) -> list[str]:
        found = [] if self.wire.is_settled else ["the broker is not connected to the venue, or a call is open"]
        gateway, venue = self.gateway, self.venue_machine
        if gateway is not None and venue is not None and gateway.snapshot().feed.cursor != venue.last_cursor:
            found.append(f"the broker took the venue's events up to {gateway.snapshot().feed.cursor} of {venue.last_cursor}")
        return found

    def _order_problems(self) -> list[str]:
        found: list[str] = []
        if self.oms is not None:
            for order in self.oms.orders.all:
                if order.status.value in ("PENDING", "SUBMITTED") or order.is_in_doubt or order.open_request is not None:
                    found.append(f"order {order.client_order_id} is {order.status.value}, facets {[str(f) for f in order.facets]}")
        return found

    def _kill_problems(self) -> list[str]:
        """Who has not seen yet what the kill file says, and what a kill still wants gone."""
        told, gateway = self.kill_file.state, self.gateway
        if gateway is None:
            return []
        seen = gateway.snapshot()
        if seen.kill_switch != told:
            return [f"the broker has seen the kill file say {seen.kill_switch.status}, it says {told.status}"]
        state = told.trading_state if told.status is KillSwitchStatus.TRIPPED else None
        return [f"order {order.client_order_id} is to be gone" for order in seen.orders if state is not None and order.must_go(state)]

    def _make(self, daemon: Daemon, snapshot_type: type, kind: Any, **more: Any) -> Any:
        spec = node_spec(daemon, self.settings)
        faults = msgspec.structs.replace(self._processes)
        return kind(spec, lambda: self.build(daemon), snapshot_type, self.schedule, self.server, faults, self._config, self.kill_file, **more)
