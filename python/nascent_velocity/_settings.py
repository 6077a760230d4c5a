"""From arguments in Python to the program's ``--set key=value``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any, Iterator, Optional


def words(settings: Optional[Mapping[str, Any]], keywords: Mapping[str, Any]) -> list[str]:
    """``{"preprocess": {"n_pcs": 20}}`` and ``preprocess__n_pcs=20`` as ``["--set", "preprocess.n_pcs=20"]``. Keywords count most;
    ``None`` leaves a setting as it is by default."""
    flat = dict(_leaves("", settings or {}))
    flat.update((key.replace("__", "."), value) for key, value in _leaves("", keywords))
    given = [f"{key}={toml(value, key)}" for key, value in flat.items() if value is not None]
    return [word for setting in given for word in ("--set", setting)]


def _leaves(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _leaves(f"{key}.", value)
        else:
            yield key, value


def toml(value: Any, key: str) -> str:
    """``value`` as TOML writes it.

    Raises
    ------
    TypeError
        It is no text, number, truth value or list of these.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, os.PathLike)):
        # JSON's escapes are TOML's, but for the one letter that JSON leaves as it is.
        return json.dumps(os.fspath(value), ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if hasattr(value, "tolist"):
        return toml(value.tolist(), key)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item, key) for item in value) + "]"
    raise TypeError(f"{key} = {value!r}: a setting is text, a number, True or False, or a list of these")
