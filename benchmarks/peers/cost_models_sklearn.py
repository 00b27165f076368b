"""The same maker/taker model by scikit-learn's ``predict_proba``, from the coefficients written."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression


def model_of(folder: Path) -> LogisticRegression:
    """Return a fitted model with the coefficients of ``folder``."""
    content: dict[str, Any] = json.loads((folder / "maker_taker.json").read_text())
    model = LogisticRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = np.array([content["weights"]])
    model.intercept_ = np.array([content["intercept"]])
    model.n_features_in_ = len(content["weights"])
    return model


def main() -> None:
    model = model_of(Path(sys.argv[1]))
    protocol.ready("scikit-learn")
    for question in protocol.questions():
        rows = np.array(question["rows"])
        inputs = [rows] if question["what"] == "maker_batch" else [row[None, :] for row in rows]
        said = [float(p) for one in inputs for p in model.predict_proba(one)[:, 1]]
        times = []
        for _ in range(question["count"]):
            began = time.perf_counter_ns()
            for one in inputs:
                model.predict_proba(one)
            times.append((time.perf_counter_ns() - began) / 1_000 / len(inputs))
        protocol.say({"us": times, "said": said})


if __name__ == "__main__":
    main()
