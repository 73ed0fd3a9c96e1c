"""One connection to Redis, fed by hand: what it writes, what it makes of replies in pieces, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from apps.runtime.redis_bus.protocol import Connection, SubscriptionConnection
from core.ports import StreamId
from tests.support.bus import INTENTS

CHANNEL = b"ns|strat.intent|strategy_runner"
SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(CHANNEL), CHANNEL)


class Wire(asyncio.Transport):
    """Takes what is written and remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.is_closed = True


class Ends(list[str]):
    """The reasons a connection gave."""


def a_connection() -> tuple[Connection, Wire, Ends]:
    """A connection on a wire."""
    wire, ends = Wire(), Ends()
    connection = Connection(ends.append)
    connection.connection_made(wire)
    return connection, wire, ends


def a_subscription() -> tuple[SubscriptionConnection, Wire, Ends, list[tuple[StreamId, bytes]]]:
    """A connection that can subscribe."""
    wire, ends, heard = Wire(), Ends(), list[tuple[StreamId, bytes]]()
    connection = SubscriptionConnection(ends.append, lambda stream, data: heard.append((stream, data)))
    connection.connection_made(wire)
    return connection, wire, ends, heard


class TestReplies:
    """Commands out, replies in."""

    async def test_command_is_written_at_once_when_asked(self) -> None:
        """Bytes, text and numbers, each with its length."""
        connection, wire, _ = a_connection()
        connection.ask((b"SET", "k", 12), bytes)
        assert wire.written == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n12\r\n"

    async def test_replies_are_given_in_order_when_they_come_together(self) -> None:
        """First asked, first answered."""
        connection, _, _ = a_connection()
        asked = [connection.ask((b"GET", name), bytes.decode) for name in ("a", "b")]
        connection.data_received(b"$1\r\nA\r\n$1\r\nB\r\n")
        assert [await future for future in asked] == ["A", "B"]

    async def test_reply_is_whole_when_it_comes_byte_by_byte(self) -> None:
        """Nested arrays, numbers and binary bytes, however they were cut."""
        connection, _, _ = a_connection()
        future = connection.ask((b"X",), list)
        for byte in b"*3\r\n:7\r\n$2\r\n\r\n\r\n*1\r\n$-1\r\n":
            assert not future.done()
            connection.data_received(bytes([byte]))
        assert await future == [7, b"\r\n", [None]]

    async def test_answer_finds_its_question_when_others_are_not_waited_for(self) -> None:
        """A told command's reply is taken and forgotten; a cancelled question's as well."""
        connection, _, ends = a_connection()
        connection.tell((b"PUBLISH", b"c", b"x"))
        cancelled = connection.ask((b"GET", b"a"), bytes)
        wanted = connection.ask((b"GET", b"b"), bytes)
        cancelled.cancel()
        connection.data_received(b":0\r\n$1\r\nA\r\n$1\r\nB\r\n")
        assert await wanted == b"B"
        assert ends == []


class TestEnd:
    """Every way a connection ends is told once and leaves no question open."""

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING"),
            (b"-READONLY You can't write against a read only replica.\r\n", "READONLY"),
            (b"-OOM command not allowed\r\n", "OOM"),
            (b"-NOSCRIPT No matching script.\r\n", "NOSCRIPT"),
            (b"HTTP/1.1 400 Bad Request\r\n", "does not speak the Redis protocol"),
            (b"$3\r\nabc\r\n", "makes no sense"),
        ],
    )
    async def test_outcome_is_unknown_when_the_server_answers_wrongly(self, reply: bytes, reason: str) -> None:
        """An error, another protocol or nonsense is never an answer."""
        connection, wire, ends = a_connection()
        asked = [connection.ask((b"GET", b"n"), int) for _ in range(2)]
        connection.data_received(reply)
        for future in asked:
            with pytest.raises(ConnectionError, match=reason):
                await future
        assert len(ends) == 1
        assert wire.is_closed

    async def test_earlier_answers_count_when_an_error_follows(self) -> None:
        """What was answered before the end stays answered, what comes after it is not looked at."""
        connection, _, _ = a_connection()
        asked = [connection.ask((b"GET", b"n"), int) for _ in range(3)]
        connection.data_received(b":1\r\n-ERR no\r\n:3\r\n")
        assert await asked[0] == 1
        for future in asked[1:]:
            with pytest.raises(ConnectionError):
                await future

    async def test_end_is_told_once_when_the_socket_closes_as_well(self) -> None:
        """The first reason counts."""
        connection, _, ends = a_connection()
        connection.end("enough")
        connection.connection_lost(OSError("reset"))
        assert ends == ["enough"]

    @pytest.mark.parametrize(("error", "reason"), [(None, "the server closed the connection"), (OSError("reset"), "connection lost: reset")])
    async def test_reason_is_told_when_the_socket_closes(self, error: OSError | None, reason: str) -> None:
        """With the system's words if it has any."""
        connection, _, ends = a_connection()
        connection.connection_lost(error)
        assert ends == [reason]

    async def test_question_fails_at_once_when_asked_after_the_end(self) -> None:
        """Nothing is written any more, and nobody waits."""
        connection, wire, _ = a_connection()
        connection.end("enough")
        connection.tell((b"PING",))
        with pytest.raises(ConnectionError, match="enough"):
            await connection.ask((b"PING",), bytes)
        assert wire.written == b""

    async def test_connection_ends_when_an_answer_has_no_question(self) -> None:
        """Replies that are out of step would answer the wrong question."""
        connection, _, ends = a_connection()
        connection.data_received(b"+OK\r\n")
        assert len(ends) == 1


class TestSilence:
    """A peer that says nothing is asked, then given up."""

    async def test_nothing_is_written_when_the_connection_has_ended(self) -> None:
        """A ping on a closed transport would raise in whoever checks, and take the bus with it."""
        connection, wire, _, _ = a_subscription()
        connection.subscribe({CHANNEL: INTENTS})
        connection.end("cut")
        written = wire.written
        for _ in range(4):
            connection.check(8)
        assert wire.written == written

    async def test_peer_is_pinged_once_and_given_up_when_silent(self) -> None:
        """The first silent check asks, the fourth gives up."""
        connection, wire, ends = a_connection()
        for _ in range(4):
            connection.check(4)
        assert wire.written.count(b"PING") == 1
        assert ends == []
        connection.check(4)
        assert ends == ["the server does not answer"]

    async def test_peer_is_kept_when_it_answers(self) -> None:
        """Any byte is a sign of life."""
        connection, _, ends = a_connection()
        for _ in range(20):
            connection.check(2)
            connection.check(2)
            connection.data_received(b"+PONG\r\n")
        assert ends == []


class TestSubscription:
    """Deliveries."""

    async def test_subscription_stands_when_every_channel_is_confirmed(self) -> None:
        """Not before."""
        connection, wire, _, _ = a_subscription()
        future = connection.subscribe({CHANNEL: INTENTS, b"other": StreamId("other", "x")})
        assert wire.written.startswith(b"*3\r\n$9\r\nSUBSCRIBE\r\n")
        connection.data_received(SUBSCRIBED)
        assert not future.done()
        connection.data_received(b"*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:2\r\n")
        await future

    async def test_messages_are_delivered_with_their_stream_when_they_come(self) -> None:
        """Binary bytes, in order, between other things."""
        connection, _, ends, heard = a_subscription()
        connection.subscribe({CHANNEL: INTENTS})
        message = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$3\r\n\x00\r\n\r\n" % (len(CHANNEL), CHANNEL)
        connection.data_received(SUBSCRIBED + message + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" + message)
        assert heard == [(INTENTS, b"\x00\r\n")] * 2
        assert ends == []

    async def test_ping_is_answered_when_nothing_is_subscribed(self) -> None:
        """A daemon that reads nothing still wants to know whether the server lives."""
        connection, wire, ends, _ = a_subscription()
        future = connection.subscribe({})
        connection.data_received(b"+PONG\r\n")
        await future
        connection.check(3)
        connection.check(3)
        connection.data_received(b"+PONG\r\n")
        assert wire.written.count(b"PING") == 2
        assert ends == []

    async def test_nobody_waits_when_the_server_refuses_to_subscribe(self) -> None:
        """The reason is the server's."""
        connection, _, _, _ = a_subscription()
        future = connection.subscribe({CHANNEL: INTENTS})
        connection.data_received(b"-NOPERM this user has no permissions to access one of the channels\r\n")
        with pytest.raises(ConnectionError, match="NOPERM"):
            await future
