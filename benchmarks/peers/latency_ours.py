"""The cost of noting one stage's duration, in the clock and code of the live system."""

from __future__ import annotations

import engine_kit
import protocol

from trading_system.monitoring.latency import STAGES, StageLatency

_DURATIONS_NS = tuple(1_000 + 7_919 * number for number in range(97))


def main() -> None:
    protocol.ready()
    for question in protocol.questions():
        held, number = StageLatency(clock=engine_kit.CLOCK), 0

        def record(held: StageLatency = held) -> None:
            nonlocal number
            held.record("book", _DURATIONS_NS[number % 97])
            number += 1

        def nothing() -> None:
            nonlocal number
            number += 1

        times = protocol.timed_in_blocks(record, question["count"])
        counted = held.percentiles("book").samples
        assert counted == number, f"{counted} of {number} durations counted"
        assert "book" in STAGES
        empty = protocol.timed_in_blocks(nothing, question["count"])
        protocol.say({"us": times, "empty_us": empty})


if __name__ == "__main__":
    main()
