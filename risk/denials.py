"""Why risk says no: the codes of every denial, one sentence each.

A code is a word of the public vocabulary: it is never reused for another meaning, and the table in docs is written from here.
"""

from __future__ import annotations

from enum import StrEnum

from core.contracts import Denial

__all__ = ["DenialCode", "denial_table", "deny"]


class DenialCode(StrEnum):
    """The codes, each with the sentence that explains it to the owner of the order."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> DenialCode:
        """A member is its code; `meaning` stands beside it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    KILL_SWITCH = "KILL_SWITCH", "The kill switch is tripped, by its file or by command, and the order is not one it lets through."
    KILL_SWITCH_UNREADABLE = "KILL_SWITCH_UNREADABLE", "The kill file cannot be read, or has not been looked at yet, so nobody knows whether trading is stopped."
    TRADING_HALTED = "TRADING_HALTED", "An operator halted the account: only cancels pass."
    REDUCING_ONLY = "REDUCING_ONLY", "An operator allows only orders that reduce a position, and this one does not."
    DUPLICATE_INTENT = "DUPLICATE_INTENT", "This intent was decided before; an intent gets one decision for ever."
    INTENT_ID_REUSED = "INTENT_ID_REUSED", "The intent id was used before, for another wish."
    UNKNOWN_TARGET = "UNKNOWN_TARGET", "The order to be replaced is not known, or is not this strategy's to change."
    TARGET_ENDED = "TARGET_ENDED", "The order to be replaced has ended."
    REPLACE_PENDING = "REPLACE_PENDING", "A replace of this order has no answer yet; one may be outstanding."
    ILLEGAL_TERMS = "ILLEGAL_TERMS", "The order would get a price that orders of its kind do not have."
    WRONG_ACCOUNT = "WRONG_ACCOUNT", "The intent names another account than the suite trades."
    WRONG_VENUE = "WRONG_VENUE", "The intent names another venue than the account is at."
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT", "The symbol has no instrument in the configuration."
    OFF_GRID = "OFF_GRID", "Quantity or price is not on the instrument's grid, or above the largest quantity its venue takes."
    BELOW_MINIMUM = "BELOW_MINIMUM", "The order is smaller than its venue takes."
    INTENT_STALE = "INTENT_STALE", "The wish is older than it, or the limit, allows."
    INTENT_FROM_FUTURE = "INTENT_FROM_FUTURE", "The wish is dated after now, so its age cannot be told."
    UNKNOWN_STRATEGY = "UNKNOWN_STRATEGY", "No enabled strategy of the configuration has this name."
    LINK_STOPPED = "LINK_STOPPED", "An input of risk stands still, so positions or prices may be out of date."
    BACKLOG = "BACKLOG", "A consumer of risk is too far behind for new risk to be taken."
    IN_DOUBT = "IN_DOUBT", "An order of this symbol has an unknown outcome; no risk is added until it is known."
    DUPLICATE_ORDER = "DUPLICATE_ORDER", "The same strategy was allowed the same order a moment ago."
    NO_REFERENCE_PRICE = "NO_REFERENCE_PRICE", "There is no usable price of the symbol."
    STALE_PRICE = "STALE_PRICE", "The price of the symbol is too old, or dated after now."
    ORDER_QTY_MAX = "ORDER_QTY_MAX", "The order's quantity is above the limit."
    ORDER_NOTIONAL_MAX = "ORDER_NOTIONAL_MAX", "The order's value is above the limit."
    POSITION_QTY_MAX = "POSITION_QTY_MAX", "The position could become larger than the limit, with everything working filled."
    POSITION_NOTIONAL_MAX = "POSITION_NOTIONAL_MAX", "The position could become worth more than the limit, with everything working filled."
    OPEN_POSITIONS_MAX = "OPEN_POSITIONS_MAX", "More symbols than the limit would be held or worked."
    CLOSING_QTY = "CLOSING_QTY", "The order only closes, and its strategy holds no more than what is being closed already."
    CANNOT_EVALUATE = "CANNOT_EVALUATE", "A control lacks what it judges by, so it denies what it applies to."


def deny(code: DenialCode, **evidence: object) -> Denial:
    """A denial with its evidence as `key=value, key=value`, in the order given."""
    return Denial(code=code.value, evidence=", ".join(f"{key}={value}" for key, value in evidence.items()))


def denial_table() -> str:
    """The codes as Markdown, for docs."""
    lines = ["| Code | Meaning |", "|---|---|"]
    lines += [f"| `{code.value}` | {code.meaning} |" for code in DenialCode]
    return "\n".join(lines)
