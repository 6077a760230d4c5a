"""The parts of scripts/docs, which says what they are for: settings, texts, copy, site, run."""

import html.parser
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/src"
SITE = ROOT / "target/docs"
SETTINGS = PAGES / "settings.md"

# Files of the repository that are pages of the book, too.
AS_PAGES = {
    "README.md": "start.md",
    "CHANGELOG.md": "changes.md",
    "docs/keys.md": "keys.md",
    **{f"models/{card.parent.name}/README.md": f"cards/{card.parent.name}.md" for card in ROOT.glob("models/*/README.md")},
}

LINK = re.compile(r"(!?\[[^\]\n]*\]\()([^)\s]+)(\))")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.M | re.S)
INCLUDE = re.compile(r"^\{\{#include ([^}\s]+)\}\}$", re.M)


def fail(problems):
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1)


def shown(path):
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def with_links(text, change):
    """The text with each link's target as `change` has it. Links that are shown as code are none."""
    code = [match.span() for match in CODE.finditer(text)]

    def relink(match):
        is_code = any(start < match.start() < end for start, end in code)
        return match[0] if is_code else match[1] + change(match[2]) + match[3]

    return LINK.sub(relink, text)


def is_elsewhere(target):
    return re.match(r"[a-z]+:", target) is not None


# --- texts: links between the files of the repository


def anchors(path):
    """Anchors of a text's headings, as GitHub and mdBook make them (of signs such as ² they make different ones: link to the page alone)."""
    text = re.sub(r"^```.*?^```$", "", whole(path), flags=re.M | re.S)
    found, seen = set(), {}
    for heading in re.findall(r"^#{1,6} (.+)$", text, flags=re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        n = seen.get(slug, 0)
        seen[slug] = n + 1
        found.add(slug if n == 0 else f"{slug}-{n}")
    return found


def whole(path):
    """A page with what it includes."""
    include = lambda match: whole((path.parent / match[1]).resolve())
    return INCLUDE.sub(include, path.read_text())


def check_texts():
    texts = sorted(PAGES.rglob("*.md")) + [ROOT / "README.md", ROOT / "docs/keys.md", *sorted(ROOT.glob("models/*/README.md"))]
    problems, links = [], 0
    for path in texts:
        targets = []
        with_links(path.read_text(), lambda target: targets.append(target) or target)
        for target in filter(lambda target: not is_elsewhere(target), targets):
            links += 1
            file, _, anchor = target.partition("#")
            to = (path.parent / file).resolve() if file else path
            if not to.exists():
                problems.append(f"{shown(path)}: {target}: no such file")
            elif anchor and to.suffix == ".md" and anchor not in anchors(to):
                problems.append(f"{shown(path)}: {target}: no such heading")
    summary = (PAGES / "SUMMARY.md").read_text()
    named = {(PAGES / target).resolve() for _, target, _ in LINK.findall(summary)}
    for page in PAGES.rglob("*.md"):
        if page.name != "SUMMARY.md" and page not in named:
            problems.append(f"{shown(page)}: not in docs/src/SUMMARY.md")
    if SETTINGS.read_text() != settings_page():
        problems.append("docs/src/settings.md: not that of configs/ and src/; scripts/docs --settings writes it anew")
    problems += unanswered_questions() + unknown_messages()
    if problems:
        fail(problems)
    print(f"{len(texts)} texts, {links} links, settings up to date")


def unanswered_questions():
    """Questions of the report that its page has no heading for, and headings that no question has."""
    source = (ROOT / "src/pipeline/report/trust.rs").read_text()
    # The longer strings are explanations.
    asked = set(re.findall(r'"([A-Z][^"]{,75}\?)"', source))
    explained = set(re.findall(r"^## (.+\?)$", (PAGES / "report.md").read_text(), flags=re.M))
    return [f"docs/src/report.md: {question!r}: not both in src/pipeline/report/trust.rs and here" for question in sorted(asked ^ explained)]


def unknown_messages():
    """Messages in the first column of the page of troubleshooting that the program does not have."""
    sources = [re.sub(r"\\\n\s*", "", path.read_text()) for path in sorted((ROOT / "src").rglob("*.rs"))]
    # In place of what stands in {} the page has dots.
    all_sources = re.sub(r"\{[^{}\n]*\}", "…", "\n".join(sources)).replace("\\\"", "\"")
    problems = []
    for cell in re.findall(r"^\| (.+?) \|", (PAGES / "troubleshooting.md").read_text(), flags=re.M):
        for message in re.findall(r"`([^`]{8,})`", cell):
            if not all(part.strip() in all_sources for part in message.split("…")):
                problems.append(f"docs/src/troubleshooting.md: {message!r}: no such message in src/")
    return problems


# --- copy: the book's sources, with links that lead somewhere within the book


def copy():
    (SITE / "src").mkdir(parents=True)
    shutil.copy(ROOT / "docs/book.toml", SITE)
    for page in PAGES.rglob("*.md"):
        to = SITE / "src" / page.relative_to(PAGES)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(rewritten(page, to))


def rewritten(source, page):
    """`source` for `page` of the book, with what it includes."""
    text = source.read_text()
    parts, end = [], 0
    for match in INCLUDE.finditer(text):
        parts += [(text[end : match.start()], None), ("", (source.parent / match[1]).resolve())]
        end = match.end()
    parts.append((text[end:], None))
    relink = lambda target: book_link(target, source, page)
    return "".join(rewritten(included, page) if included else with_links(part, relink) for part, included in parts)


def book_link(target, source, page):
    if is_elsewhere(target) or target.startswith("#"):
        return target
    file, _, anchor = target.partition("#")
    to = (source.parent / file).resolve()
    inside = str(to.relative_to(ROOT))
    if to.is_relative_to(PAGES):
        place = SITE / "src" / to.relative_to(PAGES)
    elif inside in AS_PAGES:
        place = SITE / "src" / AS_PAGES[inside]
    else:
        place = copied(to, inside)
    return os.path.relpath(place, page.parent) + (f"#{anchor}" if anchor else "")


def copied(file, inside):
    """Where a file of the repository is in the book. Sources are called .txt there, so that browsers show them."""
    if file.is_dir():
        fail([f"{inside}: a link to a folder, which a site cannot show: link to a file"])
    is_picture = file.suffix in [".png", ".svg"]
    # mdBook takes a name with .md in it for a page.
    place = SITE / "src/repository" / (inside if is_picture else f"{inside.removesuffix('.md')}.txt")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)
    return place


# --- site: links between the pages that mdBook made


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes.get("id"), attributes.get("name")} - {None}
        self.links += [attributes[name] for name in ["href", "src"] if attributes.get(name)]


def check_site():
    book = SITE / "book"
    pages = {path: Page(path.read_text()) for path in book.rglob("*.html")}
    problems, links = [], 0
    for path, page in pages.items():
        # The page for addresses that are not there is written for the root of a server.
        if path.name == "404.html":
            continue
        for link in page.links:
            if is_elsewhere(link) or link.startswith("//"):
                continue
            links += 1
            file, _, anchor = urllib.parse.unquote(link).partition("#")
            to = (path.parent / file).resolve() if file else path
            if not to.exists():
                problems.append(f"{path.relative_to(book)}: {link}: no such file")
            elif anchor and to in pages and anchor not in pages[to].ids:
                problems.append(f"{path.relative_to(book)}: {link}: no such heading")
    if problems:
        fail(sorted(set(problems)))
    print(f"{len(pages)} pages of the site, {links} links: {shown(book / 'index.html')}")


# --- run: the commands of the pages

# What the pages' commands find in their folder, as words after `nascent simulate`: few cells and genes, for commands are checked here and
# not results, of which so many molecules are counted that the soft grid sees delays.
FILES = {
    "pancreas.h5ad": "--cells 200 --genes 80 --capture 1 --dispersion 0.02 --seed 1",
    "in.h5ad": "--cells 200 --genes 80 --capture 1 --dispersion 0.02 --seed 2",
    "samples.h5ad": "--cells 200 --genes 80 --capture 1 --dispersion 0.02 --seed 3 --samples 1:1,0.5:0.8 --sample-overlap 0.5",
}

# Two epochs of a network, or a few rounds on a coarse grid, show that a command is right. What follows later on a command line wins.
SHORT = """
set -euo pipefail
nascent() {
  local short=()
  if [ "$1" = train ]; then
    case " $* " in
      *steady_state* | *dynamical*) ;;
      *velovae*) short=(--set model.train.epochs=2 --set model.start_epochs=2 --set model.refine_epochs=2 --set model.refine_rounds=1) ;;
      *velovi*) short=(--set model.train.epochs=2 --set model.uncertainty.n_samples=2) ;;
      *) short=(--set model.max_rounds=6 --set model.choice_rounds=3 --set model.max_lineages=2 --set model.grid=30 --set model.pieces=6) ;;
    esac
  fi
  "$NASCENT" "$@" "${short[@]}"
}
"""


def blocks(text):
    for body in re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S):
        if body.startswith("nascent "):
            yield body


def run():
    program = Path(os.environ["NASCENT"]).resolve()
    if not program.exists():
        fail([f"{program}: not there; build it first (cargo build), or name it: NASCENT=..."])
    environment = os.environ | {"NASCENT": str(program), "NO_COLOR": "1"}
    files = SITE / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name, words in FILES.items():
        subprocess.run([program, "simulate", *words.split(), "--output", files / name], check=True, capture_output=True)
    shutil.rmtree(SITE / "run", ignore_errors=True)
    for page in [ROOT / "README.md", *sorted(PAGES.rglob("*.md"))]:
        commands = list(blocks(page.read_text()))
        if commands:
            run_page(page, commands, files, environment)


def run_page(page, commands, files, environment):
    folder = SITE / "run" / (page.stem if page.is_relative_to(PAGES) else "repository")
    folder.mkdir(parents=True)
    (folder / "configs").symlink_to(ROOT / "configs")
    for name in FILES:
        shutil.copy(files / name, folder)
    start = time.monotonic()
    for command in commands:
        done = subprocess.run(["bash", "-c", SHORT + command], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stdout + done.stderr, file=sys.stderr)
            fail([f"{shown(page)}: this block ended with exit code {done.returncode}:\n{command}"])
    print(f"{shown(page)}: {len(commands)} blocks run, {time.monotonic() - start:.0f} s")


# --- settings: the page of settings


def structs():
    """Of each struct of settings in src/, its fields: name -> (type, what the documentation says)."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.rs")):
        for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", path.read_text(), flags=re.M | re.S):
            fields, words = {}, []
            for line in map(str.strip, body.splitlines()):
                if line.startswith("///"):
                    words.append(line[3:].strip())
                elif match := re.match(r"pub (\w+): (.+),$", line):
                    fields[match[1]], words = (match[2], " ".join(words)), []
            found[name] = fields
    return found


def models():
    """The struct of each model's settings, by its kind, as `models!` lists them."""
    kinds = {}
    for path in sorted((ROOT / "src/models").glob("*/*.rs")):
        for kind, struct in re.findall(r"`\[model\]` with `kind = \"(\w+)\"`.*?^pub struct (\w+) ", path.read_text(), flags=re.M | re.S):
            kinds[kind] = struct
    return kinds


def told(words):
    """Documentation as a cell of a table: links between Rust's names are names."""
    words = re.sub(r"\[(`[^`\]]+`)\](?:\([^)]*\))?", r"\1", words)
    return words.replace("\\[", "[").replace("\\]", "]").replace("|", "\\|")


def value(found):
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str):
        return f'"{found}"'
    if isinstance(found, list):
        return "[" + ", ".join(value(part) for part in found) + "]"
    return str(found)


def default(values):
    """One default, or those of each file."""
    by_value = {}
    for name, found in values.items():
        by_value.setdefault(f"`{value(found)}`", []).append(name)
    if len(by_value) == 1:
        return next(iter(by_value))
    return "; ".join(f"{shown_value} ({', '.join(names)})" for shown_value, names in by_value.items())


def rows(prefix, tables, fields, all_structs):
    """Lines of a table for the settings of `tables` (a file's name -> values), and the tables below them."""
    lines, below, problems = [], [], []
    keys = dict.fromkeys(key for table in tables.values() for key in table if (prefix, key) != ("model", "kind"))
    for key in keys:
        values = {name: table[key] for name, table in tables.items() if key in table}
        type_, words = fields.get(key, ("", ""))
        if isinstance(next(iter(values.values())), dict):
            below.append((f"{prefix}.{key}", values, all_structs[type_]))
            continue
        if not words:
            problems.append(f"{prefix}.{key}: src/ does not say what it is")
        lines.append(f"| `{key}` | {default(values)} | {told(words)} |")
    missing = set(fields) - set(keys)
    problems += [f"{prefix}.{key}: in no file of configs/" for key in sorted(missing)]
    if problems:
        fail(problems)
    return lines, below


def settings_page():
    all_structs = structs()
    configs = {path.stem: tomllib.loads(path.read_text()) for path in sorted((ROOT / "configs").glob("*.toml"))}
    fits = {name: table for name, table in configs.items() if "model" in table}
    after = {"graph": configs["graph"]}
    page = [SETTINGS_HEAD]

    def section(title, prefix, tables, fields, words=""):
        lines, below = rows(prefix, tables, fields, all_structs)
        page.append(f"\n{title}\n")
        if words:
            page.append(f"{words}\n")
        if lines:
            page.extend(["| setting | default | what |", "|---|---|---|", *lines])
        for inner, values, of in below:
            section(f"#{title.split(' ')[0]} `[{inner}]`", inner, values, of)

    page.append("\n## Of a fit: `nascent train`\n")
    page.extend(["| setting | default | what |", "|---|---|---|"])
    page.append(f"| `seed` | {default({n: t['seed'] for n, t in fits.items()})} | {told(all_structs['Config']['seed'][1])} |")
    for key in ["input", "preprocess", "output"]:
        struct = all_structs["Config"][key][0]
        section(f"### `[{key}]`", key, {name: table.get(key, {}) for name, table in fits.items()}, all_structs[struct])
    for kind, struct in models().items():
        of_kind = {name: table["model"] for name, table in fits.items() if table["model"]["kind"] == kind}
        files = ", ".join(f"[`{name}.toml`](../../configs/{name}.toml)" for name in of_kind)
        page_title = f"## `[model]` with `kind = \"{kind}\"`"
        section(page_title, "model", of_kind, all_structs[struct], f"{files}; [card](../../models/{kind}/README.md).")
    page.append("\n## Of what comes after: `nascent graph`, `nascent report`\n")
    page.append("[`graph.toml`](../../configs/graph.toml).\n")
    page.extend(["| setting | default | what |", "|---|---|---|"])
    page.append(f"| `seed` | {default({'graph': configs['graph']['seed']})} | {told(all_structs['Analysis']['seed'][1])} |")
    for key in ["input", "graph", "embedding", "time", "scores"]:
        struct = all_structs["Analysis"][key][0]
        section(f"### `[{key}]` of graph and report", key, {name: table[key] for name, table in after.items()}, all_structs[struct])
    return "\n".join(page) + "\n"


SETTINGS_HEAD = """# Settings

This page is made by `scripts/docs --settings`, from the files in `configs/` and from what the sources say of each setting.

A setting has one name everywhere: in a file, with `--set`, and in messages. Give a file, flags, or both; flags win. What a file leaves
out keeps its default. A name that does not exist is an error that says which exist.

```sh
nascent train soft_grid --input in.h5ad --output out.h5ad --seed 1 --threads 2 \\
    --set model.max_lineages=2 --set preprocess.n_top_genes=0
nascent graph out.h5ad --set graph.n_neighbors=20
```

`nascent settings soft_grid > mine.toml` writes a file with all settings to begin from; the name alone, as above, takes them as they are.
The settings that a run had are in `config.toml` in its folder, and in the fitted file. Where defaults differ between the files of
`configs/`, the name of the file stands beside each."""


if __name__ == "__main__":
    {
        "settings": lambda: SETTINGS.write_text(settings_page()),
        "texts": check_texts,
        "copy": copy,
        "site": check_site,
        "run": run,
    }[sys.argv[1]]()
