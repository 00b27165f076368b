"""Run the cases that need the project itself: the protocol in process, and its own client.

Started by the conformance command with the project's interpreter; prints one JSON array.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "fakes")]

import cases_own_client  # noqa: E402, F401 - importing registers the cases
import cases_protocol  # noqa: E402, F401 - as above
from over import reaching  # noqa: E402 - the path comes first
from registry import CASES, Case  # noqa: E402 - as above

CASE_S = 20.0


async def _judge(one: Case) -> dict[str, Any]:
    started = time.monotonic()
    code, detail = "-", ""
    try:
        async with asyncio.timeout(CASE_S), reaching(one.client.rpartition(" ")[2]) as over:
            code = str(await one.run(over) or 0)
    except Exception as e:  # whatever a case raises is its result
        code, detail = "-", _describe(e)
    took = round(time.monotonic() - started, 3)
    return {
        "case": one.name,
        "client": one.client,
        "code": code,
        "seconds": took,
        "detail": detail,
    }


def _describe(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    place = ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == HERE:
            place = f" [{path.name}:{trace.tb_lineno}]"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"


async def _judge_all() -> list[dict[str, Any]]:
    return [await _judge(one) for one in CASES]


def main() -> int:
    """Print what there is, or what each case saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="only name the cases")
    if parser.parse_args().list:
        rows = [{"case": one.name, "client": one.client, "code": one.code} for one in CASES]
    else:
        rows = asyncio.run(_judge_all())
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
