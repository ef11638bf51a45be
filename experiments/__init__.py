"""Configs: one file a cell, one a task; figures/, one file a figure or table of the paper."""
