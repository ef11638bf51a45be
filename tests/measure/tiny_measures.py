"""Measurements of moments: of capacity, and of trainability."""

from tiny import TINY, TINY_PARENTHESES

from rnn_capacity import measure_capacity, measure_trainability


def capacity(cell="rnn", **options):
    return measure_capacity(cell, **(TINY | {"progress": False} | options))


def trainability(cell="rnn", **options):
    return measure_trainability(cell, **(TINY_PARENTHESES | {"progress": False} | options))
