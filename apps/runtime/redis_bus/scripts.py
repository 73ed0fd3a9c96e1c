"""What runs inside the server: each script is one atomic step, and `core.stream_store` is the same table in Python.

Three keys belong to a stream: the stream itself (`{namespace}|{topic}|{producer}`, also the channel's name), `...|meta` (who
may write it) and `...|acks` (how far each consumer is). The stream's ids are `<seq>-0`: the server itself refuses holes,
repeats and a second writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from core.ports import Entry, PublishOutcome, PublishStatus, StreamId, StreamSlice

__all__ = ["ACKNOWLEDGE", "PUBLISH", "READ", "SCRIPTS", "TAILS", "TRIM", "WATERMARKS", "Keys", "Script", "parse_acks", "parse_marks", "parse_outcome", "parse_slice"]


class Keys(NamedTuple):
    """The three keys of a stream, ready for the wire."""

    stream: bytes
    meta: bytes
    acks: bytes

    @classmethod
    def of(cls, stream: StreamId, namespace: str) -> Keys:
        """The keys of a stream in a suite's namespace."""
        key = stream.key(namespace).encode()
        return cls(key, key + b"|meta", key + b"|acks")


class Script(NamedTuple):
    """A script and the name the server knows it by."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


# The last-generated id survives deletions and trimming, so it is asked for instead of the newest entry.
_LAST_OF = """
local function last_of(stream)
  if redis.call('EXISTS', stream) == 0 then return nil end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) end
  end
end
"""

# Numbers print through %.0f: Lua would show large ones in exponents.
PUBLISH = _script(
    _LAST_OF
    + """
local stream, meta = KEYS[1], KEYS[2]
local epoch, incarnation, base, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local count = #ARGV - 4
local last = last_of(stream)
local known = redis.call('HMGET', meta, 'epoch', 'incarnation')
if known[1] and known[1] ~= epoch then return {'NEW_EPOCH', last or 0} end
if known[1] and incarnation < tonumber(known[2]) then return {'FENCED', last or 0} end
if not last then
  if first ~= base then return {'BEHIND', base - 1} end
  last = base - 1
elseif first > last + 1 then
  return {'BEHIND', last}
end
if not known[1] or tonumber(known[2]) ~= incarnation then
  redis.call('HSET', meta, 'epoch', epoch, 'incarnation', ARGV[2])
end
if first <= last then
  local upto = math.min(last, first + count - 1)
  local stored = redis.call('XRANGE', stream, string.format('%.0f-0', first), string.format('%.0f-0', upto))
  for _, entry in ipairs(stored) do
    local seq = tonumber(string.match(entry[1], '^%d+'))
    if entry[2][2] ~= ARGV[5 + seq - first] then return {'FENCED', last} end
  end
end
for seq = math.max(first, last + 1), first + count - 1 do
  local body = ARGV[5 + seq - first]
  redis.call('XADD', stream, string.format('%.0f-0', seq), 'd', body)
  redis.call('PUBLISH', stream, body)
  last = seq
end
return {'STORED', last}
"""
)

READ = _script(
    _LAST_OF
    + """
local last = last_of(KEYS[1])
if not last then return {0, '', {}} end
return {last, redis.call('HGET', KEYS[2], 'epoch') or '', redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])}
"""
)

TAILS = _script(
    _LAST_OF
    + """
local found = {}
for i, stream in ipairs(KEYS) do found[i] = last_of(stream) or 0 end
return found
"""
)

WATERMARKS = _script(
    _LAST_OF
    + """
local found = {}
for i = 1, #KEYS, 2 do
  found[i] = last_of(KEYS[i]) or 0
  found[i + 1] = redis.call('HGETALL', KEYS[i + 1])
end
return found
"""
)

ACKNOWLEDGE = _script(
    """
for i, acks in ipairs(KEYS) do redis.call('HSET', acks, ARGV[1], ARGV[i + 1]) end
return #KEYS
"""
)

# The tail entry stays whatever is asked: an empty stream could not say any more where it ended.
TRIM = _script(
    _LAST_OF
    + """
local last = last_of(KEYS[1])
if not last then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', math.min(tonumber(ARGV[1]), last)))
"""
)

SCRIPTS = (PUBLISH, READ, TAILS, WATERMARKS, ACKNOWLEDGE, TRIM)

_STATUSES = {status.value.encode(): status for status in PublishStatus}


def parse_outcome(reply: Any) -> PublishOutcome:
    """The answer of PUBLISH."""
    return PublishOutcome(_STATUSES[reply[0]], reply[1])


def parse_slice(reply: Any) -> StreamSlice:
    """The answer of READ."""
    last, epoch, entries = reply
    return StreamSlice(tuple(Entry(int(seq[:-2]), fields[1]) for seq, fields in entries), last, epoch.decode())


def parse_acks(reply: Any) -> dict[str, int]:
    """A hash of acknowledgements: consumer, number, consumer, number, ..."""
    return {name.decode(): int(seq) for name, seq in zip(reply[::2], reply[1::2], strict=True)}


def parse_marks(streams: Sequence[StreamId], reply: Any) -> dict[StreamId, tuple[int, dict[str, int]]]:
    """The answer of WATERMARKS: last number, acknowledgements, for each stream in turn."""
    return {stream: (last, parse_acks(acks)) for stream, last, acks in zip(streams, reply[::2], reply[1::2], strict=True)}
