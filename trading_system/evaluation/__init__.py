"""Evaluation: data sets from markets in virtual time, walk-forward scores, training runs."""
