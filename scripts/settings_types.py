"""Makes python/nascent_velocity/settings.py, the types of all settings, from the files in configs/.

    settings_types.py            write it
    settings_types.py --check    fail if it is not up to date

Needs Python 3.11 or newer, and no packages.
"""

import re
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "python/nascent_velocity/settings.py"
WIDTH = 120

HEAD = '''"""The settings, with their types and defaults. Made by scripts/settings_types.py from configs/: change those.

    settings: nv.settings.SoftGrid = {"model": {"grid": 200}}
    adata = nv.train(adata, "soft_grid", settings=settings)
"""

from __future__ import annotations

from typing import List, TypedDict, Union
'''


def comments(text):
    """Words beside each setting, by its dotted key."""
    found, table, key = {}, "", None
    for line in text.splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            table, key = header[1] + ".", None
        elif setting := re.match(r"(\w+) *=", line):
            key = table + setting[1]
            found[key] = comment_of(line)
        elif key and (more := re.match(r" {8,}# ?(.*)", line)):
            found[key] += " " + more[1].strip()
        else:
            key = None
    return found


def comment_of(line):
    """What follows the first # that is in no text of the line."""
    outside = re.sub(r'"[^"]*"', lambda quoted: "." * len(quoted[0]), line)
    at = outside.find("#")
    return line[at + 1 :].strip() if at >= 0 else ""


def type_of(value):
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "str"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    kinds = sorted({type_of(item) for item in value}) or ["str"]
    return f"List[{kinds[0] if len(kinds) == 1 else 'Union[' + ', '.join(kinds) + ']'}]"


def toml(value):
    if isinstance(value, bool):
        return str(value)
    return '"' + value + '"' if isinstance(value, str) else str(value)


def name_of(*words):
    parts = [part for word in words for part in re.split(r"[_.]", word)]
    return "".join(part[:1].upper() + part[1:] for part in parts)


class Module:
    """Classes in the order in which they need each other; the same table of several files is one class."""

    def __init__(self):
        self.classes = {}

    def table(self, name, about, table, said, prefix=""):
        """Adds a class for a table and those in it."""
        lines = []
        for key, value in table.items():
            if isinstance(value, dict):
                inner = self.table(name_of(name, key), f"``[{prefix}{key}]``.", value, said, f"{prefix}{key}.")
                lines.append(f"    {key}: {inner}")
                continue
            lines.append(f"    {key}: {type_of(value)}")
            words = said.get(prefix + key, "")
            doc = f"{words[:1].upper()}{words[1:].rstrip('.')}. Default: {toml(value)}." if words else f"Default: {toml(value)}."
            doc = doc.replace("\\", "\\\\")
            if doc.endswith('"'):
                doc += " "
            lines += textwrap.wrap(f'"""{doc}"""', WIDTH, initial_indent="    ", subsequent_indent="    ")
        text = "\n".join([f"class {name}(TypedDict, total=False):", f'    """{about}"""', "", *lines])
        known = self.classes.setdefault(name, text)
        assert known == text, f"{name} differs between files of configs/"
        return name


def module():
    made, models = Module(), {}
    # The first file of a kind of model, by name, has its defaults; those that follow are variants of it.
    order = ["velovae_full", "velovi", "soft_grid", "dynamical", "steady_state"]
    for stem in order:
        text = (ROOT / f"configs/{stem}.toml").read_text()
        settings, said = tomllib.loads(text), comments(text)
        kind = settings["model"]["kind"]
        name = name_of(kind)
        for table in ("input", "preprocess", "output"):
            settings[table] = shared(made, name, table, settings[table], said)
        settings["model"] = made.table(f"{name}Model", f"``[model]``, with ``kind = \"{kind}\"``.", settings["model"], said, "model.")
        models[name] = whole(name, f"All settings of ``nascent train`` with the model ``{kind}``.", settings)
    text = (ROOT / "configs/graph.toml").read_text()
    settings, said = tomllib.loads(text), comments(text)
    for table in [key for key, value in settings.items() if isinstance(value, dict)]:
        settings[table] = made.table(name_of("analysis", table), f"``[{table}]``.", settings[table], said, f"{table}.")
    analysis = whole("Analysis", "All settings of ``nascent graph`` and ``nascent report``.", settings)
    union = f"#: Settings of any model.\nSettings = Union[{', '.join(models)}]"
    return "\n\n\n".join([HEAD.rstrip(), *made.classes.values(), *models.values(), analysis, union]) + "\n"


def shared(made, model, table, settings, said):
    """The class of a table that models share; a model whose defaults differ has its own."""
    probe = Module()
    probe.table(name_of(table), f"``[{table}]``.", settings, said, f"{table}.")
    known = made.classes.get(name_of(table))
    name = name_of(table) if known in (None, probe.classes[name_of(table)]) else name_of(model, table)
    return made.table(name, f"``[{table}]``.", settings, said, f"{table}.")


def whole(name, about, settings):
    lines = [f"    {key}: {value if isinstance(value, str) else 'int'}" for key, value in settings.items()]
    return "\n".join([f"class {name}(TypedDict, total=False):", f'    """{about}"""', "", *lines])


if __name__ == "__main__":
    made = module()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text() != made:
            sys.exit(f"error: {TARGET.relative_to(ROOT)} is not up to date\nhint: run scripts/settings_types.py")
    else:
        TARGET.write_text(made)
