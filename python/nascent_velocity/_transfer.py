"""From an ``AnnData`` object to a file, and what the program added to the file back into the object."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Iterator

if TYPE_CHECKING:
    from anndata import AnnData

#: Parts of an object that hold named members; those of the first two are columns.
SLOTS = ("obs", "var", "layers", "obsm", "varm", "obsp", "varp", "uns")


def anndata():
    """The package anndata.

    Raises
    ------
    ImportError
        It is not installed; says how it is.
    """
    try:
        import anndata as package
    except ImportError as reason:
        raise ImportError(
            "nascent_velocity works on AnnData objects and needs the package anndata: pip install 'nascent-velocity[anndata]' "
            "(the command nascent works on files and needs none)"
        ) from reason
    return package


def _elements():
    """anndata's functions for one element of a file, wherever its version has them."""
    package = anndata()
    try:
        from anndata.io import read_elem, write_elem
    except ImportError:
        read_elem, write_elem = package.experimental.read_elem, package.experimental.write_elem
    return read_elem, write_elem


def require(adata) -> None:
    """Fails unless ``adata`` is an ``AnnData`` object."""
    if not isinstance(adata, anndata().AnnData):
        raise TypeError(f"an AnnData object was wanted, not {type(adata).__name__}; nv.run works on files")


def write(adata: AnnData, path: str | os.PathLike[str]) -> None:
    """Writes the object, which stays as it is, to a file, without ``raw``. What in ``uns`` no file can hold is left out, with a warning:
    it stays in the object."""
    import h5py

    _, write_elem = _elements()
    whole = adata.to_memory() if adata.isbacked else adata
    # From 0.13 on, anndata lists X among the layers, without a name.
    axes = {name: {key: value for key, value in getattr(whole, name).items() if key is not None} for name in SLOTS[2:-1]}
    # Copies of the frames: anndata makes columns with words categorical as it writes.
    copy = anndata().AnnData(X=whole.X, obs=whole.obs.copy(), var=whole.var.copy(), **axes)
    copy.write_h5ad(path)
    left_out = []
    with h5py.File(path, "r+") as file:
        uns = file.require_group("uns")
        for key, value in whole.uns.items():
            try:
                write_elem(uns, key, value)
            except Exception:  # Whatever the writers of other packages raise.
                left_out.append(key)
                if key in uns:
                    del uns[key]
    if left_out:
        warnings.warn(f"not given to nascent, because no file can hold them: uns {left_out}", stacklevel=3)


def _members(file) -> set[tuple[str, str]]:
    return {(slot, key) for slot in SLOTS if slot in file for key in _names(file, slot)}


def _names(file, slot: str) -> Iterator[str]:
    group = file[slot]
    return iter(group.attrs["column-order"]) if slot in ("obs", "var") else iter(group)


def take(adata: AnnData, before: str | os.PathLike[str], after: str | os.PathLike[str], record: str) -> AnnData:
    """Puts into ``adata`` what the program added to ``after``, a copy of ``before``, by its record ``uns[record]``, and takes out what
    the program took out. Nothing else is touched.

    Returns ``adata``; or, where the program kept some genes only, a new object with these.
    """
    import h5py

    read_elem, _ = _elements()
    with h5py.File(before, "r") as old, h5py.File(after, "r") as new:
        names = [read_elem(new[axis]).index.astype(str) for axis in ("obs", "var")]
        if list(names[0]) != list(adata.obs_names):
            raise RuntimeError("the program's cells are not those of the object")
        if list(names[1]) != list(adata.var_names):
            adata = adata[:, names[1]].copy()
        there, was = _members(new), _members(old)
        written = {tuple(path.split("/", 1)) for path in read_elem(new["uns"][record])["written"]}
        for slot, key in sorted(was - there):
            del getattr(adata, slot)[key]
        for slot, key in sorted((there - was) | (there & written)):
            getattr(adata, slot)[key] = read_elem(new[slot][key])
    return adata
