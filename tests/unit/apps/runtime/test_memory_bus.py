"""The in-memory broker's misfortunes: each happens as often as commanded, and only then."""

from __future__ import annotations

import asyncio

import pytest

from apps.runtime.memory_bus import MemoryBroker, MemoryBus
from core.ports import PublishStatus
from tests.support.bus import INTENTS, RecordingListener, a_token


async def a_bus(broker: MemoryBroker) -> tuple[MemoryBus, RecordingListener]:
    """A connected bus that hears the intents."""
    bus, heard = MemoryBus(broker), RecordingListener()
    await bus.start([INTENTS], heard)
    await heard.until(lambda h: bool(h.run_ids))
    return bus, heard


async def test_so_many_deliveries_are_missing_when_dropped() -> None:
    """The stream has what was dropped."""
    broker = MemoryBroker()
    bus, heard = await a_bus(broker)
    broker.drop_deliveries(2)
    await bus.publish(INTENTS, a_token(), 1, 1, [b"a", b"b", b"c"])
    assert [data for _, data in heard.messages] == [b"c"]
    assert len((await bus.read(INTENTS, 1, 10)).entries) == 3


async def test_so_many_deliveries_come_twice_when_duplicated() -> None:
    """And the next ones once."""
    broker = MemoryBroker()
    bus, heard = await a_bus(broker)
    broker.duplicate_deliveries(1)
    await bus.publish(INTENTS, a_token(), 1, 1, [b"a", b"b"])
    assert [data for _, data in heard.messages] == [b"a", b"a", b"b"]


async def test_message_is_stored_and_outcome_unknown_when_the_answer_is_lost() -> None:
    """The bus comes back, and the same publish then says that it was there."""
    broker = MemoryBroker()
    bus, heard = await a_bus(broker)
    broker.lose_answers(1)
    with pytest.raises(ConnectionError):
        await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
    await heard.until(lambda h: len(h.run_ids) == 2)
    assert len(heard.lost) == 1
    assert heard.run_ids[0] == heard.run_ids[1]
    assert await bus.publish(INTENTS, a_token(), 1, 1, [b"a"]) == (PublishStatus.STORED, 1)


async def test_delivery_never_arrives_when_the_server_dies_first() -> None:
    """What was on its way belongs to a connection that is gone."""
    broker = MemoryBroker()
    bus, heard = await a_bus(broker)
    asked = asyncio.ensure_future(bus.publish(INTENTS, a_token(), 1, 1, [b"a"]))
    broker.die()
    broker.come_back()
    with pytest.raises(ConnectionError):
        await asked
    await heard.until(lambda h: len(h.run_ids) == 2)
    assert heard.messages == []


async def test_bus_connects_when_the_server_comes_later() -> None:
    """Processes may be started in any order."""
    broker = MemoryBroker()
    broker.die()
    bus, heard = MemoryBus(broker), RecordingListener()
    await bus.start([INTENTS], heard)
    await asyncio.sleep(0)
    assert heard.run_ids == []
    broker.come_back()
    await heard.until(lambda h: bool(h.run_ids))
