"""Refusals of what a protocol cannot hold, by the value's name."""

from __future__ import annotations

import math

from bmepipe.errors import BadSettings


def require_number(name: str, value: object) -> float:
    """Return a finite number; BadSettings, with its name, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad_value(f"{name} as a number", value)
    return value


def bad_value(expected: str, came: object) -> BadSettings:
    """Return the refusal of a protocol's value."""
    text = f"{came:g}" if isinstance(came, int | float) else repr(came)
    return BadSettings(expected, text, "correct the protocol")
