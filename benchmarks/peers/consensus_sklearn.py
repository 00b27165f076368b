"""The same models by ``predict_proba`` in a pool of five threads, then the mean."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import consensus_models
import numpy as np
import protocol


def main() -> None:
    warnings.simplefilter("ignore")
    models = consensus_models.fitted()
    with ThreadPoolExecutor(5) as threads:
        protocol.ready("scikit-learn")
        for question in protocol.questions():
            times, said = [], []
            for row in consensus_models.rows(question["count"], question["seed"]):
                inputs = np.array([row])
                began = time.perf_counter_ns()
                asked = {
                    name: threads.submit(model.predict_proba, inputs)
                    for name, model in models.items()
                }
                answers = {name: float(one.result()[0, 1]) for name, one in asked.items()}
                assert 0 <= sum(answers.values()) / len(answers) <= 1
                times.append((time.perf_counter_ns() - began) / 1_000)
                said.append(answers)
            protocol.say({"us": times, "said": said})


if __name__ == "__main__":
    main()
