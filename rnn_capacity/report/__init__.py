"""Turns what was measured into tables and figures."""
