"""One function for each command that works on a fit."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional, Union

from . import _settings, _transfer
from ._program import run as _run

if TYPE_CHECKING:
    from anndata import AnnData

    from . import settings as typed

    Fit = Union[AnnData, str, os.PathLike[str]]

# Names of the records of a fit and of a graph; docs/keys.md describes them.
FIT, GRAPH = "nascent_fit", "nascent_graph"

# What the program writes into a folder that is gone afterwards.
FITTED, RUN, GRAPHED = "nascent-fit.h5ad", "nascent-fit.run", "nascent-graph.h5ad"
GONE = (FITTED, RUN, GRAPHED)


def train(
    adata: AnnData,
    model: Optional[str] = None,
    *,
    config: Optional[str | os.PathLike[str]] = None,
    genes: Optional[str | Sequence[str]] = None,
    seed: Optional[int] = None,
    threads: Optional[int] = None,
    device: Optional[str] = None,
    memory: Optional[str] = None,
    run: Optional[str | os.PathLike[str]] = None,
    resume: bool = False,
    settings: Optional[typed.Settings] = None,
    quiet: bool = False,
    **keywords: Any,
) -> AnnData:
    """Fits a velocity model to the layers of spliced and unspliced counts: ``nascent train``.

    Parameters
    ----------
    adata
        Cells with counts. Velocities, times and rates are added under scVelo's names; an earlier fit, and what was computed from it, is
        taken out; all else stays as it is.
    model
        ``"soft_grid"``, ``"steady_state"``, ``"dynamical"``, ``"velovae_full"``, ``"velovae_basic"``, ``"velovae_counts"``, ``"velovi"`` or
        ``"velovi_joint"``: the settings that ``nascent settings`` prints. Default: those of ``config``, else the soft grid.
    config
        A file of settings in TOML, instead of ``model``.
    genes
        Fit exactly these genes: names, ``"all"``, or a column of ``var`` that is true for them. Default: those that preprocessing chooses.
    seed, threads, device, memory
        Seed of all random draws; threads to use; where to compute, such as ``"cpu"``; memory for the whole run, such as ``"4GB"``.
    run
        Folder of the run (losses, checkpoints, TensorBoard), which is kept. Default: a temporary one.
    resume
        Continue the run in the folder ``run`` from its last checkpoint.
    settings
        Any settings, as in the TOML files: ``{"preprocess": {"n_neighbors": 20}}``.
    quiet
        Show neither progress nor warnings.
    **keywords
        The same, with ``__`` for the dot: ``preprocess__n_neighbors=20``.

    Returns
    -------
    ``adata`` itself. A new object if ``adata`` is a view; or if the results are of fitted genes only, as is the default where one matrix
    of all genes would be over 256 MiB (``output__genes="all"`` keeps all).

    Raises
    ------
    NascentError
        The program's own message, hint and exit code.
    """
    _transfer.require(adata)
    if resume and run is None:
        raise TypeError("resume=True needs the folder of the run: run=FOLDER")
    if model is not None and config is not None:
        raise TypeError("a model and a config: give one of the two, a config names its model")
    with _folder() as folder:
        _transfer.write(adata, folder / "adata.h5ad")
        words = [str(Path(config).resolve())] if config is not None else [] if model is None else [model]
        words += ["--input", "adata.h5ad", "--output", FITTED, *_flags(seed=seed, threads=threads, device=device)]
        words += [*_flags(memory=memory), *_paths(run=run), *_genes(genes, folder), *(["--resume"] if resume else [])]
        said = _run("train", *words, *_settings.words(settings, keywords), quiet=quiet, folder=folder)
        _print(said, quiet)
        return _transfer.take(_own(adata), folder / "adata.h5ad", folder / FITTED, FIT)


def graph(
    adata: AnnData,
    *,
    root: Optional[str] = None,
    groups: Optional[str] = None,
    basis: Optional[str] = None,
    genes: Optional[str | Sequence[str]] = None,
    seed: Optional[int] = None,
    threads: Optional[int] = None,
    config: Optional[str | os.PathLike[str]] = None,
    settings: Optional[typed.Analysis] = None,
    quiet: bool = False,
    **keywords: Any,
) -> AnnData:
    """Adds what follows from velocities, of this program, scVelo or veloVI: ``nascent graph``.

    The velocity graph and transition matrix, arrows on the embedding, root cells and end points, pseudotime, confidences, ranked genes.

    Parameters
    ----------
    adata
        A fit: layers ``velocity``, ``Ms`` and ``Mu``.
    root
        Where time starts: a cell, a label, ``"COLUMN=LABEL"``, ``"cell=NAME"``, a true/false column, or a column of capture times.
    groups
        Column of ``obs`` with groups of cells. Default: ``clusters``, ``cell_type``, ``leiden``, ….
    basis
        Embedding for the arrows, such as ``"umap"``. Default: ``umap``, ``tsne``, …; a UMAP is computed if there is none.
    genes
        Genes whose velocity is used: names, ``"all"``, or a true/false column of ``var``. Default: ``velocity_genes``.
    seed, threads, config, settings, quiet, **keywords
        As for :func:`train`; the settings are those of ``configs/graph.toml``: ``graph__transitions__scale=5``.

    Returns
    -------
    ``adata`` itself; a new object if ``adata`` is a view.

    Raises
    ------
    NascentError
        The program's own message, hint and exit code.
    """
    _transfer.require(adata)
    with _folder() as folder:
        _transfer.write(adata, folder / "adata.h5ad")
        words = ["adata.h5ad", "--output", GRAPHED, *_flags(root=root, groups=groups, basis=basis, seed=seed)]
        words += [*_flags(threads=threads), *_paths(config=config), *_genes(genes, folder)]
        said = _run("graph", *words, *_settings.words(settings, keywords), quiet=quiet, folder=folder)
        _print(said, quiet)
        return _transfer.take(_own(adata), folder / "adata.h5ad", folder / GRAPHED, GRAPH)


def report(
    adata: Fit,
    path: str | os.PathLike[str],
    *,
    groups: Optional[str] = None,
    others: Fit | Sequence[Fit] | Mapping[str, Fit] = (),
    samples: Optional[str] = None,
    run: Optional[str | os.PathLike[str]] = None,
    config: Optional[str | os.PathLike[str]] = None,
    settings: Optional[typed.Analysis] = None,
    quiet: bool = False,
    **keywords: Any,
) -> Path:
    """Writes a report, one page that opens offline, and all pictures: ``nascent report``.

    Parameters
    ----------
    adata
        A fit that :func:`graph` has been run on, or the path of its file.
    path
        The folder to write ``report.html`` and ``figures/`` to.
    groups
        Column of ``obs`` with groups of cells.
    others
        Other fits of the same cells, to compare velocities with.
    samples
        Column of ``obs`` that tells samples apart.
    run
        Folder of the run (:func:`train`), for the curve of its loss.
    config, settings, quiet, **keywords
        As for :func:`graph`.

    Returns
    -------
    Path of the page.
    """
    with _folder() as folder:
        [file] = _files(adata, folder, "adata")
        words = [file, *_paths(output=path, run=run, config=config), *_flags(groups=groups, samples=samples)]
        words += [word for other in _files(others, folder, "other") for word in ("--with", other)]
        _run("report", *words, *_settings.words(settings, keywords), quiet=quiet, folder=folder)
    return Path(path) / "report.html"


def compare(
    *fits: Fit | Mapping[str, Fit], groups: Optional[str] = None, samples: Optional[str] = None, quiet: bool = False
) -> dict[str, Any]:
    """Compares fits of the same cells, or the samples of one fit: ``nascent compare``.

    Parameters
    ----------
    fits
        Objects, or paths of files; or one dictionary of these by name: ``nv.compare({"soft grid": a, "veloVI": b})``.
    groups
        Column of ``obs`` with groups of cells: agreement is also given for each group.
    samples
        Column of ``obs`` that tells samples apart.

    Returns
    -------
    What ``nascent compare --json`` prints.
    """
    named = fits[0] if len(fits) == 1 else fits
    with _folder() as folder:
        words = [*_files(named, folder, "fit"), "--json", *_flags(groups=groups, samples=samples)]
        return json.loads(_run("compare", *words, quiet=quiet, folder=folder))


def inspect(
    path: Fit, *, settings: Optional[typed.Settings] = None, quiet: bool = False, **keywords: Any
) -> dict[str, Any]:
    """Says what a file or folder is, whether it is ready for velocity, and what comes next: ``nascent inspect``.

    Parameters
    ----------
    path
        An ``.h5ad`` file, or what a pipeline wrote (``.loom``, ``.h5``, a folder); or an object.

    Returns
    -------
    What ``nascent inspect --json`` prints.
    """
    with _folder() as folder:
        [file] = _files(path, folder, "adata")
        words = [file, "--json", *_settings.words(settings, keywords)]
        return json.loads(_run("inspect", *words, quiet=quiet, folder=folder))


def simulate(cells: int = 1000, genes: int = 300, branches: int = 1, seed: int = 0) -> AnnData:
    """Simulated counts with known rates, times and velocities: ``nascent simulate``.

    Returns
    -------
    A new object, with the truth in columns and layers ``true_…``.
    """
    with _folder() as folder:
        words = _flags(cells=cells, genes=genes, branches=branches, seed=seed)
        _run("simulate", *words, "--output", "simulated.h5ad", folder=folder)
        return _transfer.anndata().read_h5ad(folder / "simulated.h5ad")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards; the program works in it, so that its messages name files shortly."""
    with tempfile.TemporaryDirectory(prefix="nascent-") as folder:
        yield Path(folder)


def _own(adata: AnnData) -> AnnData:
    """``adata``, or a copy if it is a view: what it is a view of is not touched."""
    return adata.copy() if adata.is_view else adata


def _flags(**values: Any) -> list[str]:
    return [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]


def _paths(**values: Optional[str | os.PathLike[str]]) -> list[str]:
    return _flags(**{name: Path(path).resolve() for name, path in values.items() if path is not None})


def _genes(genes: Optional[str | Sequence[str]], folder: Path) -> list[str]:
    if genes is None or isinstance(genes, str):
        return _flags(genes=genes)
    list_ = folder / "genes.txt"
    list_.write_text("".join(f"{gene}\n" for gene in genes), encoding="utf-8")
    return ["--genes", list_.name]


def _files(fits: Any, folder: Path, name: str) -> list[str]:
    """Paths of files, in which objects are written first."""
    if isinstance(fits, (str, os.PathLike)):
        return [str(Path(fits).resolve())]
    if isinstance(fits, Mapping):
        named = list(fits.items())
    elif isinstance(fits, (list, tuple)):
        named = [(f"{name}_{at}", fit) for at, fit in enumerate(fits, 1)]
    else:
        named = [(name, fits)]
    paths = []
    for name, fit in named:
        if isinstance(fit, (str, os.PathLike)):
            paths.append(str(Path(fit).resolve()))
            continue
        _transfer.require(fit)
        file = "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in name) + ".h5ad"
        _transfer.write(fit, folder / file)
        paths.append(file)
    return paths


def _print(said: str, quiet: bool) -> None:
    """Prints the summary of a command, without the lines about files that are gone afterwards."""
    lines = [line for line in said.strip().splitlines() if not any(name in line for name in GONE)]
    if not quiet and lines:
        print("\n".join(lines), flush=True)
