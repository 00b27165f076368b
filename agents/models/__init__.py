"""Fitting and writing of models: the only place of the agents that imports the learners."""
