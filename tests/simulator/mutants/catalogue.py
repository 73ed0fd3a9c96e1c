"""The planted bugs. Each is one replacement of text in one production file, and stands for a bug that somebody once shipped."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MUTANTS", "Mutant"]


class Mutant(NamedTuple):
    """A planted bug: where, what is replaced by what, and what it stands for."""

    name: str
    path: str
    old: str
    new: str
    bug: str


_NODE, _OUTBOX, _LINK, _RECOVERY = "core/node.py", "core/outbox.py", "core/link.py", "core/recovery.py"
_OMS, _FOLD, _FEED = "execution/oms.py", "core/order/fold.py", "execution/event_feed.py"
_ATTEMPTS, _CANCELS, _GATE, _GATEWAY = "execution/attempts.py", "execution/cancels.py", "execution/gate.py", "execution/broker_gateway.py"
_EXPOSURE, _RISK, _LEDGER = "risk/exposure.py", "risk/engine.py", "execution/ledger.py"

_STEP = "return [Commit(batch), *self._writes(), *self._release_calls(), *after, *self._acknowledge(), *exits]"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "publish_before_commit",
        _NODE,
        _STEP,
        _STEP.replace("Commit(batch), *self._writes()", "*self._writes(), Commit(batch)"),
        "what leaves first may be known elsewhere and lost here",
    ),
    Mutant(
        "call_before_commit",
        _NODE,
        _STEP,
        _STEP.replace("Commit(batch), *self._writes(), *self._release_calls()", "*self._release_calls(), Commit(batch), *self._writes()"),
        "an order leaves that nobody remembers",
    ),
    Mutant(
        "answer_before_commit",
        _NODE,
        _STEP,
        _STEP.replace("Commit(batch), *self._writes(), *self._release_calls(), *after", "*after, Commit(batch), *self._writes(), *self._release_calls()"),
        "the venue answers and forgets",
    ),
    Mutant("acknowledge_on_receipt", _NODE, "while handled and handled[0].last_n < floor:", "while handled:", "a producer forgets what has no consequence yet"),
    Mutant(
        "watermark_behind",
        _NODE,
        "batch.watermarks[stream] = (event.seq, self._epochs[stream])",
        "batch.watermarks[stream] = (event.seq - 1, self._epochs[stream])",
        "the watermark is not in the transaction of what was done",
    ),
    Mutant(
        "fence_not_waited_for",
        _NODE,
        "if entry.topic and self.outboxes[entry.topic].confirmed < entry.seq:",
        "if False:",
        "a zombie's order leaves before it learns that it is one",
    ),
    Mutant("interrupted_calls_forgotten", _NODE, 'self._inbox.append((CallInterrupted(call_id), 0, b""))', "pass", "an attempt that the process died in stays open for ever"),
    Mutant("gate_not_asked", _NODE, "elif (refusal := self._refusal(entry.call)) is not None:", "elif (refusal := None) is not None:", "nobody looks before the wire"),
    Mutant("stream_not_topped_up", _OUTBOX, "stored = last_seq if last_seq else self.base - 1", "stored = self.last", "after a reconnect everything counts as published"),
    Mutant(
        "behind_taken_for_stored",
        _OUTBOX,
        "            self._confirm(outcome.last_seq)\n",
        "            self._confirm(max(self.confirmed, written))\n",
        "the server lost its tail and nobody fills it up",
    ),
    Mutant(
        "base_is_the_fastest_consumer", _OUTBOX, "return min(self.acked.values()) + 1", "return max(self.acked.values()) + 1", "a server that lost everything gets back too little"
    ),
    Mutant(
        "gap_read_skipped",
        _LINK,
        "        if len(self._held) < _HELD_MAX:\n",
        "        self._accept(seq, item)\n        return None\n        if len(self._held) < _HELD_MAX:\n",
        "a hole in a stream is stepped over",
    ),
    Mutant(
        "late_read_not_repeated",
        _LINK,
        "        self._reading = False\n\n    def take",
        "        pass\n\n    def take",
        "a read that was lost with its connection is waited for, for ever",
    ),
    Mutant(
        "restart_forgets_the_clock",
        _RECOVERY,
        "        recovered.last_n,\n        recovered.last_now_ns,\n",
        "        max(0, recovered.last_n - 1),\n        recovered.last_now_ns,\n",
        "inputs of two runs get the same number",
    ),
    Mutant("push_gap_skipped", _FEED, "if cursor > self.cursor + 1:", "if False:", "a lost push is a lost fill"),
    Mutant("push_taken_twice", _FEED, "if cursor <= self.cursor:", "if False:", "a repeated push is handled again"),
    Mutant(
        "timeout_is_a_rejection",
        _ATTEMPTS,
        "self._doubt(order, _cause_of(reply))",
        "self._book.report(order, ExecType.REJECTED, REPLY, _cause_of(reply))\n                self._book.end(order, REFUSED)",
        "no answer is taken for no",
    ),
    Mutant("resend_without_evidence", _ATTEMPTS, "self._doubt(order, _cause_of(reply))", "self.send(order)", "no answer is taken for not sent"),
    Mutant(
        "not_found_is_found_wanting",
        _ATTEMPTS,
        "            self.send(order, QUERY)\n",
        '            self._book.report(order, ExecType.REJECTED, QUERY, "NOT_FOUND")\n',
        "an order that never got there is told rejected and goes on",
    ),
    Mutant(
        "doubt_not_asked_after",
        _ATTEMPTS,
        '            self._book.put(replace(order, query="", due_ns=due_ns))',
        '            self._book.put(replace(order, query="", due_ns=None))',
        "a doubt is left standing after a question without an answer",
    ),
    Mutant(
        "cancel_is_done_when_taken",
        _CANCELS,
        "self._book.report_cancel(order, cancel, ExecType.PENDING_CANCEL)",
        "self._book.report_cancel(order, cancel, ExecType.CANCELLED)",
        "a cancel counts as done when it was only asked for",
    ),
    Mutant("held_cancel_dropped", _CANCELS, "if cancel.stage is CancelStage.HELD:", "if False:", "a cancel that came before its order is forgotten"),
    Mutant(
        "kill_does_not_sweep",
        _CANCELS,
        "                self.sweeps = 0\n                self.sweep()\n",
        "                self.sweeps = 0\n",
        "a kill stops what is new and leaves what is open",
    ),
    Mutant(
        "kill_file_not_looked_at",
        _GATE,
        "refusal = _kill_refusal(approval, facts.kill_switch) or _binding_refusal(",
        "refusal = _binding_refusal(",
        "the kill flag of a moment ago decides",
    ),
    Mutant(
        "reducing_lets_entries_through",
        _GATE,
        "if approval.reduces and kill_switch.trading_state is TradingState.REDUCING:",
        "if kill_switch.trading_state is TradingState.REDUCING:",
        "REDUCING means nothing",
    ),
    Mutant("approval_never_expires", _GATE, "if now_ns > approval.expires_ns:", "if False:", "a stopped process goes on with what it was allowed an age ago"),
    Mutant(
        "snapshot_without_feed",
        _GATEWAY,
        "feed=self._book.feed.copy(),",
        "feed=EventFeed(self._book.account, self._book.topic),",
        "a restart reads the venue's events from the first one on",
    ),
    Mutant("snapshot_without_log_count", _OMS, "            self._tell.log.count,\n", "            0,\n", "a field is missing in a snapshot"),
    Mutant(
        "execution_booked_twice",
        _FOLD,
        "if entry.key in order.executions or (entry.kind is Amendment.TRADE and not entry.qty):",
        "if entry.kind is Amendment.TRADE and not entry.qty:",
        "a repeated execution counts again",
    ),
    Mutant(
        "late_fill_dropped",
        _FOLD,
        "    if report.exec_type in _TRADES:\n        folded = _fold_execution(order, report)\n",
        "    if report.exec_type in _TRADES and order.status.is_terminal:\n        return Folded(order)\n    if report.exec_type in _TRADES:\n        folded = _fold_execution(order, report)\n",
        "an execution after the end is not booked",
    ),
    Mutant(
        "ended_order_forgotten",
        _OMS,
        "        for client_order_id in dict.fromkeys(order.client_order_ids):\n",
        "        for client_order_id in ():\n",
        "an order that ended is a stranger",
    ),
    Mutant(
        "fees_forgotten",
        _LEDGER,
        "return self._paid(booking.transaction(self._next_number(), TransactionKind.FILL, now_ns))",
        "return booking.transaction(self._next_number(), TransactionKind.FILL, now_ns)",
        "cash does not follow from the entries",
    ),
    Mutant(
        "partial_fill_releases_all",
        _EXPOSURE,
        "leaves = ZERO if has_ended else event.leaves_qty",
        "leaves = ZERO if has_ended or event.last_qty else event.leaves_qty",
        "a partial fill releases the whole reservation",
    ),
    Mutant(
        "approval_reserves_nothing",
        _RISK,
        "            self._exposure.reserve(intent.intent_id, reservation_of(intent))",
        "            pass",
        "what was allowed a moment ago does not count yet",
    ),
    Mutant("ended_orders_stay_reserved", _EXPOSURE, "    if has_ended and not working:\n        return None\n", "", "a reservation is never released"),
)
