"""Ids are computed from what they name: never twice the same for two things, never cut."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from core.ids import CLIENT_ORDER_ID_MAX, account_prefix, client_order_id, content_hash, intent_id, message_id, request_id
from core.venue import BrokerOrderReq, terms_hash
from tests.support.builders import PREFIX, a_submit_order


def test_client_order_ids_differ_for_different_orders() -> None:
    """Ten thousand of them: strategies, intents, revisions; all short enough for every venue, in letters they all allow."""
    found = {client_order_id(PREFIX, f"s{s}", f"i{i}", r) for s, i, r in product(range(5), range(1_000), range(2))}
    assert len(found) == 10_000
    assert {len(each) for each in found} == {CLIENT_ORDER_ID_MAX}
    assert all(each.startswith(PREFIX) for each in found)
    assert set("".join(found)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_client_order_id_is_the_same_whenever_it_is_computed() -> None:
    """A retry cannot mint a second one. The value is written down: another one would orphan every order that is out there."""
    assert client_order_id("p-", "trend", "trend:e:bar:0") == client_order_id("p-", "trend", "trend:e:bar:0", 0)
    assert client_order_id("p-", "trend", "trend:e:bar:0") == "p-b6nct2u65ewts3pex4ztmm7sfa"


def test_names_do_not_run_into_each_other() -> None:
    """`ab` + `c` is not `a` + `bc`."""
    assert client_order_id(PREFIX, "ab", "c") != client_order_id(PREFIX, "a", "bc")


def test_a_prefix_that_would_make_an_id_too_long_is_refused() -> None:
    """Never truncated: a cut id could be another order's."""
    assert len(client_order_id("12345", "s", "i")) == CLIENT_ORDER_ID_MAX
    with pytest.raises(ValueError, match="at most 5 characters are allowed"):
        client_order_id("123456", "s", "i")


def test_a_prefix_marks_orders_of_one_account_of_one_home() -> None:
    """Five characters; another environment, account or epoch has another one."""
    prefixes = [account_prefix(*terms) for terms in (("paper", "a", "e"), ("live", "a", "e"), ("paper", "b", "e"), ("paper", "a", "f"))]
    assert len(set(prefixes)) == 4
    assert all(len(prefix) == 5 and prefix.endswith("-") for prefix in prefixes)
    assert [prefix[0] for prefix in prefixes] == ["p", "l", "p", "p"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (intent_id("s", "e", "t", 0), intent_id("s", "e", "t", 1)),
        (intent_id("s", "e", "t", 0), intent_id("s", "f", "t", 0)),
        (message_id("e", "t", 1), message_id("e", "t", 2)),
        (request_id("c", "cancel", 1), request_id("c", "cancel", 2)),
        (request_id("c", "cancel", 1), request_id("c", "place", 1)),
    ],
)
def test_what_differs_is_named_differently(one: str, other: str) -> None:
    """Every part counts."""
    assert one != other


def test_a_content_hash_is_equal_exactly_when_the_terms_are() -> None:
    """Missing is not empty, and an amount is itself however it is written."""
    terms = list(product((None, "", "a", "aa", Decimal(1), Decimal("1.00"), Decimal("1.5"), Decimal(15)), repeat=2))
    for one, other in product(terms, repeat=2):
        assert (content_hash(*one) == content_hash(*other)) == (one == other), (one, other)


def test_an_approval_is_bound_to_every_term_that_is_sent() -> None:
    """Another account, venue, id, symbol, side, kind, life, quantity or price is another hash."""
    order = a_submit_order()
    terms = {name: getattr(order, name) for name in BrokerOrderReq.__struct_fields__}
    request = BrokerOrderReq(**terms)
    changes = {
        "client_order_id": "x",
        "symbol": "x",
        "side": request.side.opposite,
        "order_type": type(request.order_type).LIMIT,
        "time_in_force": type(request.time_in_force).GTC,
        "order_qty": Decimal(11),
        "limit_price": Decimal(1),
        "stop_price": Decimal(1),
    }
    assert set(changes) == set(terms)
    hashes = {terms_hash("a", "v", BrokerOrderReq(**{**terms, name: value})) for name, value in changes.items()}
    hashes |= {terms_hash("a", "v", request), terms_hash("b", "v", request), terms_hash("a", "w", request)}
    assert len(hashes) == len(changes) + 3
