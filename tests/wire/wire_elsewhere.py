"""Where the faults are tested that are none of a connection, or that no wire can bring about."""

from __future__ import annotations

ELSEWHERE: dict[str, tuple[str, str]] = {
    "5": (
        "an execution comes back changed",
        (
            "tests/unit/risk/test_portfolio.py::"
            "test_an_execution_that_comes_back_changed_is_counted_and_the_first_stands"
        ),
    ),
    "7": (
        "a fill after the end of its order",
        "tests/unit/execution/test_engine_safety.py::test_late_fills_are_booked_and_counted",
    ),
    "8": (
        "partial fill against cancel",
        (
            "tests/property/test_orders.py::"
            "test_every_order_ends_in_one_known_outcome_and_the_position_is_right"
        ),
    ),
    "9": (
        "amend against fill",
        (
            "tests/unit/execution/test_amends.py::"
            "test_a_change_of_an_order_that_is_gone_finds_out_how_it_ended"
        ),
    ),
    "10": (
        "more filled than ordered",
        "tests/unit/execution/test_engine.py::test_more_filled_than_ordered_is_an_alarm",
    ),
    "11": (
        "link id known to the venue",
        (
            "tests/unit/venues/test_embedded_venue.py::"
            "test_a_duplicate_link_id_is_recognised_and_the_order_found"
        ),
    ),
    "12": (
        "cancel of an order that does not exist",
        (
            "tests/unit/execution/test_executor.py::"
            "test_a_cancel_that_fails_is_settled_by_the_order_itself"
        ),
    ),
    "14": (
        "immediate order without a fill",
        "tests/unit/execution/test_executor.py::test_a_twap_that_fills_nothing_says_so_at_its_end",
    ),
    "15": (
        "post-only order cancelled on crossing",
        (
            "tests/unit/agents/test_market_maker_refusals.py::"
            "test_denied_everywhere_does_not_become_a_storm"
        ),
    ),
    "20": (
        "crossed or locked book",
        (
            "tests/unit/market/test_book.py::"
            "test_crossing_or_locking_message_is_refused_and_empties_the_book"
        ),
    ),
    "30": (
        "certificate that nobody vouches for",
        (
            "tests/unit/optimizers/test_transport_pool.py::"
            "test_certificate_nobody_vouches_for_is_refused_with_nothing_sent"
        ),
    ),
    "32": (
        "key refused while running",
        "tests/unit/execution/test_outages.py::test_a_refused_key_halts_and_a_stale_stamp_does_not",
    ),
}
"""By number of the fault matrix: the fault, and the test that holds its promise."""
