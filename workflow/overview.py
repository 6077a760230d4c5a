"""One table of all fits of a workflow, as overview.tsv and overview.html, from what `nascent compare --json` says of each sample.

usage: overview.py RESULTS RESULTS/SAMPLE/MODEL/seedN/report/report.html ...
"""

import html
import json
import sys
from pathlib import Path

ABOUT = {
    "genes": "velocity genes",
    "forward": "share of genes that fit better with time as it is than with time reversed",
    "true_time": "Spearman correlation of time with the true or capture time, where the file has one",
    "true_velocity": "median cosine per cell with the true velocity, genes scaled to s.d. 1, of simulations",
    "other_seeds": "mean over the other seeds of this model: median cosine of velocities per cell, genes scaled to s.d. 1",
    "other_models": "the same over fits of other models",
}
COLUMNS = ["sample", "model", "seed", *ABOUT, "report"]


def mean(values):
    return sum(values) / len(values) if values else None


def rows(results, reports):
    for path in map(Path, reports):
        seed, model, sample = path.parents[1].name, path.parents[2].name, path.parents[3].name
        row = {"sample": sample, "model": model, "seed": seed.removeprefix("seed"), "report": path.relative_to(results).as_posix()}
        compared = results / sample / "compare.json"
        if compared.exists():
            row |= of_fit(json.loads(compared.read_text()), path.parents[1] / "velocity.h5ad")
        yield row


def of_fit(said, file):
    """What a comparison says of the fit in `file`."""
    at = [Path(fit["file"]) for fit in said["fits"]].index(file)
    fit = said["fits"][at]
    same, other = [], []
    for pair in said["pairs"]:
        if at in pair["fits"]:
            partner = Path(said["fits"][sum(pair["fits"]) - at]["file"])
            is_same = partner.parents[1] == file.parents[1]
            # Lower quartile, median and upper quartile over cells.
            if pair["cell_cosine"][1] is not None:
                (same if is_same else other).append(pair["cell_cosine"][1])
    scores = fit["scores"]
    return {"genes": fit["velocity_genes"], "forward": fit["forward"], "true_time": scores["time_spearman"],
            "true_velocity": scores["velocity_cell_cosine_scaled"], "other_seeds": mean(same), "other_models": mean(other)}


def shown(value):
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def page(table):
    cell = lambda row, key: (f'<a href="{html.escape(row[key])}">report</a>' if key == "report" else html.escape(shown(row.get(key))))
    lines = ["<tr>" + "".join(f"<td>{cell(row, key)}</td>" for key in COLUMNS) + "</tr>" for row in table]
    head = "".join(f"<th>{key.replace('_', ' ')}</th>" for key in COLUMNS)
    about = "".join(f"<li><b>{key.replace('_', ' ')}</b>: {text}</li>" for key, text in ABOUT.items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fits side by side</title>
<style>body {{ font: 15px sans-serif; margin: 2em }} td, th {{ padding: .2em .8em; text-align: left; border-bottom: 1px solid #ccc }}</style>
<h1>Fits side by side</h1>
<table><tr>{head}</tr>
{chr(10).join(lines)}
</table>
<ul>{about}</ul>
<p>Seeds that agree show that training is stable, not that it is right: each report asks whether its velocities can be believed.</p>
</html>
"""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    table = list(rows(folder, sys.argv[2:]))
    lines = ["\t".join(COLUMNS)] + ["\t".join(shown(row.get(key)) for key in COLUMNS) for row in table]
    (folder / "overview.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "overview.html").write_text(page(table), encoding="utf-8")
