"""Tests of Trio programs: virtual time, recorded interactions, scripts, and hangs that say who waits for whom."""
