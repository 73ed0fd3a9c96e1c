"""`njord journal`: every kind of damage and rollback is told, nothing is put back that is behind what others know, and what an operator
does is kept with who did it."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from apps.cli import main as cli
from apps.cli.journals import JournalReader
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.journal_sums import SUM_KEY, StateSum
from apps.runtime.wal import damaged_log
from core.ports import StreamId
from core.settings import Settings
from core.topics import Daemon
from tests.support.builders import STRATEGY, SYMBOL
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings
from tests.support.redis_server import RedisServer


def _finish(root: Path, steps: int, settings: Settings) -> None:
    with JournaledSuite(root, settings, a_zigzag(steps), 1) as suite:
        suite.run()
    suite.home.settings_overlay.write_text(yaml.safe_dump(json.loads(settings.model_dump_json())))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite that has traded to its end. Tests work on copies."""
    root = tmp_path_factory.mktemp("finished")
    _finish(root, 16, trading_settings())
    return root


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of it, the one that is meant."""
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "home"
    shutil.copytree(finished, root)
    monkeypatch.setenv("NJORD_HOME", str(root))
    return open_home(root)


Njord = Callable[..., tuple[int, str, str]]


@pytest.fixture
def njord(capsys: pytest.CaptureFixture[str]) -> Njord:
    """Run `njord journal ...`: exit code, what it said, what it complained of."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli._run(["journal", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def _edit(home: Home, daemon: Daemon, *statements: str) -> None:
    with closing(sqlite3.connect(home.journal(daemon.value))) as database:
        for statement in statements:
            assert database.execute(statement).rowcount != 0, statement
        database.commit()


def _sum_again(home: Home, daemon: Daemon) -> None:
    """What was edited looks as if it had always been so: only others know better."""
    with closing(sqlite3.connect(home.journal(daemon.value))) as database:
        database.execute("update meta set value = ? where key = ?", (StateSum.of(database).value, SUM_KEY))
        database.commit()


def _found(njord: Njord, *daemons: str) -> tuple[int, list[str]]:
    code, said, _ = njord("check", *daemons, "--json")
    return code, [problem for journal in json.loads(said)["journals"] for problem in journal["problems"]]


def _reader(home: Home, daemon: Daemon) -> JournalReader:
    return JournalReader(home.journal(daemon.value), daemon.value)


class TestCheck:
    """Whole, and not rolled back."""

    def test_journals_are_sound_when_nothing_happened_to_them(self, home: Home, njord: Njord) -> None:
        """0, with what each journal is; the table and the JSON say the same."""
        code, said, complaint = njord("check", "--json")
        report = json.loads(said)
        assert (code, report["sound"], report["bus"], complaint) == (0, True, "not running", "")
        assert {journal["daemon"] for journal in report["journals"]} == {daemon.value for daemon in Daemon}
        oms = next(journal for journal in report["journals"] if journal["daemon"] == "oms")
        with _reader(home, Daemon.OMS) as reader:
            assert (oms["epoch"], oms["heads"], oms["last_link"]) == (reader.epoch, reader.heads, reader.last_link.hex())
            assert oms["inputs"] == oms["last_n"] == len(list(reader.inputs()))
        code, said, _ = njord("check", "oms")
        assert code == 0
        assert oms["epoch"] in said

    @pytest.mark.parametrize(
        ("daemon", "statement", "problem"),
        [
            (Daemon.OMS, "update watermarks set seq = seq + 32 where topic = 'risk.decision'", "positions, open calls, snapshot or last input are not what the last commit left"),
            (Daemon.OMS, "update heads set seq = seq + 1 where topic = 'orders.events'", "orders.events ends at 10, its last number is 11"),
            (Daemon.OMS, "update snapshots set data = cast(replace(data, '1', '2') as blob)", "positions, open calls, snapshot or last input are not what the last commit left"),
            (Daemon.OMS, "update archive set data = cast('{}' as blob) where kind = 'intent'", "archive row intent"),
            (Daemon.OMS, "update inputs set now_ns = now_ns + 1 where n = 3", "input 3 or what was said about it was changed"),
            (Daemon.OMS, "delete from inputs where n = 5", "input 5 is missing"),
            (Daemon.OMS, "delete from outputs where topic = 'orders.events' and seq = 4", "orders.events 5 follows 3"),
            (Daemon.BROKER, "update calls set outcome_n = null", "positions, open calls, snapshot or last input are not what the last commit left"),
        ],
    )
    def test_damage_is_told_when_a_table_was_changed(self, home: Home, njord: Njord, daemon: Daemon, statement: str, problem: str) -> None:
        """1, and the words name the place; the other journals stay sound."""
        _edit(home, daemon, statement)
        code, problems = _found(njord, daemon.value)
        assert code == 1
        assert any(problem in line for line in problems), problems
        others = [other.value for other in Daemon if other is not daemon]
        assert not [line for line in _found(njord, *others)[1] if "lost history" not in line]

    def test_damaged_index_is_told_when_a_row_cannot_be_found_by_it_any_more(self, home: Home, njord: Njord) -> None:
        """The archive's index is what a duplicate is found by: an entry that is gone is seen by SQLite's own look at all of it."""
        path = home.journal("oms")
        with closing(sqlite3.connect(path)) as database:
            root, size = database.execute("select rootpage, (select page_size from pragma_page_size) from sqlite_master where name = 'sqlite_autoindex_archive_1'").fetchone()
        content = bytearray(path.read_bytes())
        at = content.index(b"intent", (root - 1) * size)
        content[at] ^= 0x02
        path.write_bytes(content)
        code, problems = _found(njord, "oms")
        assert code == 1
        assert any("index" in line for line in problems), problems

    def test_rollback_is_told_when_a_consumer_holds_more_than_was_said(self, home: Home, njord: Njord) -> None:
        """A journal that ends before what another one took in from it lost history, however whole it looks."""
        with _reader(home, Daemon.RISK_ENGINE) as reader:
            head = reader.heads["risk.decision"]
            (n,) = (row.n for row in reader.outputs("risk.decision") if row.seq == head)
        _edit(
            home,
            Daemon.RISK_ENGINE,
            f"delete from inputs where n >= {n}",
            f"delete from outputs where n >= {n}",
            f"update heads set seq = {head - 1} where topic = 'risk.decision'",
        )
        _sum_again(home, Daemon.RISK_ENGINE)
        code, problems = _found(njord, "risk_engine")
        assert code == 1
        assert f"lost history: the journal of oms holds risk.decision up to {head}, the one of risk_engine ends at {head - 1}" in problems

    def test_damaged_log_is_told_when_commits_lie_behind_it(self, home: Home, njord: Njord) -> None:
        """As long as the copy of the log is there, the journal is refused by everyone, and the check says so."""
        damaged_log(home.journal("oms")).write_bytes(b"the log")
        code, problems = _found(njord, "oms")
        assert code == 1
        assert "lost history" in problems[0]

    @pytest.mark.parametrize("arguments", [("check", "nobody"), ("seal", "nobody"), ("backup", "{}/b", "nobody"), ("adopt", "nobody", "--reason", "x")])
    def test_name_is_refused_when_it_is_no_daemon(self, home: Home, njord: Njord, tmp_path: Path, arguments: tuple[str, ...]) -> None:
        """2, and the names that there are."""
        code, _, complaint = njord(*(argument.format(tmp_path) for argument in arguments))
        assert code == 2
        assert "nobody: no daemon, one of md_ingest" in complaint

    @pytest.mark.parametrize("command", ["check", "seal"])
    def test_nothing_is_checked_when_there_is_no_journal(self, home: Home, njord: Njord, command: str) -> None:
        """Nothing at all is not sound."""
        shutil.rmtree(home.state)
        home.state.mkdir()
        code, _, complaint = njord(command)
        assert (code, "holds no journal" in complaint) == (2, True)

    def test_exit_code_is_three_when_a_configured_bus_cannot_be_asked(self, home: Home, njord: Njord, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sound as far as can be told, and it says that the bus was not compared."""
        monkeypatch.setenv("NJORD_REDIS_URL", f"unix://{home.root}/nowhere.sock")
        code, said, _ = njord("check", "--json")
        assert (code, json.loads(said)["bus"][:12]) == (3, "not compared")


class TestSeal:
    """Before another release starts."""

    @staticmethod
    def _unsealed(home: Home, daemon: Daemon) -> int:
        """As after a crash: no snapshot, so that everything is handled again; how much that is."""
        _edit(home, daemon, "delete from snapshots")
        _sum_again(home, daemon)
        with _reader(home, daemon) as reader:
            return len(list(reader.inputs()))

    @pytest.mark.parametrize("daemon", Daemon)
    def test_next_start_handles_nothing_again_when_sealed(self, home: Home, njord: Njord, daemon: Daemon) -> None:
        """Every machine is recovered by this release, once; the snapshot is the state, which `verify` holds against the inputs."""
        count = self._unsealed(home, daemon)
        code, said, _ = njord("seal", daemon.value, "--json")
        assert (code, json.loads(said)["sealed"]) == (0, [{"daemon": daemon.value, "handled_again": count, "last_n": count}])
        assert json.loads(njord("seal", daemon.value, "--json")[1])["sealed"][0]["handled_again"] == 0
        assert cli._run(["verify", "--json"]) == 0

    def test_release_is_refused_when_it_says_something_else(self, home: Home, njord: Njord) -> None:
        """W28: 1, which input, what was recorded and what is said now; nothing is written, so the old release can still seal it."""
        self._unsealed(home, Daemon.STRATEGY_RUNNER)
        other = trading_settings(strategies={STRATEGY: {"kind": "sma_cross", "symbols": [SYMBOL], "params": {"fast": 2, "slow": 3}}})
        home.settings_overlay.write_text(yaml.safe_dump(json.loads(other.model_dump_json())))
        code, _, complaint = njord("seal", "strategy_runner")
        assert code == 1
        assert "not sealed: journal input " in complaint
        assert "recorded telemetry.no_trade" in complaint
        assert "handled again it says nothing" in complaint
        with _reader(home, Daemon.STRATEGY_RUNNER) as reader:
            assert reader.snapshot() is None

    def test_nothing_is_sealed_when_the_daemon_runs(self, home: Home, njord: Njord) -> None:
        """Its journal is locked."""
        running = SqliteJournal(home.journal("oms"), 1)
        try:
            code, _, complaint = njord("seal", "oms")
        finally:
            running.close()
        assert code == 1
        assert f"another process (pid {os.getpid()}) already runs on this journal" in complaint

    @pytest.mark.parametrize("command", [("check",), ("seal",), ("backup", "{}/b"), ("adopt", "oms", "--reason", "x")], ids=lambda command: command[0])
    def test_journal_is_left_as_it_is_when_its_schema_is_another(self, home: Home, njord: Njord, tmp_path: Path, command: tuple[str, ...]) -> None:
        """W27: an unknown major fails closed with words, and no byte of it is touched: not by a command and not by a start."""
        _edit(home, Daemon.OMS, "update meta set value = '2' where key = 'schema'", "drop table quarantine")
        before = home.journal("oms").read_bytes()
        code, said, complaint = njord(command[0], *(["oms"] if command[0] in ("check", "seal") else []), *(argument.format(tmp_path) for argument in command[1:]))
        assert code in (1, 2)
        assert "schema 2, this release writes 1; seal it with the release that wrote it" in " ".join((said + complaint).split())
        assert home.journal("oms").read_bytes() == before


class TestBackup:
    """Copies, and putting them back."""

    def test_backup_is_the_journal_when_it_is_restored(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """Every number and the chain's end; what was there before is kept aside."""
        code, said, _ = njord("backup", str(tmp_path / "b"), "--json")
        manifest = json.loads(said)
        assert (code, manifest["namespace"], len(manifest["journals"])) == (0, home.namespace, len(Daemon))
        assert not list((tmp_path / "b").glob("*.key"))
        before = json.loads(njord("check", "--json")[1])["journals"]
        for daemon in Daemon:
            home.journal(daemon.value).write_bytes(b"gone bad")
        assert njord("restore", str(tmp_path / "b"))[0] == 0
        assert json.loads(njord("check", "--json")[1])["journals"] == before
        (aside,) = home.state.glob("replaced-*")
        assert (aside / "oms.sqlite").read_bytes() == b"gone bad"
        assert cli._run(["verify", "--json"]) == 0

    def test_segments_belong_to_it_when_the_journal_was_rotated(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """The whole history comes back."""
        rotated = SqliteJournal(home.journal("oms"), 1)
        assert rotated.rotate(1) is not None
        rotated.close()
        with _reader(home, Daemon.OMS) as reader:
            inputs = list(reader.inputs())
        assert njord("backup", str(tmp_path / "b"), "oms")[0] == 0
        for file in home.state.glob("oms.*sqlite"):
            file.unlink()
        assert njord("restore", str(tmp_path / "b"), "oms")[0] == 0
        with _reader(home, Daemon.OMS) as reader:
            assert list(reader.inputs()) == inputs

    def test_nothing_is_copied_when_the_journal_is_not_whole(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """A backup of damage would be found out when it is needed."""
        _edit(home, Daemon.OMS, "update inputs set now_ns = now_ns + 1 where n = 3")
        code, _, complaint = njord("backup", str(tmp_path / "b"), "oms")
        assert (code, "not whole: input 3" in complaint) == (2, True)
        assert not (tmp_path / "b" / "manifest.json").exists()

    def test_folder_is_refused_when_something_is_in_it(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """Two backups never mix."""
        assert njord("backup", str(tmp_path / "b"), "oms")[0] == 0
        code, _, complaint = njord("backup", str(tmp_path / "b"), "oms")
        assert (code, "not empty" in complaint) == (2, True)

    def test_backup_is_refused_when_its_files_are_not_what_it_says(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """A bit that flipped in the backup; a file that is gone; no manifest; a manifest of another kind."""
        assert njord("backup", str(tmp_path / "b"), "oms")[0] == 0
        copy, manifest = tmp_path / "b" / "oms.sqlite", tmp_path / "b" / "manifest.json"
        content = bytearray(copy.read_bytes())
        content[5_000] ^= 1
        copy.write_bytes(content)
        before = home.journal("oms").read_bytes()
        assert "its SHA-256 is another" in njord("restore", str(tmp_path / "b"))[2]
        copy.unlink()
        assert "missing from the backup" in njord("restore", str(tmp_path / "b"))[2]
        manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 7'))
        assert "version 7, this release knows 1" in njord("restore", str(tmp_path / "b"))[2]
        manifest.write_text("{}")
        assert "manifest.json" in njord("restore", str(tmp_path / "b"))[2]
        manifest.unlink()
        code, _, complaint = njord("restore", str(tmp_path / "b"))
        assert (code, "this is no whole backup" in complaint) == (2, True)
        assert home.journal("oms").read_bytes() == before

    def test_backup_is_refused_when_it_is_another_suites(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """Its orders are not this account's."""
        assert njord("backup", str(tmp_path / "b"))[0] == 0
        (home.root / "suite.json").write_text(json.dumps({"namespace": "njord-other", "account_epoch": "o"}))
        code, _, complaint = njord("restore", str(tmp_path / "b"))
        assert (code, "is suite njord-other" in complaint) == (2, True)

    def test_daemon_is_refused_when_the_backup_does_not_hold_it(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """And it says what it holds."""
        assert njord("backup", str(tmp_path / "b"), "oms", "broker")[0] == 0
        code, _, complaint = njord("restore", str(tmp_path / "b"), "risk_engine")
        assert (code, "holds no journal of risk_engine, only of oms, broker" in complaint) == (2, True)

    def test_nothing_is_put_back_when_a_daemon_runs(self, home: Home, njord: Njord, tmp_path: Path) -> None:
        """Never from under a living process."""
        assert njord("backup", str(tmp_path / "b"), "oms")[0] == 0
        running = SqliteJournal(home.journal("oms"), 1)
        try:
            code, _, complaint = njord("restore", str(tmp_path / "b"))
        finally:
            running.close()
        assert (code, "already runs on this journal" in complaint) == (2, True)


@pytest.fixture
def older(home: Home, tmp_path: Path) -> Path:
    """A backup of the OMS from before its last inputs: one of the same suite, cut at a commit and whole in itself."""
    whole = home.journal("oms")
    kept = tmp_path / "kept.sqlite"
    shutil.copy(whole, kept)
    with _reader(home, Daemon.OMS) as reader:
        middle = len(list(reader.inputs())) // 2
        reader.cut_at(middle)
        heads, watermarks = reader.heads, reader.watermarks
    _edit(home, Daemon.OMS, "delete from snapshots", f"delete from inputs where n > {middle}", f"delete from outputs where n > {middle}", "delete from archive")
    with closing(sqlite3.connect(whole)) as database:
        database.executemany("update heads set seq = ? where topic = ?", [(seq, topic) for topic, seq in heads.items()])
        database.executemany("update watermarks set seq = ? where topic = ? and producer = ?", [(seq, *stream) for stream, seq in watermarks.items()])
        database.commit()
    _sum_again(home, Daemon.OMS)
    assert cli._run(["journal", "seal", "oms"]) == 0
    assert cli._run(["journal", "backup", str(tmp_path / "older"), "oms"]) == 0
    shutil.copy(kept, whole)
    return tmp_path / "older"


class TestRollback:
    """A backup that is older than what others know, and the new history that follows when the loss is accepted."""

    def test_backup_is_refused_when_consumers_know_more(self, home: Home, njord: Njord, older: Path) -> None:
        """1, who knows what, and what to do; nothing was touched."""
        before = home.journal("oms").read_bytes()
        code, _, complaint = njord("restore", str(older))
        assert code == 1
        assert "lost history: the journal of risk_engine holds orders.events up to 10, the one of oms ends at" in complaint
        assert "lost history: the journal of broker holds orders.accepted.sim up to 3" in complaint
        assert "--accept-loss" in complaint
        assert home.journal("oms").read_bytes() == before

    def test_history_goes_on_beyond_everything_known_when_the_loss_is_accepted_and_adopted(self, home: Home, njord: Njord, older: Path) -> None:
        """A new epoch, no number twice, lost inputs are taken in again, and everybody's journal says who did it and why."""
        with _reader(home, Daemon.OMS) as reader:
            known, epoch = reader.heads, reader.epoch
        assert njord("restore", str(older), "--accept-loss")[0] == 0
        assert any("lost history" in problem for problem in _found(njord, "oms")[1])
        code, said, _ = njord("adopt", "oms", "--reason", "disk died", "--json")
        adopted = json.loads(said)
        assert (code, adopted["epoch_before"]) == (0, epoch)
        assert adopted["epoch"] != epoch
        assert _found(njord)[1] == []
        with _reader(home, Daemon.OMS) as oms, _reader(home, Daemon.BROKER) as broker, _reader(home, Daemon.RISK_ENGINE) as risk:
            assert (oms.epoch, oms.heads["orders.accepted.sim"], oms.heads["orders.events"]) == (adopted["epoch"], known["orders.accepted.sim"], known["orders.events"])
            assert adopted["skipped"]["orders.events"][1] == known["orders.events"]
            assert adopted["again"]["broker.reports.sim of broker"] < broker.heads["broker.reports.sim"]
            assert oms.acked["orders.events"] == {"risk_engine": known["orders.events"], "strategy_runner": known["orders.events"]}
            assert [(o.actor, o.what, o.reason) for o in oms.operations()] == [(getpass.getuser(), "adopt", "disk died")]
            for other in (broker, risk):
                assert [(o.actor, o.what, o.reason) for o in other.operations()] == [(getpass.getuser(), "accept the new history of oms", "disk died")]
            assert risk._db.execute("select seq, epoch from watermarks where topic = 'orders.events'").fetchone() == (known["orders.events"], adopted["epoch"])

    def test_damaged_log_is_kept_under_another_name_when_its_loss_is_adopted(self, home: Home, njord: Njord) -> None:
        """The journal can be taken again; what lies behind the damage can still be looked at."""
        damaged_log(home.journal("oms")).write_bytes(b"the log")
        code, said, _ = njord("adopt", "oms", "--reason", "seen it", "--json")
        kept = damaged_log(home.journal("oms"))
        assert (code, kept.exists()) == (0, False)
        assert kept.with_name(f"{kept.name}.{json.loads(said)['epoch']}").read_bytes() == b"the log"
        assert _found(njord)[1] == []

    def test_nothing_is_adopted_when_no_reason_is_given(self, home: Home, njord: Njord) -> None:
        """An empty reason is none."""
        code, _, complaint = njord("adopt", "oms", "--reason", " ")
        assert (code, "say why the old history is given up" in complaint) == (2, True)

    def test_nothing_is_adopted_when_a_configured_bus_cannot_be_asked(self, home: Home, njord: Njord, monkeypatch: pytest.MonkeyPatch) -> None:
        """What only the bus knows would be said twice."""
        before = home.journal("oms").read_bytes()
        monkeypatch.setenv("NJORD_REDIS_URL", f"unix://{home.root}/nowhere.sock")
        code, _, complaint = njord("adopt", "oms", "--reason", "x")
        assert (code, "the bus cannot be asked what it knows" in complaint) == (2, True)
        assert home.journal("oms").read_bytes() == before


class TestBus:
    """A real server that knows more than the journals."""

    @pytest.fixture
    def server(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
        """The suite's server runs, and nothing else of it."""
        with RedisServer(home.root) as server:
            monkeypatch.setenv("NJORD_REDIS_URL", server.url)
            yield server

    @staticmethod
    def _say(server: RedisServer, home: Home, stream: StreamId, seq: int, **acks: int) -> None:
        key = stream.key(home.namespace)
        with server.client() as client:
            client.xadd(key, {"d": b"x"}, id=f"{seq}-0")
            client.hset(f"{key}|meta", mapping={"epoch": "old", "incarnation": 1})
            for consumer, acknowledged in acks.items():
                client.hset(f"{key}|acks", consumer, acknowledged)

    def test_journals_are_sound_when_the_bus_knows_no_more(self, home: Home, njord: Njord, server: RedisServer) -> None:
        """0, and it was compared; an empty server knows nothing."""
        code, said, _ = njord("check", "--json")
        assert (code, json.loads(said)["bus"]) == (0, "compared")
        self._say(server, home, StreamId("orders.events", "oms"), 10, risk_engine=10)
        assert njord("check")[0] == 0

    def test_rollback_is_told_when_a_stream_or_an_acknowledgement_is_beyond(self, home: Home, njord: Njord, server: RedisServer) -> None:
        """What was published, what a consumer acknowledged, and what this daemon itself acknowledged of others."""
        self._say(server, home, StreamId("orders.events", "oms"), 11, risk_engine=12)
        self._say(server, home, StreamId("risk.decision", "risk_engine"), 3, oms=9)
        code, problems = _found(njord, "oms")
        assert code == 1
        assert sorted(problems) == [
            "lost history: orders.events was published up to 11, the journal ends at 10",
            "lost history: risk.decision was acknowledged up to 9, the journal took it in up to 3",
            "lost history: risk_engine acknowledged orders.events up to 12, the journal ends at 10",
        ]

    def test_nothing_is_restored_when_the_bus_knows_more(self, home: Home, njord: Njord, server: RedisServer, tmp_path: Path) -> None:
        """The backup is as old as the journal, and both are behind what was published."""
        assert njord("backup", str(tmp_path / "b"))[0] == 0
        self._say(server, home, StreamId("orders.events", "oms"), 11)
        code, _, complaint = njord("restore", str(tmp_path / "b"))
        assert (code, "oms: lost history: orders.events was published up to 11" in complaint) == (1, True)

    def test_old_streams_are_kept_aside_when_a_new_history_is_adopted(self, home: Home, njord: Njord, server: RedisServer) -> None:
        """Numbers go on beyond what only the bus knew, and nothing under the old names answers any more."""
        self._say(server, home, StreamId("orders.events", "oms"), 14, risk_engine=12)
        self._say(server, home, StreamId("risk.decision", "risk_engine"), 3, oms=3)
        with server.client() as client:
            client.set("somebody else's", "stays")
        code, said, _ = njord("adopt", "oms", "--reason", "the host died", "--json")
        adopted = json.loads(said)
        assert (code, adopted["skipped"]["orders.events"], adopted["bus_keys_set_aside"]) == (0, [11, 14], 6)
        with server.client() as client:
            names = {key.decode() for key in client.keys("*")}
            assert {name for name in names if name.startswith(home.namespace)} == set()
            assert f"archived-{adopted['epoch']}|{home.namespace}|orders.events|oms" in names
            assert client.get("somebody else's") == b"stays"
        assert _found(njord) == (0, [])
        with _reader(home, Daemon.OMS) as oms, _reader(home, Daemon.RISK_ENGINE) as risk:
            assert oms.heads["orders.events"] == risk.watermarks[StreamId("orders.events", "oms")] == 14
