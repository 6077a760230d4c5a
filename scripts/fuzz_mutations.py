"""Ways to damage a .h5ad file, for scripts/fuzz: of its bytes, and of its structure through h5py. All are drawn from a seeded `random.Random`."""

import math
import os
import shutil

import h5py
import numpy as np

TEXTS = [
    "", " ", "a\x1b[31mred\x1b[0m", "line\nbreak", "tab\ttab", "\u202eright to left", "ä" * 300, "x" * 70_000, "../../etc", "a/b", "<b>&amp;",
    "NaN", "-1", "spliced", '{"a": 1}', "%s%n{}", "\U0001f9ec",
]
BYTES = [b"\xff\xfe\xfd", b"\xc3(", b"ab\xe2\x28", b"\xed\xa0\x80", b"a\x1b]0;title\x07"]
ENCODINGS = [
    "array", "csr_matrix", "csc_matrix", "dataframe", "dict", "categorical", "string", "string-array", "numeric-scalar", "nullable-integer",
    "nullable-boolean", "rec-array", "awkward-array", "anndata", "raw", "", "nonsense", "null",
]
SPECIAL = [np.nan, np.inf, -np.inf, -1.0, -0.0, 1e308, -1e308, 1e-320, 1e30, 0.5, 2.0**53, 3.4e38]
INTEGERS = [-1, -2, 0, 1, 2, 127, 128, 255, 2**15, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63)]
UTF8 = h5py.string_dtype()


# ---- bytes ----------------------------------------------------------------------------------------------------------------------


def metadata(path):
    """Stretches of the file that are not values: (first, end)."""
    taken = []

    def values(_, item):
        if not isinstance(item, h5py.Dataset):
            return
        if item.chunks is None:
            if (first := item.id.get_offset()) is not None:
                taken.append((first, first + item.id.get_storage_size()))
            return
        for chunk in range(item.id.get_num_chunks()):
            about = item.id.get_chunk_info(chunk)
            taken.append((about.byte_offset, about.byte_offset + about.size))

    with h5py.File(path) as file:
        file.visititems(values)
    free, at = [], 0
    for first, end in sorted(taken):
        if first > at:
            free.append((at, first))
        at = max(at, end)
    size = os.path.getsize(path)
    return free + ([(at, size)] if at < size else [])


def bytewise(rng, data, stretches):
    """What is done to `data`, in words; nine in ten places are in `stretches`."""

    def place():
        if stretches and rng.random() < 0.9:
            first, end = rng.choice(stretches) if rng.random() < 0.5 else rng.choices(stretches, [b - a for a, b in stretches])[0]
            return min(rng.randrange(first, end), len(data) - 1)
        return rng.randrange(len(data))

    def block():
        first = place()
        return first, min(len(data), first + rng.choice([1, 2, 4, 8, 16, 64, 512, 4096]))

    kind = rng.choice(["bits", "bits", "bytes", "bytes", "field", "zeros", "ones", "copy", "cut", "splice", "gap"])
    if kind == "bits":
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            data[place()] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            data[place()] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    elif kind == "field":
        # Lengths and addresses begin at multiples of eight, or of two.
        first = place() // 2 * 2
        width = rng.choice([2, 4, 8])
        value = rng.choice([0, 1, 8, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), len(data), first, rng.randrange(2 ** (8 * width)), place()])
        data[first : first + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    elif kind in ("zeros", "ones"):
        first, end = block()
        data[first:end] = (b"\0" if kind == "zeros" else b"\xff") * (end - first)
    elif kind == "copy":
        first, end = block()
        source = place()
        part = bytes(data[source : source + end - first])
        data[first : first + len(part)] = part
    elif kind == "cut":
        del data[rng.choice([place(), rng.randrange(len(data)), len(data) - 1 - rng.randrange(64)]) :]
    elif kind == "splice":
        first, end = block()
        data[first:first] = bytes(rng.randrange(256) for _ in range(end - first)) if rng.random() < 0.5 else bytes(data[first:end])
    else:
        first, end = block()
        del data[first:end]
    return kind


# ---- structure ------------------------------------------------------------------------------------------------------------------


# Values that a dataset may declare to be damaged once more: what `huge` left would not fit into memory.
MOST_VALUES = 1 << 22


def items(file):
    """Every group and dataset but the top, and those that `huge` made."""
    found = []

    def small(_, item):
        if not isinstance(item, h5py.Dataset) or math.prod(item.shape or ()) <= MOST_VALUES:
            found.append(item)

    file.visititems(small)
    return found


def chosen(rng, file, kind):
    """A dataset or group; layers and tables of cells and genes more often than the rest."""
    found = [item for item in items(file) if isinstance(item, kind)]
    liked = [item for item in found if item.name.split("/")[1] in ("layers", "obs", "var", "X", "obsm", "obsp")]
    return rng.choice(liked if liked and rng.random() < 0.6 else found)


def replaced(item, **how):
    """Puts another dataset in the place of `item`, with its attributes."""
    name, file, attributes = item.name, item.file, list(item.attrs.items())
    del file[name]
    new = file.create_dataset(name, **how)
    for key, value in attributes:
        new.attrs[key] = value
    return new


def numbers(item):
    return isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and item.shape


def other_shape(rng, file):
    item = chosen(rng, file, h5py.Dataset)
    shape = item.shape or ()
    shape = rng.choice(
        [(), (0,), (1,), (7,), (0, 0), (0, 5), (5, 0), (3, 4), (2, 3, 4), shape + (1,), shape[::-1], shape[:-1], (1,) * 32]
        + [tuple(max(0, n + rng.choice([-1, 1, 5])) for n in shape), tuple(2 * n for n in shape)]
    )
    if item.dtype.kind not in "fiub":
        return replaced(item, data=np.full(shape, "word", dtype=object), dtype=UTF8)
    return replaced(item, data=np.ones(shape, dtype=item.dtype))


def huge(rng, file):
    item = chosen(rng, file, h5py.Dataset)
    n = len(item.shape or ()) or 1
    shape = tuple(rng.choice([1, 10, 2**20, 2**31, 2**40, 2**62]) for _ in range(n))
    try:
        kind = item.dtype if item.dtype.kind in "fiu" else "i4"
        return replaced(item, shape=shape, dtype=kind, chunks=tuple(rng.choice([1, 16, min(length, 2**20)]) for length in shape))
    except (ValueError, OSError):
        return other_shape(rng, file)


def other_type(rng, file):
    item = chosen(rng, file, h5py.Dataset)
    shape = item.shape or ()
    kind = rng.choice(
        ["i1", "u1", "<u8", ">i4", "<f2", ">f8", "g", "?", "c8", "S5", "V4", UTF8, h5py.string_dtype("ascii", 3), h5py.vlen_dtype("i4")]
        + [h5py.ref_dtype, np.dtype([("a", "f4"), ("b", "S3")]), np.dtype(("f4", (2,))), h5py.enum_dtype({"A": 0, "B": 1}, "i1")]
        + [h5py.enum_dtype({"FALSE": 0, "TRUE": 1, "MAYBE": 2}, "i1"), np.dtype([("x", UTF8)]), np.dtype([("n", [("m", "i4")])])]
    )
    if isinstance(kind, str) and item.dtype.kind in "fiub" and np.dtype(kind).kind in "fiub":
        with np.errstate(all="ignore"):
            return replaced(item, data=np.asarray(item[()]).astype(kind))
    return replaced(item, shape=shape, dtype=kind)


def missing(rng, file):
    del file[chosen(rng, file, (h5py.Dataset, h5py.Group)).name]


def renamed(rng, file):
    item = chosen(rng, file, (h5py.Dataset, h5py.Group))
    new = item.parent.name.rstrip("/") + "/" + (rng.choice(TEXTS).replace("/", "|").strip(".") or "unnamed")[:4000]
    if new not in file:
        file.move(item.name, new)


def linked(rng, file):
    first, second = (chosen(rng, file, (h5py.Dataset, h5py.Group)) for _ in range(2))
    name = first.name
    other = rng.choice([second.name, second.parent.name, "/", "/nowhere", name])
    kind = rng.choice(["hard", "soft", "external", "more"])
    if kind == "more":
        second.parent[rng.choice(["more", "spliced", "_index", "data"]) + str(rng.randrange(9))] = first
        return
    source = file.get(other)
    del file[name]
    if kind == "external":
        file[name] = h5py.ExternalLink(rng.choice(["other.h5ad", os.path.basename(file.filename), "/etc/passwd"]), other)
    elif kind == "hard" and source:
        file[name] = source
    else:
        file[name] = h5py.SoftLink(other)


def elsewhere(rng, file):
    """Values that lie in another file, or are put together from other datasets."""
    item = rng.choice([item for item in items(file) if numbers(item) and item.shape])
    name, shape, kind, kept = item.name, item.shape, item.dtype, list(item.attrs.items())
    other = rng.choice([item.name for item in items(file)])
    shape = rng.choice([shape, shape, tuple(2 * n for n in shape), (1 << 40,) * len(shape)])
    whole = item.shape
    del file[name]
    if rng.random() < 0.5:
        layout = h5py.VirtualLayout(shape=shape, dtype=kind)
        for at in range(rng.choice([1, 1, 2, 200])):
            part = rng.choice([whole, shape]) if at == 0 else shape
            source = h5py.VirtualSource(rng.choice(["other.h5ad", ".", "gone.h5", "/etc/passwd"]), rng.choice([name, name, other]), shape=part)
            layout[...] = source
        made = file.create_virtual_dataset(name, layout)
    else:
        places = [(rng.choice(["in.h5ad", "other.h5ad", "/etc/passwd", "/dev/zero", "gone"]), rng.choice([0, 8, 1 << 40]), rng.choice([8, 800, 1 << 40]))]
        made = file.create_dataset(name, shape, kind, external=places * rng.choice([1, 1, 3]))
    for key, value in kept:
        made.attrs[key] = value


def swapped(rng, file):
    first, second = (chosen(rng, file, h5py.Dataset) for _ in range(2))
    if first.name != second.name:
        one, two = first.name, second.name
        file.move(one, "aside")
        file.move(two, one)
        file.move("aside", two)


def other_kind(rng, file):
    item = chosen(rng, file, (h5py.Dataset, h5py.Group))
    name, group = item.name, isinstance(item, h5py.Group)
    attributes = list(item.attrs.items())
    del file[name]
    new = file.create_dataset(name, data=rng.choice([1.5, "text", np.arange(4), h5py.Empty("f4")])) if group else file.create_group(name)
    if rng.random() < 0.7:
        for key, value in attributes:
            new.attrs[key] = value


def attributes(rng, file):
    having = [item for item in [file, *items(file)] if len(item.attrs)]
    item = rng.choice(having)
    key = rng.choice(list(item.attrs))
    if rng.random() < 0.15:
        del item.attrs[key]
        return
    name = os.path.basename(item.name)
    value = rng.choice(
        [rng.choice(TEXTS)[:60_000], np.bytes_(rng.choice(BYTES)), rng.choice(INTEGERS), rng.choice(SPECIAL), True, h5py.Empty("f4")]
        + [h5py.Empty("S1"), np.zeros((0,)), np.array([rng.choice(INTEGERS) for _ in range(rng.choice([1, 2, 3]))], dtype="i8")]
        + [np.array(["a", "a", "_index", name, "../x"], dtype=object), np.arange(2, dtype="f4"), np.ones((2, 2)), item.ref, item.parent.ref]
    )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = np.uint64(value)
    item.attrs[key] = value


def lies(rng, file):
    item = rng.choice([file, *items(file)])
    what = rng.choice(["encoding", "encoding", "version", "shape", "index", "order", "length"])
    if what == "encoding":
        item.attrs["encoding-type"] = rng.choice(ENCODINGS)
        item.attrs["encoding-version"] = "0.2.0"
    elif what == "version":
        item.attrs["encoding-version"] = rng.choice(["0.0.0", "9.9.9", "", "x"])
    elif what == "length":
        sized = [item for item in items(file) if "length" in item.attrs] or [file]
        rng.choice(sized).attrs["length"] = rng.choice(INTEGERS)
    elif what == "shape":
        sparse = [item for item in items(file) if "shape" in item.attrs] or [file]
        n = rng.choice([0, 1, 2, 2, 2, 3])
        rng.choice(sparse).attrs["shape"] = np.array([rng.choice([*INTEGERS, 20, 60]) for _ in range(n)], dtype="i8")
    else:
        table = file[rng.choice(["obs", "var"])]
        names = [*table, "nothing", "..", "", "_index", "/X"]
        if what == "index":
            table.attrs["_index"] = rng.choice(names)
        else:
            table.attrs["column-order"] = np.array([rng.choice(names) for _ in range(rng.randrange(6))], dtype=object)


def values(rng, file):
    holding = [item for item in items(file) if numbers(item) and item.size]
    liked = [item for item in holding if item.name.startswith(("/layers", "/X", "/obsm"))]
    item = rng.choice(liked if liked and rng.random() < 0.6 else holding)
    all_values = np.array(item[()])
    flat = all_values.reshape(-1)
    some = rng.choice([1, 1, 3, max(1, flat.size // 10), flat.size])
    at = [rng.randrange(flat.size) for _ in range(some)] if some < flat.size else slice(None)
    with np.errstate(all="ignore"):
        special = rng.choice(SPECIAL) if item.dtype.kind == "f" else rng.choice(INTEGERS)
        flat[at] = np.array(special).astype(item.dtype)
    if all_values.ndim == 2 and rng.random() < 0.3:
        (all_values if rng.random() < 0.5 else all_values.T)[rng.randrange(2)] = rng.choice([0, 1])
    item[...] = all_values


def codes(rng, file):
    having = [item for item in items(file) if item.name.endswith(("/codes", "/categories"))]
    if not having:
        return values(rng, file)
    item = rng.choice(having)
    if item.name.endswith("/codes"):
        all_values = np.array(item[()]).reshape(-1)
        for _ in range(rng.choice([1, 5, all_values.size])):
            if all_values.size:
                all_values[rng.randrange(all_values.size)] = rng.choice([-128, -2, -1, 3, 7, 100, 127])
        return replaced(item, data=all_values)
    texts = [rng.choice(TEXTS) for _ in range(rng.choice([0, 1, 2, len(item), 2 * len(item) + 1, 200]))]
    return rng.choice(
        [lambda: replaced(item, data=np.array(texts, dtype=object), dtype=UTF8)] * 2
        + [lambda: replaced(item, data=np.array(["same"] * len(item), dtype=object), dtype=UTF8)]
        + [lambda: replaced(item, data=np.arange(len(item))), lambda: replaced(item, data=np.full(len(item), np.nan))]
    )()


def pointers(rng, file):
    having = [item for item in items(file) if item.name.endswith(("/indptr", "/indices")) and numbers(item) and item.size]
    if not having:
        return values(rng, file)
    item = rng.choice(having)
    data = np.array(item[()])
    kind = rng.choice(["shuffle", "reverse", "repeat", "one", "shift", "all", "shorter", "longer", "float", "unsigned"])
    if kind == "shuffle":
        data = np.array(rng.sample(list(data), len(data)), dtype=data.dtype)
    elif kind == "reverse":
        data = data[::-1]
    elif kind == "repeat":
        data[:] = data[rng.randrange(len(data))]
    elif kind == "one":
        data[rng.choice([0, -1, rng.randrange(len(data))])] = rng.choice([v for v in INTEGERS if abs(v) < 2**31])
    elif kind == "shift":
        data = data + rng.choice([-1, 1, 1000])
    elif kind == "all":
        data = np.array([rng.choice(INTEGERS[:-3]) for _ in data], dtype="i8")
    elif kind == "float":
        data = data + rng.choice([0.0, 0.5, np.nan])
    elif kind == "unsigned":
        data = data.astype("i8").astype("u8") - np.uint64(1)
    else:
        data = data[:-1] if kind == "shorter" else np.concatenate([data, data[-1:]])
    replaced(item, data=data)


def texts(rng, file):
    having = [item for item in items(file) if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype)]
    item = rng.choice(having)
    n = int(np.prod(item.shape or ()))
    if rng.random() < 0.4:
        # Bytes that are no UTF-8, said to be.
        width = max(map(len, BYTES))
        held = np.array([rng.choice(BYTES) for _ in range(n)] or [], dtype=f"S{width}").reshape(item.shape or ())
        kind = rng.choice([h5py.string_dtype("utf-8", width), h5py.string_dtype("ascii", width), UTF8])
        return replaced(item, data=held.astype(object) if kind is UTF8 else held, dtype=kind)
    if item.shape:
        held = np.array(item.asstr(errors="replace")[()], dtype=object).reshape(-1)
        for _ in range(rng.choice([1, 2, n]) if n else 0):
            held[rng.randrange(n)] = rng.choice([*TEXTS, held[0]])
        return replaced(item, data=held.reshape(item.shape), dtype=UTF8)
    return replaced(item, data=rng.choice(TEXTS), dtype=UTF8)


def empty(rng, file):
    item = chosen(rng, file, h5py.Dataset)
    kind = item.dtype if item.dtype.kind in "fiub" else rng.choice(["f4", "S1", UTF8])
    if rng.random() < 0.5:
        return replaced(item, data=h5py.Empty(kind))
    return replaced(item, shape=(0,) * rng.choice([1, 2, max(1, len(item.shape or ()))]), dtype=kind)


def stored(rng, file):
    """The same values, stored in another way."""
    holding = [item for item in items(file) if numbers(item) and item.size > 1]
    item = rng.choice(holding)
    data, shape = item[()], item.shape
    chunks = tuple(rng.randrange(1, n + 1) for n in shape)
    how = rng.choice(
        [{"compression": "lzf"}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True}, {"scaleoffset": 2}, {"chunks": chunks}]
        + [{"maxshape": (None,) * len(shape)}, {"compression": 32015, "_": 1}, {}]
    )
    if how.pop("_", None):
        # A compression that nobody here can read: chunks that were written past the filters.
        del_name, kept = item.name, list(item.attrs.items())
        del file[del_name]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk(shape)
        made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        kind = h5py.h5t.py_create(data.dtype)
        h5py.h5d.create(file.id, del_name.encode(), kind, h5py.h5s.create_simple(shape), made).write_direct_chunk((0,) * len(shape), data.tobytes())
        for key, value in kept:
            file[del_name].attrs[key] = value
        return
    replaced(item, data=data, **how)


def strange_uns(rng, file):
    uns = file.get("uns")
    if not isinstance(uns, h5py.Group):
        return missing(rng, file)
    kind = rng.choice(["deep", "many", "name", "record", "null"])
    if kind == "deep":
        group = uns
        for _ in range(rng.choice([5, 60, 70, 200])):
            group = group.create_group("in")
    elif kind == "many":
        for n in range(rng.choice([100, 2000])):
            uns.create_dataset(f"many{n}", data=n)
    elif kind == "name":
        uns.create_dataset((rng.choice(TEXTS).replace("/", "|").strip(".") or "x")[:9000], data=1)
    elif kind == "null":
        uns.create_dataset("null", data=h5py.Empty("f4")).attrs["encoding-type"] = "null"
    else:
        ours = [item for item in items(uns) if isinstance(item, h5py.Dataset)]
        if ours:
            item = rng.choice(ours)
            replaced(item, data=rng.choice([rng.choice(TEXTS), rng.choice(INTEGERS[:8]), rng.choice(SPECIAL), np.arange(3), np.array(["a"], dtype=object)]))


STRUCTURAL = [
    other_shape, huge, other_type, missing, renamed, linked, elsewhere, swapped, other_kind, attributes, attributes, lies, lies, values, values, codes,
    pointers, pointers, texts, empty, stored, strange_uns,
]  # fmt: skip


def damage(rng, source, path):
    """Writes a damaged copy of `source` to `path` and says in words what was done. `bases` know where their metadata are."""
    shutil.copyfile(source["path"], path)
    told = []
    if rng.random() < 0.55:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            change = rng.choice(STRUCTURAL)
            try:
                with h5py.File(path, "r+", libver=source["libver"]) as file:
                    change(rng, file)
                told.append(change.__name__)
            # What h5py will not do is left out: the file is another one all the same, or the same.
            except Exception as error:
                told.append(f"{change.__name__} (not done: {type(error).__name__})")
    if not told or rng.random() < 0.1:
        with open(path, "rb") as file:
            data = bytearray(file.read())
        for _ in range(rng.choice([1, 1, 2, 4])):
            told.append(bytewise(rng, data, source["metadata"]))
        with open(path, "wb") as file:
            file.write(data)
    return ", ".join(told)
