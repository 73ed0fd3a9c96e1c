"""The shape every wire message shares: frozen, keyword-only, tagged with its type and major version."""

from __future__ import annotations

import msgspec

__all__ = ["Contract"]


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Root of wire messages.

    Values hold values and never each other in a circle, so the cyclic collector has nothing to look for in them (`gc=False`).

    The tag is `<Name>.<major version>`: another major version is another tag, which the codec refuses.
    A field that a newer minor version added is dropped and counted by the codec, never guessed at.
    """
