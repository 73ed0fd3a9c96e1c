"""What every bus does, on the in-memory broker and on a real server: the publish table, reading, trimming, delivering, dying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.ports import Bus, Entry, PublishOutcome, PublishStatus, StreamId, StreamSlice
from tests.support.bus import EPOCH, INTENTS, BusWorld, RecordingListener, a_stream, a_token

DECISIONS = a_stream("risk.decision", "risk_engine")
EVERY_BYTE = bytes(range(256)) + b"\r\n$-1\r\n"


class Client:
    """A connected bus with its listener."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard = RecordingListener()

    async def connect(self, *streams: StreamId) -> Client:
        """Start, and wait until connected."""
        await self.bus.start(streams, self.heard)
        await self.heard.until(lambda h: len(h.run_ids) == 1)
        return self

    async def publish(self, first_seq: int, *bodies: bytes, base: int = 1, epoch: str = EPOCH, incarnation: int = 1) -> PublishOutcome:
        """Publish intents."""
        return await self.bus.publish(INTENTS, a_token(epoch, incarnation), base, first_seq, bodies)

    async def stored(self, from_seq: int = 1) -> StreamSlice:
        """What the stream holds."""
        return await self.bus.read(INTENTS, from_seq, 1000)


@pytest_asyncio.fixture
async def client(world: BusWorld) -> AsyncIterator[Client]:
    """A producer that listens to nothing."""
    client = await Client(world.make("producer")).connect()
    yield client
    await client.bus.stop()


@pytest_asyncio.fixture
async def consumer(world: BusWorld) -> AsyncIterator[Client]:
    """A consumer of the intents."""
    consumer = await Client(world.make("consumer")).connect(INTENTS)
    yield consumer
    await consumer.bus.stop()


def _slice(last: int, *entries: tuple[int, bytes]) -> StreamSlice:
    return StreamSlice(tuple(Entry(seq, data) for seq, data in entries), last, EPOCH)


class TestPublish:
    """The publish script's table, row by row."""

    async def test_messages_are_stored_in_sequence_when_published(self, client: Client) -> None:
        """One batch and one more are numbered contiguously."""
        assert await client.publish(1, b"a", b"b") == (PublishStatus.STORED, 2)
        assert await client.publish(3, b"c") == (PublishStatus.STORED, 3)
        assert await client.stored() == _slice(3, (1, b"a"), (2, b"b"), (3, b"c"))

    async def test_nothing_changes_when_the_same_is_published_again(self, client: Client) -> None:
        """A reply that was lost is asked for again, safely: the same bytes are already there."""
        await client.publish(1, b"a", b"b", b"c")
        assert await client.publish(2, b"b") == (PublishStatus.STORED, 3)
        assert await client.publish(1, b"a", b"b", b"c") == (PublishStatus.STORED, 3)
        assert await client.stored() == _slice(3, (1, b"a"), (2, b"b"), (3, b"c"))

    async def test_only_the_new_part_is_stored_when_a_batch_overlaps(self, client: Client) -> None:
        """What is there is compared, what is not is appended."""
        await client.publish(1, b"a", b"b")
        assert await client.publish(2, b"b", b"c", b"d") == (PublishStatus.STORED, 4)
        assert (await client.stored(3)).entries == ((3, b"c"), (4, b"d"))

    async def test_producer_is_told_to_top_up_when_it_is_ahead(self, client: Client) -> None:
        """A hole is never made: BEHIND names where the stream ends, and nothing is written."""
        await client.publish(1, b"a")
        assert await client.publish(3, b"c") == (PublishStatus.BEHIND, 1)
        assert (await client.stored()).last_seq == 1

    async def test_missing_stream_begins_at_its_base_when_published(self, client: Client) -> None:
        """Everything below base has been acknowledged by all: the stream may begin there, and nowhere else."""
        assert await client.publish(9, b"i", base=7) == (PublishStatus.BEHIND, 6)
        assert await client.publish(1, b"a", base=7) == (PublishStatus.BEHIND, 6)
        assert (await client.stored()).last_seq == 0
        assert await client.publish(7, b"g", b"h", base=7) == (PublishStatus.STORED, 8)
        assert await client.stored() == _slice(8, (7, b"g"), (8, b"h"))

    async def test_existing_stream_ignores_base_when_published(self, client: Client) -> None:
        """Base is for a stream that was lost."""
        await client.publish(1, b"a")
        assert await client.publish(2, b"b", base=9) == (PublishStatus.STORED, 2)

    async def test_producer_is_fenced_when_other_bytes_have_its_number(self, client: Client) -> None:
        """Two histories under one number cannot both be true."""
        await client.publish(1, b"a", b"b")
        assert await client.publish(2, b"B", b"c") == (PublishStatus.FENCED, 2)
        assert await client.stored() == _slice(2, (1, b"a"), (2, b"b"))

    async def test_older_instance_is_fenced_when_a_newer_one_has_written(self, client: Client) -> None:
        """A zombie that wakes up writes nothing, not even what would fit."""
        await client.publish(1, b"a", incarnation=1)
        assert await client.publish(2, b"b", incarnation=2) == (PublishStatus.STORED, 2)
        assert await client.publish(3, b"c", incarnation=1) == (PublishStatus.FENCED, 2)
        assert (await client.stored()).last_seq == 2

    async def test_another_journal_is_refused_when_the_stream_has_an_owner(self, client: Client) -> None:
        """A new epoch is an operator's decision, whatever its number or incarnation."""
        await client.publish(1, b"a")
        assert await client.publish(2, b"b", epoch="epoch-2", incarnation=9) == (PublishStatus.NEW_EPOCH, 1)
        assert await client.stored() == _slice(1, (1, b"a"))

    async def test_trimmed_message_counts_as_stored_when_published_again(self, client: Client) -> None:
        """It was there, everyone has it: success, and it does not come back."""
        await client.publish(1, b"a", b"b", b"c")
        await client.bus.trim(INTENTS, 3)
        assert await client.publish(1, b"a", b"b") == (PublishStatus.STORED, 3)
        assert await client.stored() == _slice(3, (3, b"c"))

    async def test_bytes_stay_what_they_are_when_they_look_like_protocol(self, client: Client, consumer: Client) -> None:
        """Any byte may be in a message, none is interpreted."""
        await client.publish(1, EVERY_BYTE, b"", EVERY_BYTE * 1000)
        await consumer.heard.until(lambda h: len(h.messages) == 3)
        assert consumer.heard.messages == [(INTENTS, EVERY_BYTE), (INTENTS, b""), (INTENTS, EVERY_BYTE * 1000)]
        assert [entry.data for entry in (await client.stored()).entries] == [EVERY_BYTE, b"", EVERY_BYTE * 1000]

    async def test_numbers_stay_exact_when_they_are_large(self, client: Client) -> None:
        """No number is ever shown in exponents or rounded."""
        large = 123_456_789_012_345
        assert await client.publish(large, b"a", b"b", base=large) == (PublishStatus.STORED, large + 1)
        assert await client.stored(large) == _slice(large + 1, (large, b"a"), (large + 1, b"b"))
        assert await client.bus.tails([INTENTS]) == [large + 1]


class TestRead:
    """Filling gaps and knowing where streams end."""

    async def test_gap_is_read_when_asked_from_its_first_number(self, client: Client) -> None:
        """From a number on, at most so many, and always the end."""
        await client.publish(1, *(b"%d" % n for n in range(1, 11)))
        found = await client.bus.read(INTENTS, 4, 3)
        assert found == _slice(10, (4, b"4"), (5, b"5"), (6, b"6"))

    async def test_nothing_is_found_when_the_stream_does_not_exist(self, client: Client) -> None:
        """A missing stream ends at 0 and has no epoch."""
        assert await client.stored() == StreamSlice((), 0, "")
        assert await client.bus.tails([INTENTS, DECISIONS]) == [0, 0]

    async def test_nothing_is_found_when_asked_beyond_the_end(self, client: Client) -> None:
        """The end is told all the same."""
        await client.publish(1, b"a")
        assert await client.stored(2) == _slice(1)

    async def test_long_gap_arrives_whole_when_read(self, client: Client) -> None:
        """A reply far larger than any buffer is one reply."""
        bodies = [b"%06d" % n + b"x" * 20_000 for n in range(500)]
        for first in range(0, 500, 250):
            await client.publish(first + 1, *bodies[first : first + 250])
        found = await client.bus.read(INTENTS, 1, 500)
        assert [entry.data for entry in found.entries] == bodies

    async def test_answers_come_in_order_when_many_are_asked_at_once(self, client: Client) -> None:
        """Nothing waits for an answer before the next question, and each gets its own."""
        asked = [client.publish(n, b"%d" % n) for n in range(1, 201)]
        assert [outcome.last_seq for outcome in await asyncio.gather(*asked)] == list(range(1, 201))


class TestTrim:
    """Forgetting what everyone has."""

    async def test_entries_below_are_forgotten_when_trimmed(self, client: Client) -> None:
        """The number itself stays."""
        await client.publish(1, b"a", b"b", b"c", b"d")
        await client.bus.trim(INTENTS, 3)
        assert await client.stored() == _slice(4, (3, b"c"), (4, b"d"))

    async def test_tail_stays_when_everything_may_go(self, client: Client) -> None:
        """An empty stream could not say where it ended."""
        await client.publish(1, b"a", b"b", b"c")
        await client.bus.trim(INTENTS, 100)
        assert await client.stored() == _slice(3, (3, b"c"))
        assert await client.publish(4, b"d") == (PublishStatus.STORED, 4)

    async def test_nothing_happens_when_there_is_nothing_to_trim(self, client: Client) -> None:
        """A missing stream stays missing."""
        await client.bus.trim(INTENTS, 5)
        assert await client.bus.tails([INTENTS]) == [0]


class TestAcknowledge:
    """How far consumers are."""

    async def test_acknowledgements_are_kept_per_consumer_when_given(self, client: Client) -> None:
        """Each consumer overwrites its own, on every stream it names."""
        await client.bus.acknowledge("oms", {INTENTS: 3, DECISIONS: 5})
        await client.bus.acknowledge("risk_engine", {INTENTS: 4})
        await client.bus.acknowledge("oms", {INTENTS: 7})
        assert await client.bus.acknowledgements(INTENTS) == {"oms": 7, "risk_engine": 4}
        assert await client.bus.acknowledgements(DECISIONS) == {"oms": 5}
        assert await client.bus.acknowledgements(a_stream("control.clock")) == {}

    async def test_watermarks_show_ends_and_acknowledgements_when_cut(self, client: Client) -> None:
        """Every stream asked for is in the answer, a missing one with nothing."""
        await client.publish(1, b"a", b"b")
        await client.bus.acknowledge("risk_engine", {INTENTS: 1})
        assert await client.bus.watermarks([INTENTS, DECISIONS]) == {INTENTS: (2, {"risk_engine": 1}), DECISIONS: (0, {})}

    async def test_cut_is_never_torn_when_others_write(self, world: BusWorld, client: Client) -> None:
        """In every cut the first stream is as far as the second or one ahead: it is always written first."""
        observer = await Client(world.make("observer")).connect()
        token = a_token()

        async def write() -> None:
            for n in range(1, 301):
                await client.bus.publish(INTENTS, token, 1, n, [b"x"])
                await client.bus.publish(DECISIONS, token, 1, n, [b"x"])

        writing = asyncio.ensure_future(write())
        cuts = 0
        while not writing.done():
            marks = await observer.bus.watermarks([INTENTS, DECISIONS])
            ahead = marks[INTENTS][0] - marks[DECISIONS][0]
            assert 0 <= ahead <= 1
            cuts += 1
            await asyncio.sleep(0)
        await writing
        await observer.bus.stop()
        assert cuts > 10


class TestDelivery:
    """What subscribers hear."""

    async def test_subscriber_hears_in_order_when_published(self, client: Client, consumer: Client) -> None:
        """A batch arrives as single messages, on its own stream."""
        await client.publish(1, b"a", b"b")
        await client.publish(3, b"c")
        await consumer.heard.until(lambda h: len(h.messages) == 3)
        assert consumer.heard.messages == [(INTENTS, b"a"), (INTENTS, b"b"), (INTENTS, b"c")]

    async def test_subscriber_hears_once_when_published_twice(self, client: Client, consumer: Client) -> None:
        """What is already there is not announced again."""
        await client.publish(1, b"a")
        await client.publish(1, b"a", b"b")
        await consumer.heard.until(lambda h: len(h.messages) == 2)
        assert [data for _, data in consumer.heard.messages] == [b"a", b"b"]

    async def test_others_hear_nothing_when_they_have_not_subscribed(self, client: Client, consumer: Client) -> None:
        """Neither another topic nor another producer of the same topic."""
        await client.bus.publish(DECISIONS, a_token(), 1, 1, [b"other topic"])
        await client.bus.publish(a_stream("strat.intent", "other"), a_token(), 1, 1, [b"other producer"])
        await client.publish(1, b"mine")
        await consumer.heard.until(lambda h: bool(h.messages))
        assert consumer.heard.messages == [(INTENTS, b"mine")]

    async def test_announcement_is_heard_and_not_kept_when_announced(self, client: Client, consumer: Client) -> None:
        """Lossy topics travel on the same kind of channel and leave nothing behind."""
        client.bus.announce(*INTENTS, EVERY_BYTE)
        await consumer.heard.until(lambda h: bool(h.messages))
        assert consumer.heard.messages == [(INTENTS, EVERY_BYTE)]
        assert await client.stored() == StreamSlice((), 0, "")

    async def test_answers_stay_in_step_when_announcements_lie_between(self, client: Client) -> None:
        """An announcement has no answer of its own to be mistaken for another's."""
        first = client.publish(1, b"a")
        client.bus.announce("control.heartbeat", "oms", b"beat")
        second = client.publish(2, b"b")
        assert [outcome.last_seq for outcome in await asyncio.gather(first, second)] == [1, 2]


class TestServerDeath:
    """A server that dies, and what comes back."""

    async def test_everyone_is_told_once_when_the_server_dies(self, world: BusWorld, client: Client, consumer: Client) -> None:
        """Lost, with a reason; and from then on every question fails at once."""
        await world.kill()
        await client.heard.until(lambda h: bool(h.lost))
        await consumer.heard.until(lambda h: bool(h.lost))
        assert all(client.heard.lost)
        client.bus.announce(*INTENTS, b"into nothing")
        with pytest.raises(ConnectionError):
            await client.publish(1, b"a")
        with pytest.raises(ConnectionError):
            await client.bus.watermarks([INTENTS])

    async def test_outcome_is_unknown_when_the_server_dies_before_the_answer(self, world: BusWorld, client: Client) -> None:
        """Every open question ends, none of them well."""
        await world.freeze()
        asked = [asyncio.ensure_future(client.publish(n, b"x")) for n in (1, 2)]
        await asyncio.sleep(0)
        await world.kill()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]

    async def test_run_id_changes_when_the_server_is_another_process(self, world: BusWorld, client: Client) -> None:
        """That is how a restart is told from a cut."""
        await world.restart_whole()
        await client.heard.until(lambda h: len(h.run_ids) == 2)
        assert len(set(client.heard.run_ids)) == 2
        assert all(client.heard.run_ids)

    async def test_subscription_stands_when_connected_again(self, world: BusWorld, client: Client, consumer: Client) -> None:
        """Connected means subscribed: what is published after it is heard."""
        await world.restart_whole()
        await client.heard.until(lambda h: len(h.run_ids) == 2)
        await consumer.heard.until(lambda h: len(h.run_ids) == 2)
        await client.publish(1, b"a")
        await consumer.heard.until(lambda h: bool(h.messages))
        assert consumer.heard.messages == [(INTENTS, b"a")]

    async def test_history_goes_on_when_the_server_kept_it(self, world: BusWorld, client: Client) -> None:
        """The stream ends where it ended."""
        await client.publish(1, b"a", b"b")
        await world.restart_whole()
        await client.heard.until(lambda h: len(h.run_ids) == 2)
        assert await client.bus.tails([INTENTS]) == [2]
        assert await client.publish(3, b"c", incarnation=2) == (PublishStatus.STORED, 3)

    async def test_stream_begins_at_base_again_when_the_server_comes_back_empty(self, world: BusWorld, client: Client) -> None:
        """Fence, acknowledgements and entries are gone; the producer tops up from its journal."""
        await client.publish(1, b"a", b"b", b"c")
        await client.bus.acknowledge("oms", {INTENTS: 2})
        await world.restart_empty()
        await client.heard.until(lambda h: len(h.run_ids) == 2)
        assert await client.bus.watermarks([INTENTS]) == {INTENTS: (0, {})}
        assert await client.publish(4, b"d", base=3) == (PublishStatus.BEHIND, 2)
        assert await client.publish(3, b"c", b"d", base=3) == (PublishStatus.STORED, 4)

    async def test_producer_tops_up_when_the_tail_is_lost(self, world: BusWorld, client: Client) -> None:
        """BEHIND names the hole, and the stream is whole again after it is filled."""
        await client.publish(1, b"a", b"b", b"c", b"d")
        await world.lose_tail(INTENTS, 2)
        assert await client.publish(5, b"e") == (PublishStatus.BEHIND, 2)
        assert await client.publish(3, b"c", b"d", b"e") == (PublishStatus.STORED, 5)
        assert [entry.data for entry in (await client.stored()).entries] == [b"a", b"b", b"c", b"d", b"e"]

    async def test_nothing_is_told_when_stopped(self, world: BusWorld, consumer: Client) -> None:
        """After stop the listener has peace, whatever the server does."""
        await consumer.bus.stop()
        await world.restart_empty()
        assert consumer.heard.lost == []
        assert len(consumer.heard.run_ids) == 1
        with pytest.raises(ConnectionError):
            await consumer.bus.tails([INTENTS])
