"""Runs a notebook from above to below, without a browser, and fails where a cell does.

    run_notebook.py NOTEBOOK FOLDER     FOLDER is where it works, and where notebook.ipynb with the results goes
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

notebook, folder = nbformat.read(sys.argv[1], as_version=4), Path(sys.argv[2])
NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
nbformat.write(notebook, folder / "notebook.ipynb")
cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
said = "".join(output.text for cell in cells for output in cell.outputs if output.output_type == "stream" and output.name == "stderr")
assert said.count("\n") >= 2, f"the program's progress is not shown in lines: {said!r}"
print(f"{sys.argv[1]}: {len(cells)} cells, {said.count(chr(10))} lines of progress")
