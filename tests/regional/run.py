"""Trade three minutes behind regional latency and check every target of the users' guides.

Usage: ``python tests/regional/run.py [--duration 180] [--latency regional]``; prints one JSON
object with each figure beside its bar, exit 0 only if all are met.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

START = [sys.executable, "-m", "trading_system", "start", "--no-dashboard", "--json"]


def run(duration_s: float, latency: str) -> dict[str, Any]:
    """Run the real command and return its report."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TRADING_")}
        result = subprocess.run(
            [*START, "--duration", str(duration_s)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=duration_s + 120,
            check=True,
            env={**kept, "TRADING_DATA_DIR": folder, "TRADING_VENUE__LATENCY": latency},
        )
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each target with its figure; a figure that was not measured is not met."""
    stages, execution = report["stages"], report["execution"]
    wanted = (
        ("order p95", stages["ack"]["p95_us"], 500_000, "below", "us"),
        ("slippage p95", execution["slippage_metrics"]["p95_bps"], 5, "below", "bps"),
        ("execution quality", execution["quality_metrics"]["avg_score"], 80, "above", "of 100"),
        ("signal p95", stages["signal"]["p95_us"], 2_000_000, "below", "us"),
        ("health", report["health"]["score"], 80, "above", "of 100"),
        ("success rate", report["success_rate_pct"], 60, "above", "%"),
    )
    return [
        {
            "target": name,
            "value": value,
            "bar": bar,
            "unit": unit,
            "met": value is not None and (value < bar if rule == "below" else value > bar),
        }
        for name, value, bar, rule, unit in wanted
    ]


def main() -> int:
    """Print the table; 0 only if every row and every compliance target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=180.0)
    parser.add_argument("--latency", default="regional")
    options = parser.parse_args()
    report = run(options.duration, options.latency)
    table = rows(report)
    compliance = report["performance_compliance"]
    print(
        json.dumps(
            {
                "latency": options.latency,
                "duration_s": options.duration,
                "orders": report["orders"],
                "rows": table,
                "performance_compliance": compliance,
                "all_met": all(row["met"] for row in table) and all(compliance.values()),
            },
            indent=1,
        )
    )
    return 0 if all(row["met"] for row in table) and all(compliance.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
