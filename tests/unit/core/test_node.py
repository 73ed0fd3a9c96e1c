"""The node: what it does when, in which order, and what it refuses to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from core.contracts import Approval, CancelAllOrders, Contract, KillSwitchState, KillSwitchStatus, MarketData, SessionPhase
from core.errors import JournalError
from core.journal import decode_attached
from core.link import READ_CHUNK, Read
from core.machine import (
    Answer,
    Archive,
    Attached,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    Effect,
    FeedRow,
    Halt,
    Input,
    LinkStopped,
    Log,
    Mark,
    Message,
    Needs,
    Observed,
    Publish,
    Push,
    Settled,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.node import (
    EXIT_FENCED,
    EXIT_HALT,
    EXIT_POISON,
    Acknowledge,
    AcknowledgePush,
    Call,
    Commit,
    Exit,
    Reply,
    SendPush,
    Subscription,
    Tell,
    Trim,
)
from core.outbox import ReadOutputs, Write
from core.ports import Entry, PublishStatus, StreamId
from core.topics import View
from core.venue import (
    Accepted,
    BrokerOrderAck,
    Cancel,
    Lookup,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RequestRejected,
    VenueRequest,
)
from tests.support.builders import NOW, a_bar, a_clock
from tests.support.nodes import IN, OTHER, OUT, Bench, Puppet, PuppetState, a_wire, a_wish, kinds, only

BARS = StreamId("md.bars.1m.IBM", "md_ingest")
MINUTE = 60 * 10**9
LOOKUP = CallVenue("a.lookup1", Lookup(client_order_id="a"))
# What the request is does not matter here: the fence makes it a new order's call.
PLACE = CallVenue("a.place1", Lookup(client_order_id="a"), after_topic=OUT)
CANCEL = CallVenue("a.cancel1", Cancel(client_order_id="a"))
ACCEPTED = Accepted(ack=BrokerOrderAck(client_order_id="a", venue_order_id="v", accepted_ns=NOW))


def pushed(cursor: int) -> RequestRejected:
    """Something a venue says by itself."""
    return RequestRejected(cursor=cursor, client_order_id="a", request="cancel", reason="")


def on_message(*effects: Effect) -> Puppet:
    """A machine that answers each message with these effects."""
    return Puppet(lambda event, _: effects if isinstance(event, Message) else ())


def relay() -> Puppet:
    """A machine that says what it hears."""
    return Puppet(lambda event, _: [Publish(OUT, event.body)] if isinstance(event, Message) else ())


def the_exit(actions: Sequence[Any]) -> Exit:
    """The last action, which must be an exit."""
    assert isinstance(actions[-1], Exit), actions
    return actions[-1]


def acknowledged(actions: Sequence[Any]) -> dict[StreamId, int]:
    """What these actions acknowledge in the end."""
    return {stream: seq for action in only(actions, Acknowledge) for stream, seq in action.seqs.items()}


class TestOrderOfActions:
    """The order of actions is the guarantee: commit first, then what it justifies, then the acknowledgement."""

    def test_commit_comes_before_the_write_when_a_message_is_passed_on(self) -> None:
        """What is published is durable first, and nothing is acknowledged before it is published."""
        bench = Bench(relay())
        bench.connect()
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit", "Write"]
        assert bench.stored(1) == [Acknowledge({IN: 1})]

    def test_the_commit_holds_all_that_belongs_together_when_an_input_is_handled(self) -> None:
        """Input, outputs, call, archive row and watermark stand in one transaction under one number."""
        bench = Bench(on_message(Publish(OUT, a_wish()), PLACE, Archive("order", "a", b"x")))
        bench.hear(1)
        (commit,) = only(bench.step(), Commit)
        batch = commit.batch
        assert [(row.n, row.kind, row.topic, row.producer, row.seq, row.now_ns, row.arrived_ns) for row in batch.inputs] == [(1, "Message", "in", "up", 1, NOW, 1)]
        assert batch.inputs[0].data == a_wire(IN, 1)
        assert [(row.topic, row.seq, row.n) for row in batch.outputs] == [(OUT, 1, 1)]
        assert [(row.call_id, row.n) for row in batch.calls] == [("a.place1", 1)]
        assert [(row.kind, row.key) for row in batch.archive] == [("order", "a")]
        assert batch.watermarks == {IN: (1, "up-epoch")}

    @pytest.mark.parametrize("effects", [(Publish(OUT, a_wish()), PLACE), (PLACE, Publish(OUT, a_wish()))])
    def test_a_fenced_call_leaves_only_when_its_attempt_is_accepted(self, effects: tuple[Effect, ...]) -> None:
        """Commit, publish, wait for the script, then call: wherever the call stands among the effects."""
        bench = Bench(on_message(*effects))
        bench.connect()
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit", "Write"]
        assert not bench.node.is_drained
        assert bench.stored(1) == [Call(PLACE)]

    def test_every_call_leaves_when_an_input_asks_for_several(self) -> None:
        """A cancel-all has many, and their order is kept."""
        calls = [CallVenue(f"{n}.cancel1", Cancel(client_order_id=str(n))) for n in range(3)]
        bench = Bench(on_message(*calls))
        bench.hear(1)
        assert only(bench.step(), Call) == [Call(call) for call in calls]

    def test_a_cancel_leaves_at_once_when_its_report_is_not_published(self) -> None:
        """Cancels never wait, not even for a bus that is away."""
        bench = Bench(on_message(Publish(OUT, a_wish()), CANCEL))
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit", "Call"]
        bench.hear(2)
        assert kinds(bench.step()) == ["Commit", "Call"]

    def test_a_new_order_waits_when_the_bus_is_away_and_a_cancel_passes_it(self) -> None:
        """Without the proof of publication a new order stays here."""
        bench = Bench(Puppet(lambda event, _: [Publish(OUT, a_wish()), PLACE] if isinstance(event, Message) and event.seq == 1 else [CANCEL]))
        bench.hear(1)
        bench.hear(2)
        assert only(bench.run(), Call) == [Call(CANCEL)]

    def test_an_answer_and_a_push_follow_the_commit_when_a_command_is_handled(self) -> None:
        """Nobody is told of anything that a crash could still undo."""
        answer = Answer("c1", "done")
        bench = Bench(Puppet(lambda event, _: [answer, Push(pushed(1)), Log("info", "said")]), produces={}, pushes_events=True)
        bench.command("c1", CancelAllOrders(reason="r"))
        assert bench.step() == [bench.done[0], Reply(answer), SendPush(pushed(1)), Tell(Log("info", "said"))]
        assert kinds(bench.done[:1]) == ["Commit"]

    def test_several_inputs_share_one_commit_when_they_came_together(self) -> None:
        """Group commit: the batch holds what has arrived, up to its bound, and keeps its order."""
        bench = Bench(relay(), batch_max=2)
        bench.connect()
        for seq in (1, 2, 3):
            bench.hear(seq)
        commits = only(bench.run(), Commit)
        assert [[row.n for row in commit.batch.inputs] for commit in commits] == [[1, 2], [3]]
        assert bench.machine.heard == [("in", 1), ("in", 2), ("in", 3)]

    def test_nothing_is_done_when_nothing_has_arrived(self) -> None:
        """A step without work has no actions."""
        assert Bench().step() == []

    def test_the_daemon_halts_after_the_commit_when_the_machine_says_so(self) -> None:
        """What led to the halt is journaled, and what came behind it is left for the next run."""
        bench = Bench(on_message(Halt("look"), Publish(OUT, a_wish())))
        bench.connect()
        bench.hear(1)
        bench.hear(2)
        actions = bench.step()
        assert kinds(actions) == ["Commit", "Write", "Tell", "Exit"]
        assert the_exit(actions) == Exit(EXIT_HALT, "look")
        assert bench.machine.heard == [("in", 1)]
        assert bench.step() == []


class TestGate:
    """The last look before the wire."""

    def test_a_refused_call_never_leaves_and_is_answered_by_the_gate(self) -> None:
        """The refusal is an input like any reply, and is journaled as the outcome of the call."""
        bench = Bench(on_message(CANCEL), gate=lambda *_: NotSent(code="KILL_SWITCH"))
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit"]
        assert kinds(bench.step()) == ["Commit", "Acknowledge"]
        assert bench.machine.seen[-1] == CallReplied("a.cancel1", NotSent(code="KILL_SWITCH"))
        assert bench.journal.outcomes == {"a.cancel1": 2}

    def test_the_gate_sees_fresh_facts_when_the_call_is_about_to_leave(self) -> None:
        """The kill file as it is now, not as it was when the order was decided; and the approval the order came with."""
        approval = Approval(approval_id="p", client_order_id="a", content_hash="h", limits_version="l", expires_ns=NOW)
        asked: list[tuple[VenueRequest, Any, KillSwitchState, int]] = []

        def gate(request: VenueRequest, given: Any, kill: KillSwitchState, now_ns: int) -> NotSent | None:
            asked.append((request, given, kill, now_ns))
            return None

        call = msgspec.structs.replace(PLACE, approval=approval)
        bench = Bench(on_message(Publish(OUT, a_wish()), call), gate=gate)
        bench.connect()
        bench.hear(1)
        bench.step()
        assert asked == []
        bench.kill = KillSwitchState(status=KillSwitchStatus.TRIPPED)
        bench.clock.now = NOW + 5
        assert bench.stored(1) == [Call(call)]
        assert asked == [(call.request, approval, bench.kill, NOW + 5)]


class TestAcknowledging:
    """An acknowledged input has no consequence outstanding: what replay's settling rests on."""

    def test_a_message_is_acknowledged_at_once_when_nothing_follows_from_it(self) -> None:
        """No consequence, no waiting, but never before the commit."""
        bench = Bench()
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit", "Acknowledge"]

    def test_a_message_is_not_acknowledged_while_its_call_is_open(self) -> None:
        """A call's outcome is a consequence, and so is what follows from the outcome."""
        bench = Bench(Puppet(lambda event, _: [CANCEL] if isinstance(event, Message) else [Publish(OUT, a_wish())] if isinstance(event, CallReplied) else ()))
        bench.connect()
        bench.hear(1)
        assert not acknowledged(bench.run())
        bench.node.on_call_reply("a.cancel1", ACCEPTED, 1)
        assert not acknowledged(bench.run())
        assert acknowledged(bench.stored(1)) == {IN: 1}
        assert bench.node.is_drained

    def test_a_later_message_is_held_with_an_earlier_one_when_a_call_is_open(self) -> None:
        """Acknowledgements keep the order of the journal over all streams."""
        bench = Bench(
            Puppet(lambda event, _: [CANCEL] if isinstance(event, Message) and event.topic == "in" else ()),
            subscriptions=(Subscription(IN), Subscription(OTHER)),
        )
        bench.hear(1)
        bench.hear(1, stream=OTHER)
        assert not acknowledged(bench.run())
        bench.node.on_call_reply("a.cancel1", ACCEPTED, 1)
        assert acknowledged(bench.run()) == {IN: 1, OTHER: 1}

    def test_the_newest_message_is_held_while_a_wake_is_due(self) -> None:
        """What a wake at the same instant says belongs to the message that moved the clock."""
        machine = Puppet()

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            machine.due_ns = NOW if isinstance(event, Message) else None
            return [Publish(OUT, a_wish())] if isinstance(event, Wake) else ()

        machine.react = react
        bench = Bench(machine, batch_max=1)
        bench.connect()
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit"]
        assert kinds(bench.step()) == ["Commit", "Write"]
        assert machine.seen[-1] == Wake(NOW)
        assert acknowledged(bench.stored(1)) == {IN: 1}

    def test_a_held_message_is_acknowledged_when_only_marks_were_due(self) -> None:
        """A mark that comes of age has no consequence, but the message held because of it must still be acknowledged."""
        bench = Bench(subscriptions=(Subscription(IN), Subscription(BARS, View.AS_MARKS)), batch_max=1)
        bench.clock.now = NOW - 1
        bench.hear(1, a_bar(), stream=BARS)
        bench.hear(1, a_clock(NOW))
        assert not acknowledged(bench.step())
        assert bench.node.wants_step
        assert acknowledged(bench.step()) == {IN: 1}

    def test_a_pushed_event_is_acknowledged_to_the_venue_when_its_report_is_published(self) -> None:
        """Broker side: the venue may forget only what everybody downstream can get from us."""
        bench = Bench(Puppet(lambda event, _: [Publish(OUT, a_wish())]))
        bench.connect()
        bench.node.on_push(pushed(7), 1)
        bench.node.on_push(pushed(8), 1)
        assert kinds(bench.step()) == ["Commit", "Write"]
        assert bench.machine.seen == [VenuePushed(pushed(7)), VenuePushed(pushed(8))]
        assert bench.stored(2) == [AcknowledgePush(8)]

    def test_an_event_is_not_acknowledged_when_the_machine_let_it_pass(self) -> None:
        """Behind a gap it will be pushed again; acknowledged, the venue would forget it and what came before it."""
        bench = Bench(Puppet(lambda event, _: [Publish(OUT, a_wish())] if event == VenuePushed(pushed(7)) else ()))
        bench.connect()
        bench.node.on_push(pushed(9), 1)
        bench.node.on_push(pushed(7), 1)
        bench.step()
        assert bench.stored(1) == [AcknowledgePush(7)]

    def test_nothing_is_acknowledged_while_the_venue_is_out_of_reach(self) -> None:
        """A call that came back unknown is not over: a replay must not go on before the venue was asked what became of it."""
        bench = Bench(calls_venue=True)
        bench.hear(1)
        assert not acknowledged(bench.step())
        bench.node.on_observed(Observed(VenueLinkState(True)), 1)
        assert acknowledged(bench.step()) == {IN: 1}
        bench.node.on_observed(Observed(VenueLinkState(False, "gone")), 1)
        bench.step()
        bench.hear(2)
        assert not acknowledged(bench.step())

    def test_a_venue_acknowledges_nothing_until_its_broker_has_what_was_pushed(self) -> None:
        """Venue side: a fill that is under way is a consequence of the bar it came from, also of one before the restart."""
        bench = Bench(on_message(Push(pushed(1))), produces={}, pushes_events=True)
        bench.hear(1)
        assert kinds(bench.step()) == ["Commit", "SendPush"]
        assert bench.node.on_push_acknowledged(0) == []
        assert bench.node.on_push_acknowledged(1) == [Acknowledge({IN: 1})]
        again = bench.restarted(on_message(Push(pushed(1))))
        assert not acknowledged(again.connect())
        assert again.node.on_push_acknowledged(0) == [Acknowledge({IN: 1})]

    def test_acknowledgements_are_said_again_when_the_bus_comes_back(self) -> None:
        """A server that came back empty has forgotten them."""
        bench = Bench()
        bench.connect()
        bench.hear(1)
        bench.step()
        bench.node.on_lost()
        assert acknowledged(bench.connect({IN: 1})) == {IN: 1}

    def test_nothing_is_said_when_nothing_has_been_acknowledged_yet(self) -> None:
        """A first connection has nothing to announce."""
        assert Bench().connect() == []


class TestRestart:
    """What a new process holds back until the old one's consequences are complete."""

    def test_nothing_is_acknowledged_until_the_stream_holds_what_the_last_run_said(self) -> None:
        """A crash between commit and publish leaves outputs that only the journal has."""
        bench = Bench(relay())
        bench.hear(1)
        bench.step()
        again = bench.restarted(relay())
        assert kinds(again.connect({IN: 1})) == ["ReadOutputs", "Write"]
        assert again.stored(1) == [Acknowledge({IN: 1})]

    def test_the_last_runs_message_is_acknowledged_when_its_outputs_are_already_there(self) -> None:
        """Nothing is published twice."""
        bench = Bench(relay())
        bench.hear(1)
        bench.step()
        actions = bench.restarted(relay()).connect({IN: 1, StreamId(OUT, "me"): 1})
        assert not only(actions, Write)
        assert acknowledged(actions) == {IN: 1}

    def test_the_configuration_comes_before_what_the_last_run_left(self) -> None:
        """A machine that starts afresh with a run must not forget what is told to it of that run."""
        bench = Bench(on_message(CANCEL))
        bench.hear(1)
        bench.step()
        again = bench.restarted(Puppet())
        again.node.on_config(ConfigLoaded("h", "{}"))
        again.step()
        assert again.machine.seen[1:] == [ConfigLoaded("h", "{}"), CallInterrupted("a.cancel1")]

    def test_interrupted_call_comes_first_when_a_call_had_no_outcome(self) -> None:
        """Whether it reached the venue is unknown, and the machine learns so before it handles anything else."""
        bench = Bench(on_message(CANCEL))
        bench.hear(1)
        bench.step()
        again = bench.restarted(on_message(CANCEL))
        again.hear(2)
        again.step()
        assert again.machine.seen[1:] == [CallInterrupted("a.cancel1"), Message("in", "up", 2, NOW, a_wish(2), "up-epoch:in:2", "")]
        assert again.journal.outcomes == {"a.cancel1": 2}

    def test_a_message_stays_unacknowledged_until_the_lookup_after_its_interrupted_call_is_finished(self) -> None:
        """What the machine does about an interrupted call is a consequence of the message that caused the call."""

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            match event:
                case Message():
                    return [CANCEL]
                case CallInterrupted():
                    return [LOOKUP]
                case CallReplied():
                    return [Publish(OUT, a_wish())]
                case _:
                    return ()

        bench = Bench(Puppet(react))
        bench.connect()
        bench.hear(1)
        bench.step()
        again = bench.restarted(Puppet(react))
        assert not acknowledged(again.connect({IN: 1}))
        assert only(again.run(), Call) == [Call(LOOKUP)]
        assert not acknowledged(again.done)
        again.node.on_call_reply("a.lookup1", NotFound(), 1)
        again.run()
        assert not acknowledged(again.done)
        assert acknowledged(again.stored(1)) == {IN: 1}

    def test_the_same_bytes_are_said_when_a_process_begins_again(self) -> None:
        """Numbers go on where the journal ends."""
        bench = Bench(relay())
        bench.hear(1)
        bench.step()
        again = bench.restarted(relay())
        again.connect({IN: 1, StreamId(OUT, "me"): 1})
        again.hear(2)
        (write,) = only(again.step(), Write)
        assert write.first_seq == 2
        assert again.node.n == 2

    def test_time_does_not_go_back_when_the_clock_of_the_new_process_does(self) -> None:
        """`now_ns` never decreases, across restarts too."""
        bench = Bench()
        bench.hear(1)
        bench.step()
        bench.clock.now = NOW - MINUTE
        again = bench.restarted(Puppet())
        again.hear(2)
        again.step()
        assert again.machine.times == [NOW, NOW]

    def test_the_snapshot_cadence_counts_what_was_handled_again(self) -> None:
        """A daemon that crashes early every time still comes to a snapshot."""
        bench = Bench(snapshot_every=3)
        for seq in (1, 2):
            bench.hear(seq)
        bench.step()
        again = bench.restarted(Puppet())
        again.hear(3)
        again.step()
        assert again.journal.snapshot == (3, msgspec.json.encode(PuppetState(3)))


class TestPublishing:
    """Only committed bytes, in order, until the stream has them."""

    def test_nothing_is_written_while_another_write_is_under_way(self) -> None:
        """What arrives meanwhile leaves together."""
        bench = Bench(relay())
        bench.connect()
        bench.hear(1)
        bench.step()
        bench.hear(2)
        bench.hear(3)
        assert kinds(bench.run()) == ["Commit"]
        (write,) = only(bench.stored(1), Write)
        assert (write.first_seq, len(write.bodies)) == (2, 2)

    def test_the_hole_is_filled_from_the_journal_when_the_stream_is_behind(self) -> None:
        """BEHIND means that nothing was written: top up from where the stream ends."""
        bench = Bench(relay())
        bench.connect()
        for seq in (1, 2):
            bench.hear(seq)
        bench.step()
        bench.stored(2)
        bench.hear(3)
        bench.step()
        actions = bench.published(PublishStatus.BEHIND, 1)
        assert [(a.first_seq, len(a.bodies)) for a in only(actions, Write)] == [(2, 2)]
        assert isinstance(actions[0], ReadOutputs)

    def test_everything_is_offered_again_when_the_bus_comes_back_shorter(self) -> None:
        """A server that lost its tail is topped up before anything new is said."""
        bench = Bench(relay())
        bench.connect()
        for seq in (1, 2, 3):
            bench.hear(seq)
        bench.step()
        bench.stored(3)
        bench.node.on_lost()
        assert not bench.node.is_published
        actions = bench.connect({IN: 3, StreamId(OUT, "me"): 1})
        assert [a.first_seq for a in only(actions, Write)] == [2]

    def test_an_attempt_is_written_again_when_the_connection_broke_before_its_answer(self) -> None:
        """A tail of the right length does not prove who wrote it: only the script's answer lets the order go."""
        bench = Bench(on_message(Publish(OUT, a_wish()), PLACE))
        bench.connect()
        bench.hear(1)
        bench.step()
        bench.node.on_lost()
        actions = bench.connect({IN: 1, StreamId(OUT, "me"): 1})
        assert [(a.first_seq, len(a.bodies)) for a in only(actions, Write)] == [(1, 1)]
        assert not only(actions, Call)
        assert only(bench.stored(1), Call) == [Call(PLACE)]

    def test_a_replaced_instance_sends_nothing_when_its_tail_was_written_by_another(self) -> None:
        """The zombie's attempt has the number of the newer instance's message: it is fenced before the venue hears of it."""
        bench = Bench(on_message(Publish(OUT, a_wish()), PLACE))
        bench.connect()
        bench.hear(1)
        bench.step()
        bench.node.on_lost()
        bench.connect({IN: 1, StreamId(OUT, "me"): 1})
        actions = bench.published(PublishStatus.FENCED, 1)
        assert the_exit(actions).code == EXIT_FENCED
        assert not only(bench.done, Call)

    def test_the_daemon_exits_when_the_stream_belongs_to_another_journal(self) -> None:
        """Only an operator may adopt a new history."""
        bench = Bench(relay())
        bench.connect()
        bench.hear(1)
        bench.step()
        assert the_exit(bench.published(PublishStatus.NEW_EPOCH, 1)) == Exit(EXIT_HALT, "stream out belongs to another journal of me; an operator must adopt the new history")

    def test_the_daemon_exits_when_a_stream_ends_beyond_its_journal(self) -> None:
        """At the start or in an answer: a number we said and do not know proves that the journal lost history."""
        assert the_exit(Bench().connect({StreamId(OUT, "me"): 1})).code == EXIT_HALT
        bench = Bench(relay())
        bench.connect()
        bench.hear(1)
        bench.step()
        assert the_exit(bench.stored(2)).code == EXIT_HALT

    def test_the_daemon_exits_when_somebody_acknowledges_what_it_never_said(self) -> None:
        """A consumer's word proves as much as a stream's end."""
        assert the_exit(Bench().connect({}, {OUT: {"down": 1}})).code == EXIT_HALT
        assert the_exit(Bench().node.on_acknowledgements(OUT, {"down": 1})).code == EXIT_HALT

    def test_the_daemon_exits_when_it_had_handled_more_than_its_journal_knows(self) -> None:
        """Its own acknowledgement is beyond its journal: what it had taken in and answered for is gone."""
        bench = Bench()
        bench.hear(1)
        bench.step()
        assert not only(bench.connect({IN: 2}, handled={IN: 1}), Exit)
        exit_ = the_exit(bench.connect({IN: 2}, handled={IN: 2}))
        assert (exit_.code, "lost history: in was handled up to 2, the journal ends at 1" in exit_.reason) == (EXIT_HALT, True)

    def test_the_daemon_exits_when_the_journal_does_not_hold_what_the_stream_lacks(self) -> None:
        """A hole that nobody can fill is never passed over."""
        bench = Bench(relay())
        bench.connect()
        assert the_exit(bench.node.on_outputs(OUT, [])).code == EXIT_HALT

    def test_acknowledgements_are_journaled_and_trimmed_below_when_they_are_news(self) -> None:
        """The lowest acknowledgement is where a lost stream begins again; one acknowledged entry stays in the stream."""
        bench = Bench(relay())
        bench.connect()
        for seq in (1, 2, 3):
            bench.hear(seq)
        bench.step()
        bench.stored(3)
        assert bench.node.on_acknowledgements(OUT, {"down": 1}) == []
        assert bench.node.on_acknowledgements(OUT, {"down": 3}) == [Trim(StreamId(OUT, "me"), 3)]
        assert bench.node.wants_step
        bench.step()
        assert bench.journal.acked == {OUT: {"down": 3}}
        assert bench.node.outboxes[OUT].backlog == 0

    def test_nothing_is_trimmed_while_the_stream_is_not_complete(self) -> None:
        """Trimming a stream that is being topped up would hide its hole."""
        bench = Bench(relay())
        bench.connect()
        for seq in (1, 2, 3):
            bench.hear(seq)
        bench.step()
        bench.node.on_lost()
        assert bench.node.on_acknowledgements(OUT, {"down": 3}) == []


class TestPoison:
    """What cannot be understood stops its link, keeps what came before, and is never skipped."""

    def test_what_came_before_is_kept_when_an_entry_cannot_be_decoded(self) -> None:
        """Commit, quarantine, exit: in one transaction."""
        bench = Bench(relay())
        bench.connect({IN: 3})
        bench.perform(bench.node.on_read(IN, [Entry(1, a_wire(IN, 1)), Entry(2, b"{"), Entry(3, a_wire(IN, 3))], 3, 1))
        actions = bench.step()
        assert the_exit(actions).code == EXIT_POISON
        (commit,) = only(actions, Commit)
        assert [row.seq for row in commit.batch.inputs] == [1]
        assert [(row.topic, row.producer, row.seq, row.data) for row in commit.batch.quarantine] == [("in", "up", 2, b"{")]
        assert not only(actions, Write)

    def test_the_link_stays_stopped_when_the_daemon_starts_again(self) -> None:
        """No crash loop: other links go on, the machine knows, and nothing behind the poison is handled."""
        bench = Bench(subscriptions=(Subscription(IN), Subscription(OTHER)))
        bench.perform(bench.node.on_read(IN, [Entry(1, b"{")], 1, 1))
        bench.step()
        again = bench.restarted(Puppet())
        assert again.connect({IN: 2, OTHER: 0}) == []
        again.hear(2)
        again.read(2, last=2)
        again.perform(again.node.on_read(IN, [Entry(1, b"{")], 1, 1))
        again.hear(1, stream=OTHER)
        again.run()
        assert again.machine.heard == [("other", 1)]
        (fact,) = [event.fact for event in again.machine.seen if isinstance(event, Observed)]
        assert isinstance(fact, LinkStopped) and (fact.topic, fact.producer) == ("in", "up")
        assert list(again.node.stopped_links) == [IN]

    def test_an_old_poison_does_not_matter_when_its_stream_is_not_taken_in_any_more(self) -> None:
        """The configuration changed; there is no link to stop."""
        bench = Bench(subscriptions=(Subscription(IN), Subscription(OTHER)))
        bench.perform(bench.node.on_read(OTHER, [Entry(1, b"{")], 1, 1))
        bench.step()
        again = Bench(journal=bench.journal)
        again.hear(1)
        again.run()
        assert again.machine.heard == [("in", 1)]
        assert again.node.stopped_links == {}

    @pytest.mark.parametrize("entry", [Entry(1, a_wire(IN, 2)), Entry(1, a_wire(OTHER, 1)), Entry(1, a_wire(StreamId("in", "side"), 1))])
    def test_a_message_that_contradicts_its_place_is_poison(self, entry: Entry) -> None:
        """Number, topic and producer inside must be those of the stream."""
        bench = Bench()
        bench.perform(bench.node.on_read(IN, [entry], 1, 1))
        stopped = the_exit(bench.step())
        assert stopped.code == EXIT_POISON
        assert "the stream says in of up number 1" in stopped.reason
        assert bench.machine.seen == []

    @pytest.mark.parametrize("data", [b"{", a_wire(OTHER, 1), a_wire(StreamId("in", "side"), 1)])
    def test_the_stream_is_read_when_a_live_delivery_makes_no_sense(self, data: bytes) -> None:
        """A delivery is a hint; only the stream gives a message its number."""
        bench = Bench()
        assert bench.perform(bench.node.on_message(IN, data, 1)) == [Read(IN, 1, READ_CHUNK)]
        assert not bench.node.wants_step

    def test_a_delivery_of_a_strange_stream_is_nothing(self) -> None:
        """Only subscribed streams are heard."""
        assert Bench().hear(1, stream=OTHER) == []

    def test_nothing_of_the_faulty_input_is_kept_when_a_handler_fails(self) -> None:
        """What came before in the batch stands; of the input itself only the quarantine row does."""

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            assert isinstance(event, Message)
            if event.seq == 2:
                return [Publish(OUT, event.body), PLACE, Archive("k", "2", b""), Publish("no.such.topic", event.body)]
            return [Publish(OUT, event.body), CANCEL, Archive("k", "1", b"")]

        bench = Bench(Puppet(react))
        bench.connect()
        for seq in (1, 2, 3):
            bench.hear(seq)
        actions = bench.step()
        assert kinds(actions) == ["Commit", "Tell", "Exit"]
        assert the_exit(actions).code == EXIT_POISON
        batch = only(actions, Commit)[0].batch
        assert batch.watermarks == {IN: (1, "up-epoch")}
        assert [row.n for row in batch.inputs] == [row.n for row in batch.outputs] == [row.n for row in batch.calls] == [1]
        assert [row.key for row in batch.archive] == ["1"]
        assert [(row.seq, row.data) for row in batch.quarantine] == [(2, a_wire(IN, 2))]

    @pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, AssertionError, ZeroDivisionError, RecursionError, NotImplementedError])
    def test_the_daemon_exits_when_a_handler_raises(self, error: type[Exception]) -> None:
        """Whatever a bug raises, the input that showed it is named and the link stops."""

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            raise error("bug")

        bench = Bench(Puppet(react))
        bench.hear(1)
        assert the_exit(bench.step()) == Exit(EXIT_POISON, f"in 1 could not be handled: {error.__name__}: {error('bug')}")
        assert [row.seq for row in bench.journal.quarantine] == [1]

    def test_nothing_is_committed_when_the_first_input_is_a_faulty_command(self) -> None:
        """A command has no link to stop; the process still ends."""

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            raise ValueError("bug")

        bench = Bench(Puppet(react))
        bench.command("c1", CancelAllOrders(reason="r"))
        assert kinds(bench.step()) == ["Tell", "Exit"]

    def test_no_input_is_blamed_when_the_journal_cannot_be_asked(self) -> None:
        """A journal that fails is no poison: the same input is handled when it is well again."""
        bench = Bench(Puppet(needs=lambda event: Needs(archived=(("k", "1"),))))
        bench.archived = _broken_journal  # type: ignore[method-assign]
        bench.hear(1)
        with pytest.raises(JournalError):
            bench.node.step()
        assert bench.journal.quarantine == []


def _broken_journal(keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    raise JournalError("disk")


class TestForeignHistory:
    """A producer with another journal: its numbers mean something else."""

    def test_the_link_stops_when_the_next_message_has_another_epoch(self) -> None:
        """What came before stays handled, the machine is told, and the other messages are never taken."""
        bench = Bench()
        bench.hear(1)
        actions = bench.hear(2, epoch="new")
        assert [a.log.event for a in only(actions, Tell)] == ["link_stopped"]
        bench.hear(3, epoch="new")
        bench.hear(3)
        bench.run()
        assert bench.machine.heard == [("in", 1)]
        facts = [event.fact for event in bench.machine.seen if isinstance(event, Observed)]
        assert [type(fact) for fact in facts] == [LinkStopped]

    def test_the_link_stops_when_an_old_number_comes_with_another_epoch(self) -> None:
        """A producer that lost its journal begins again at 1: that is no repeat of what we know."""
        bench = Bench()
        for seq in (1, 2):
            bench.hear(seq)
        bench.hear(1)
        assert bench.node.stopped_links == {}
        bench.hear(1, epoch="new")
        assert list(bench.node.stopped_links) == [IN]
        assert bench.hear(1, epoch="newer") == bench.read(1, last=1, epoch="newer") == []

    def test_the_end_of_a_stream_is_read_when_it_is_shorter_than_what_was_handled(self) -> None:
        """It lost its tail and will be topped up, or it is another history: its last entry says which."""
        bench = Bench()
        for seq in (1, 2, 3):
            bench.hear(seq)
        bench.step()
        assert only(bench.connect({IN: 1}), Read) == [Read(IN, 1, READ_CHUNK)]
        bench.read(1, last=1)
        assert bench.node.stopped_links == {}
        bench.node.on_tail(IN, 1)
        bench.read(1, last=1, epoch="new")
        assert list(bench.node.stopped_links) == [IN]

    def test_the_epoch_is_known_after_a_restart(self) -> None:
        """It stands beside the watermark."""
        bench = Bench()
        bench.hear(1)
        bench.step()
        again = bench.restarted(Puppet())
        again.hear(2, epoch="new")
        assert list(again.node.stopped_links) == [IN]


class TestGaps:
    """Deliveries are hints, the stream is the truth."""

    def test_a_gap_is_read_before_what_came_behind_it_is_handled(self) -> None:
        """Contiguous, once, in order."""
        bench = Bench()
        assert bench.hear(3) == [Read(IN, 1, READ_CHUNK)]
        assert bench.node.has_gap
        bench.read(1, 2, 3, last=3)
        bench.hear(2)
        bench.run()
        assert bench.machine.heard == [("in", 1), ("in", 2), ("in", 3)]
        assert not bench.node.has_gap

    def test_the_rest_is_asked_for_when_a_read_did_not_reach_the_end(self) -> None:
        """A resend storm arrives in pieces."""
        bench = Bench()
        bench.connect({IN: 3})
        assert bench.read(1, 2, last=3) == [Read(IN, 3, READ_CHUNK)]

    def test_the_daemon_exits_when_the_stream_has_lost_what_it_needs(self) -> None:
        """A hole in history is for a person."""
        bench = Bench()
        bench.connect({IN: 5})
        assert the_exit(bench.read(4, 5, last=5)).code == EXIT_HALT

    def test_a_lost_read_is_asked_again_when_the_bus_comes_back(self) -> None:
        """An answer of the connection before never comes."""
        bench = Bench()
        bench.connect({IN: 1})
        assert only(bench.connect({IN: 1}), Read) == [Read(IN, 1, READ_CHUNK)]
        bench.node.on_lost()
        assert bench.node.on_tail(IN, 1) == [Read(IN, 1, READ_CHUNK)]

    def test_a_silent_loss_is_found_when_the_tail_is_checked(self) -> None:
        """The last message of a burst, lost with silence after it: the second look finds it still missing."""
        bench = Bench()
        assert bench.node.on_check(IN, 1) == []
        assert bench.node.on_check(IN, 1) == [Read(IN, 1, READ_CHUNK)]


class TestMarks:
    """Prices that are attached instead of handled."""

    MARKS = (Subscription(IN), Subscription(BARS, View.AS_MARKS))

    def bench(self) -> Bench:
        """A daemon that wants the price of IBM with every input."""
        return Bench(Puppet(needs=lambda event: Needs(symbols=("IBM", "NONE"))), subscriptions=self.MARKS)

    def test_the_latest_visible_price_is_attached_and_journaled(self) -> None:
        """What the machine saw is what a replay sees; a symbol without a price is absent."""
        bench = self.bench()
        bench.clock.now = NOW - 1
        bench.hear(1, a_bar(5.0, close_ns=NOW - MINUTE), stream=BARS)
        bench.hear(2, a_bar(6.0), stream=BARS)
        bench.hear(1)
        bench.step()
        bench.clock.now = NOW
        bench.hear(2)
        bench.step()
        marks = [attached.marks for attached in bench.machine.attached]
        assert marks == [(Mark("IBM", 5.0, NOW - MINUTE),), (Mark("IBM", 6.0, NOW),)]
        assert [decode_attached(row.attached).marks for row in bench.journal.inputs] == marks

    def test_a_bar_is_acknowledged_on_receipt_and_never_journaled(self) -> None:
        """It has no consequence of its own."""
        bench = self.bench()
        assert bench.hear(1, a_bar(), stream=BARS) == [Acknowledge({BARS: 1})]
        bench.step()
        assert bench.journal.inputs == []

    def test_a_new_process_starts_one_before_the_newest_entry(self) -> None:
        """The newest bar may not be visible yet; then the one before it is the price."""
        bench = self.bench()
        assert bench.connect({BARS: 9}) == [Read(BARS, 8, READ_CHUNK)]
        bench.perform(bench.node.on_read(BARS, [Entry(seq, a_wire(BARS, seq, a_bar(float(seq), close_ns=NOW + (seq - 8) * MINUTE))) for seq in (8, 9)], 9, 1))
        bench.hear(1)
        bench.step()
        assert bench.machine.attached[-1].marks == (Mark("IBM", 8.0, NOW),)

    def test_a_new_process_takes_what_is_left_when_older_entries_are_trimmed(self) -> None:
        """A price needs no history."""
        bench = self.bench()
        bench.connect({BARS: 9})
        assert bench.perform(bench.node.on_read(BARS, [Entry(9, a_wire(BARS, 9, a_bar()))], 9, 1)) == [Acknowledge({BARS: 9})]

    def test_a_delivery_before_the_first_tail_check_loses_no_price(self) -> None:
        """The entry before it is read first."""
        bench = self.bench()
        assert bench.hear(9, a_bar(), stream=BARS) == [Read(BARS, 8, READ_CHUNK)]

    def test_a_bad_bar_is_dropped_with_a_word_and_the_next_one_is_taken(self) -> None:
        """A price that cannot be read grows old, which risk sees; nothing stops."""
        bench = self.bench()
        bench.connect({BARS: 1})
        actions = bench.perform(bench.node.on_read(BARS, [Entry(1, b"{")], 2, 1))
        assert [a.log.event for a in only(actions, Tell)] == ["market_data_dropped"]
        assert only(actions, Read) == [Read(BARS, 2, READ_CHUNK)]
        bench.perform(bench.node.on_read(BARS, [Entry(2, a_wire(BARS, 2, a_bar()))], 2, 1))
        bench.step()
        assert bench.node.marks == {"IBM": Mark("IBM", 100.0, NOW)}

    def test_a_mark_is_known_at_once_where_the_future_may_be_seen(self) -> None:
        """Nothing waits for a clock that does not hold it."""
        bench = Bench(subscriptions=(Subscription(BARS, View.AS_MARKS, sees_future=True),))
        assert bench.hear(1, a_bar(close_ns=NOW + MINUTE), stream=BARS) == [Acknowledge({BARS: 1})]
        assert "IBM" in bench.node.marks

    def test_what_is_no_bar_is_no_price(self) -> None:
        """Only a bar's close is a mark."""
        bench = Bench(subscriptions=(Subscription(OTHER, View.AS_MARKS),))
        bench.hear(1, stream=OTHER)
        assert bench.node.marks == {}


class TestTime:
    """Who may see what when."""

    def test_a_bar_waits_until_it_may_be_seen(self) -> None:
        """Nobody handles data before its moment, and then all bars of the moment come by topic."""
        other = StreamId("md.bars.1m.AAPL", "md_ingest")
        bench = Bench(subscriptions=(Subscription(BARS), Subscription(other)))
        bench.clock.now = NOW - 1
        bench.hear(1, a_bar(), stream=BARS)
        bench.hear(1, a_bar(symbol="AAPL"), stream=other)
        assert bench.node.next_due_ns == NOW
        assert not bench.node.wants_step
        bench.clock.now = NOW
        bench.step()
        assert bench.machine.heard == [("md.bars.1m.AAPL", 1), ("md.bars.1m.IBM", 1)]

    def test_the_venue_sees_a_bar_before_anyone_may(self) -> None:
        """The market moves first: resting orders fill on data that nobody has decided on."""
        bench = Bench(subscriptions=(Subscription(BARS, sees_future=True),))
        bench.clock.now = NOW - 1
        bench.hear(1, a_bar(), stream=BARS)
        bench.step()
        assert bench.machine.heard == [("md.bars.1m.IBM", 1)]

    def test_the_session_clock_moves_the_node_when_it_is_handled(self) -> None:
        """Not when it arrives: what was before it in line is handled before it in time."""
        bench = Bench(waits_for_clock=True)
        bench.clock.now = NOW - MINUTE
        bench.hear(1, ts_ns=NOW - MINUTE)
        bench.hear(2, a_clock(NOW), ts_ns=NOW)
        bench.step()
        assert bench.machine.times == [NOW - MINUTE, NOW]

    def test_a_replayed_message_waits_when_it_overtook_the_clock(self) -> None:
        """Handled now, it would be dated before its own cause."""
        bench = Bench(subscriptions=(Subscription(IN), Subscription(OTHER)), waits_for_clock=True)
        bench.clock.now = NOW - 1
        bench.hear(1, ts_ns=NOW)
        assert not bench.node.wants_step
        assert bench.node.next_due_ns == NOW
        bench.hear(1, a_clock(NOW), stream=OTHER, ts_ns=NOW)
        bench.step()
        assert bench.machine.heard == [("other", 1), ("in", 1)]

    def test_a_live_message_never_waits_for_the_clock(self) -> None:
        """Two hosts' clocks differ; only data is held by its moment."""
        bench = Bench()
        bench.hear(1, ts_ns=NOW + MINUTE)
        bench.step()
        assert bench.machine.heard == [("in", 1)]

    def test_one_wake_comes_before_what_has_arrived_when_it_is_due(self) -> None:
        """However many were missed."""
        machine = Puppet(due_ns=NOW - MINUTE)

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            machine.due_ns = None
            return ()

        machine.react = react
        bench = Bench(machine)
        bench.hear(1)
        assert bench.node.wants_step
        bench.step()
        assert machine.seen[0] == Wake(NOW - MINUTE)
        assert machine.heard == [("in", 1)]

    def test_the_speaker_of_the_session_clock_follows_it_itself(self) -> None:
        """What md_ingest says next is dated by what it said last."""
        bench = Bench(Puppet(lambda event, _: [Publish(OUT, a_clock(NOW + MINUTE, phase=SessionPhase.DECIDE))]))
        bench.node.on_observed(Observed(Settled(-1)), 1)
        bench.node.on_observed(Observed(Settled(0)), 1)
        bench.step()
        assert bench.machine.times == [NOW, NOW + MINUTE]


class TestAttachments:
    """What stands beside an input."""

    def test_nothing_is_attached_when_nothing_is_found(self) -> None:
        """Absent is absent, and costs no bytes."""
        bench = Bench(Puppet(needs=lambda event: Needs(symbols=("IBM",), archived=(("k", "1"),), feed_step=4)))
        bench.hear(1)
        bench.step()
        assert bench.journal.inputs[0].attached == b""

    def test_archived_rows_and_feed_rows_are_attached_when_asked_for(self) -> None:
        """From the journal and from the feed, as they are now."""
        row = FeedRow("md.bars.1m.IBM", _body(a_bar()))
        bench = Bench(Puppet(lambda event, _: [Archive("k", "1", b"one")], needs=lambda event: Needs(archived=(("k", "1"), ("k", "2")), feed_step=4)))
        bench.rows[4] = (row,)
        for seq in (1, 2):
            bench.hear(seq)
            bench.step()
        assert bench.machine.attached == [Attached(feed=(row,)), Attached(archived={"k/1": b"one"}, feed=(row,))]
        assert decode_attached(bench.journal.inputs[1].attached) == bench.machine.attached[1]

    def test_a_row_archived_in_the_same_commit_is_found(self) -> None:
        """Unique for ever begins at once: the second of two inputs in a batch must see what the first one archived."""
        bench = Bench(Puppet(lambda event, _: [Archive("intent", "1", b"x")], needs=lambda event: Needs(archived=(("intent", "1"),))))
        bench.hear(1)
        bench.hear(2)
        assert len(only(bench.step(), Commit)) == 1
        assert [attached.archived for attached in bench.machine.attached] == [{}, {"intent/1": b"x"}]

    def test_the_journal_alone_is_asked_when_the_commit_is_done(self) -> None:
        """What it has is not remembered beside it."""
        bench = Bench(Puppet(lambda event, _: [Archive("intent", "1", b"x")], needs=lambda event: Needs(archived=(("intent", "1"),))))
        bench.hear(1)
        bench.step()
        bench.journal.archive.clear()
        bench.hear(2)
        bench.step()
        assert bench.machine.attached[1].archived == {}


def _body(body: Contract) -> MarketData:
    return body  # type: ignore[return-value]


class TestSnapshots:
    """A snapshot stands in the transaction of the input it follows."""

    def test_a_snapshot_follows_after_so_many_inputs(self) -> None:
        """With the state after the last input of the batch, under its number."""
        bench = Bench(snapshot_every=2)
        for seq in (1, 2, 3):
            bench.hear(seq)
            bench.step()
        assert bench.journal.snapshot == (2, msgspec.json.encode(PuppetState(2)))

    def test_snapshots_become_rarer_when_the_state_is_large(self) -> None:
        """Writing one may cost as much as it saves."""
        machine = Puppet()
        machine.state = PuppetState(0, "x" * 2_000)
        bench = Bench(machine, snapshot_every=2)
        taken = []
        for seq in range(1, 14):
            bench.hear(seq)
            taken += [a.batch.snapshot[0] for a in only(bench.step(), Commit) if a.batch.snapshot]
        assert taken == [2, 12]

    def test_a_clean_stop_leaves_nothing_to_handle_again(self) -> None:
        """The last snapshot stands at the last input."""
        bench = Bench()
        bench.hear(1)
        bench.step()
        bench.journal.commit(bench.node.snapshot_batch())
        again = bench.restarted(Puppet())
        assert again.machine.seen == []
        assert again.machine.state == PuppetState(1)


class TestOtherInputs:
    """Everything the machine sees is one row with a number of its own."""

    def test_every_kind_of_input_is_journaled_in_the_order_it_came(self) -> None:
        """Commands, facts, configuration, replies, pushes."""
        bench = Bench()
        bench.node.on_config(ConfigLoaded("h", "{}"))
        bench.node.on_observed(Observed(Settled(1)), 1)
        bench.command("c1", CancelAllOrders(reason="r"))
        bench.node.on_call_reply("a", OutcomeUnknown(cause="timeout"), 1)
        bench.node.on_push(pushed(1), 1)
        bench.step()
        assert [(row.n, row.kind) for row in bench.journal.inputs] == [(1, "ConfigLoaded"), (2, "Observed"), (3, "Command"), (4, "CallReplied"), (5, "VenuePushed")]
        assert isinstance(bench.machine.seen[2], Command)

    def test_a_message_said_because_of_a_message_names_its_cause(self) -> None:
        """Any fill can be walked back."""
        bench = Bench(relay())
        bench.hear(1)
        (commit,) = only(bench.step(), Commit)
        envelope = msgspec.json.decode(commit.batch.outputs[0].data)
        assert envelope["causation_id"] == "up-epoch:in:1"
        assert (envelope["producer"], envelope["epoch"], envelope["ts_ns"]) == ("me", "my-epoch", NOW)
