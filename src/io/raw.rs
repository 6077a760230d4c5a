//! The one place that hands memory to HDF5 by address: values whose type is known only from the file.

#![allow(unsafe_code, reason = "the safe interface of the hdf5 crate needs the type at compile time")]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_uint, c_void};
use std::ops::Range;

use hdf5::plist::DatasetCreate;
use hdf5::types::TypeDescriptor;
use hdf5::{Container, Dataset, Dataspace, Datatype, Group};
use hdf5_sys::h5::{herr_t, hsize_t};
use hdf5_sys::h5a::{H5Aread, H5Awrite};
use hdf5_sys::h5d::{H5Dread, H5Dread_chunk1, H5Dwrite, H5Dwrite_chunk};
use hdf5_sys::h5e::{
    H5E_CANTFLUSH, H5E_DEFAULT, H5E_IO, H5E_READERROR, H5E_WRITEERROR, H5E_direction_t, H5E_error2_t, H5Eset_auto2,
    H5Ewalk2,
};
use hdf5_sys::h5i::{H5I_type_t, H5Iget_type, hid_t};
use hdf5_sys::h5l::H5Lget_val;
use hdf5_sys::h5p::{
    H5P_DEFAULT, H5Pget_virtual_count, H5Pget_virtual_dsetname, H5Pget_virtual_filename, H5Pget_virtual_srcspace,
    H5Pget_virtual_vspace,
};
use hdf5_sys::h5s::{
    H5S_ALL, H5S_MAX_RANK, H5S_sel_type, H5Sget_select_bounds, H5Sget_select_npoints, H5Sget_select_type,
};

use super::chunks::Number;

unsafe extern "C" {
    // Public since HDF5 1.8, but not in `hdf5-sys`.
    fn H5Dget_chunk_storage_size(dataset: hid_t, offset: *const hsize_t, n_bytes: *mut hsize_t) -> herr_t;
}

/// All values of a dataset or attribute as bytes, laid out as `memory` says, in C order.
///
/// # Errors
/// HDF5's, and if `memory` holds addresses or the values do not fit in memory.
pub(super) fn read_bytes(source: &Container, memory: &TypeDescriptor) -> hdf5::Result<Vec<u8>> {
    let (kind, length) = prepare(source, memory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|error| hdf5::Error::from(error.to_string()))?;
    bytes.resize(length, 0_u8);
    if length == 0 {
        return Ok(bytes);
    }
    let address: *mut c_void = bytes.as_mut_ptr().cast();
    // SAFETY: `prepare` checked that `kind` holds no addresses and that `bytes` has room for all values of that
    // type; both ids are alive in `source` and `kind`; `sync` holds the library's lock.
    let status = hdf5::sync::sync(|| unsafe {
        if H5Iget_type(source.id()) == H5I_type_t::H5I_ATTR {
            H5Aread(source.id(), kind.id(), address)
        } else {
            H5Dread(source.id(), kind.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, address)
        }
    });
    check(status)?;
    Ok(bytes)
}

/// The bytes, as they stand in the file, of the chunk of a one-dimensional dataset that begins at `start`; `None` if it
/// was never written or not all filters were applied to it.
///
/// # Errors
/// HDF5's, and if the bytes do not fit in memory.
pub(super) fn read_chunk(source: &Dataset, start: usize) -> hdf5::Result<Option<Vec<u8>>> {
    if source.ndim() != 1 {
        return Err("a dataset of one dimension was expected".into());
    }
    let offset = start as hsize_t;
    hdf5::sync::sync(|| {
        let mut length: hsize_t = 0;
        // SAFETY: the dataset is alive and has one dimension, as many as `offset`; `sync` holds the library's lock.
        check(unsafe { H5Dget_chunk_storage_size(source.id(), &raw const offset, &raw mut length) })?;
        if length == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize).map_err(|error| hdf5::Error::from(error.to_string()))?;
        bytes.resize(length as usize, 0_u8);
        let mut left_out = 0_u32;
        let address: *mut c_void = bytes.as_mut_ptr().cast();
        // SAFETY: as above, and `bytes` has room for the chunk, whose size cannot change under the lock.
        check(unsafe { H5Dread_chunk1(source.id(), H5P_DEFAULT, &raw const offset, &raw mut left_out, address) })?;
        Ok((left_out == 0).then_some(bytes))
    })
}

/// Writes all values of a dataset or attribute from bytes laid out as `memory` says, in C order.
///
/// # Errors
/// HDF5's, and if `memory` holds addresses or `bytes` has another length than `target`.
pub(super) fn write_bytes(target: &Container, memory: &TypeDescriptor, bytes: &[u8]) -> hdf5::Result<()> {
    let (kind, length) = prepare(target, memory)?;
    if bytes.len() != length {
        return Err(format!("{} bytes for {length}", bytes.len()).into());
    }
    if length == 0 {
        return Ok(());
    }
    let address: *const c_void = bytes.as_ptr().cast();
    // SAFETY: as in `read_bytes`, and the length was checked above.
    let status = hdf5::sync::sync(|| unsafe {
        if H5Iget_type(target.id()) == H5I_type_t::H5I_ATTR {
            H5Awrite(target.id(), kind.id(), address)
        } else {
            H5Dwrite(target.id(), kind.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, address)
        }
    });
    check(status)
}

/// Writes the chunk that begins at `start`, one position for each dimension, from bytes to which all filters of the
/// dataset have been applied.
///
/// # Errors
/// HDF5's, also if no chunk begins there.
pub(super) fn write_chunk(target: &Dataset, start: &[usize], bytes: &[u8]) -> hdf5::Result<()> {
    if target.ndim() != start.len() {
        return Err(format!("a dataset of {} dimensions was expected", start.len()).into());
    }
    let start: Vec<hsize_t> = start.iter().map(|&at| at as hsize_t).collect();
    let address: *const c_void = bytes.as_ptr().cast();
    // SAFETY: the dataset is alive and has as many dimensions as `start`; HDF5 reads as many bytes as there are; `sync`
    // holds the library's lock.
    let status = hdf5::sync::sync(|| unsafe {
        H5Dwrite_chunk(target.id(), H5P_DEFAULT, 0, start.as_ptr(), bytes.len(), address)
    });
    check(status)
}

/// Writes some rows of a dataset of one or two dimensions from values in C order.
///
/// # Errors
/// HDF5's, and if `values` does not fill the rows.
pub(super) fn write_rows<T: Number>(target: &Dataset, rows: Range<usize>, values: &[T]) -> hdf5::Result<()> {
    let kind = Datatype::from_type::<T>()?;
    let (memory, part) = match target.shape()[..] {
        [_] => (Dataspace::try_new([rows.len()])?, target.space()?.select(rows)?),
        [_, n_cols] => (Dataspace::try_new([rows.len(), n_cols])?, target.space()?.select((rows, ..))?),
        _ => return Err("a dataset of one or two dimensions was expected".into()),
    };
    if values.len() != memory.size() || part.selection_size() != memory.size() {
        return Err(format!("{} values for {} places", values.len(), memory.size()).into());
    }
    let address: *const c_void = values.as_ptr().cast();
    // SAFETY: `values` has as many values of `kind` as `memory` has places; all ids are alive; `sync` holds the lock.
    let status =
        hdf5::sync::sync(|| unsafe { H5Dwrite(target.id(), kind.id(), memory.id(), part.id(), H5P_DEFAULT, address) });
    check(status)
}

/// The path that a link by name leads to.
///
/// # Errors
/// HDF5's, and if the path is longer than 64 KiB or not UTF-8.
pub(super) fn soft_link(parent: &Group, name: &str) -> hdf5::Result<String> {
    let value = link_value(parent, name)?;
    Ok(word(&value)?.to_owned())
}

/// The file that a link into another file names, and the path in it.
///
/// # Errors
/// As [`soft_link`].
pub(super) fn external_link(parent: &Group, name: &str) -> hdf5::Result<[String; 2]> {
    let value = link_value(parent, name)?;
    // Its version (0) and flags (0), then two words with a zero after each.
    let Some((0, words)) = value.split_first() else {
        return Err("a link into another file of a newer kind".into());
    };
    let file = word(words)?;
    let path = word(&words[file.len() + 1..])?;
    Ok([file.to_owned(), path.to_owned()])
}

/// Values that a virtual dataset takes from another.
pub(super) struct VirtualPart {
    /// The file of the other dataset, `.` for the same.
    pub(super) file: String,
    /// The other dataset's path.
    pub(super) dataset: String,
    /// Which of its values are taken; `None` for all.
    pub(super) taken: Option<Taken>,
    /// Where they come; `None` if they are all that the virtual dataset has.
    pub(super) come: Option<Taken>,
}

/// Some of the values of a dataset.
pub(super) struct Taken {
    /// Their number; `None` if it grows with the dataset.
    pub(super) n_values: Option<usize>,
    /// The last position along each dimension.
    pub(super) last: Vec<usize>,
}

/// What a virtual dataset is put together from. (The `hdf5` crate cannot read the parts that h5py writes: one block of many values.)
///
/// # Errors
/// HDF5's, and if a name is longer than 64 KiB or not UTF-8.
pub(super) fn virtual_parts(made: &DatasetCreate) -> hdf5::Result<Vec<VirtualPart>> {
    let id = made.id();
    hdf5::sync::sync(|| {
        let mut n_parts = 0;
        // SAFETY: the list of properties is alive, here and below; `sync` holds the library's lock.
        check(unsafe { H5Pget_virtual_count(id, &raw mut n_parts) })?;
        let part = |at: usize| {
            let mut room = vec![0_u8; ROOM];
            // SAFETY: `room` has the room that is said but for a last zero.
            hdf5::h5check(unsafe { H5Pget_virtual_filename(id, at, room.as_mut_ptr().cast(), ROOM - 1) })?;
            let file = word(&room)?.to_owned();
            room.fill(0);
            // SAFETY: as above.
            hdf5::h5check(unsafe { H5Pget_virtual_dsetname(id, at, room.as_mut_ptr().cast(), ROOM - 1) })?;
            let dataset = word(&room)?.to_owned();
            // SAFETY: HDF5 gives both spaces away; the results close them.
            let [taken, come]: [Dataspace; 2] = unsafe {
                [hdf5::from_id(H5Pget_virtual_srcspace(id, at))?, hdf5::from_id(H5Pget_virtual_vspace(id, at))?]
            };
            Ok(VirtualPart { file, dataset, taken: selected(&taken)?, come: selected(&come)? })
        };
        (0..n_parts).map(part).collect()
    })
}

/// What of a space is selected; `None` for all of it.
fn selected(space: &Dataspace) -> hdf5::Result<Option<Taken>> {
    // SAFETY: the space is alive, here and below; whoever calls holds the library's lock.
    if unsafe { H5Sget_select_type(space.id()) } == H5S_sel_type::H5S_SEL_ALL {
        return Ok(None);
    }
    // SAFETY: as above.
    let n_values = unsafe { H5Sget_select_npoints(space.id()) };
    // HDF5 says "without end" by the largest unsigned number.
    let n_values = usize::try_from(n_values).ok();
    let mut bounds = [[0; H5S_MAX_RANK as usize]; 2];
    let [first, last] = &mut bounds;
    if n_values.is_some_and(|n| n > 0) {
        // SAFETY: both have room for as many dimensions as a space can have.
        check(unsafe { H5Sget_select_bounds(space.id(), first.as_mut_ptr(), last.as_mut_ptr()) })?;
    }
    let last = last.iter().take(space.ndim()).map(|&at| usize::try_from(at).unwrap_or(usize::MAX)).collect();
    Ok(Some(Taken { n_values, last }))
}

/// What stands before the first zero.
fn word(bytes: &[u8]) -> hdf5::Result<&str> {
    let word = CStr::from_bytes_until_nul(bytes).map_err(|_| "the path of a link has no end")?;
    Ok(word.to_str().map_err(|_| "the path of a link is not UTF-8")?)
}

/// Room for names: longer than any path. HDF5 cuts off what does not fit.
const ROOM: usize = 64 << 10;

/// What a link that is no hard one holds; zeros follow.
fn link_value(parent: &Group, name: &str) -> hdf5::Result<Vec<u8>> {
    let name = CString::new(name).map_err(|_| "the name of a link has a zero in it")?;
    let mut value = vec![0_u8; ROOM];
    // SAFETY: the group is alive, `name` ends with a zero, and `value` has the room that is said but for a last zero; `sync` holds the lock.
    let status = hdf5::sync::sync(|| unsafe {
        H5Lget_val(parent.id(), name.as_ptr(), value.as_mut_ptr().cast(), ROOM - 1, H5P_DEFAULT)
    });
    check(status)?;
    Ok(value)
}

thread_local! {
    /// Whether a write failed in this thread since [`listen_for_failed_writes`].
    static A_WRITE_FAILED: Cell<bool> = const { Cell::new(false) };
}

/// From now on every failed write is noticed, also where nobody asks how a call ended: HDF5 keeps the last chunks of a dataset until it is
/// closed, and it is closed when its handle is dropped, which cannot fail. [`a_write_failed`] tells.
pub(super) fn listen_for_failed_writes() {
    A_WRITE_FAILED.set(false);
    // SAFETY: the function lives as long as the program and takes what HDF5 hands it; `sync` holds the library's lock.
    hdf5::sync::sync(|| unsafe { H5Eset_auto2(H5E_DEFAULT, Some(on_error), std::ptr::null_mut()) });
}

/// Whether a write failed in this thread since [`listen_for_failed_writes`].
pub(super) fn a_write_failed() -> bool {
    A_WRITE_FAILED.get()
}

/// HDF5 calls this when one of its functions fails, with the errors that led to it.
unsafe extern "C" fn on_error(errors: i64, _: *mut c_void) -> herr_t {
    // SAFETY: HDF5 handed us the stack of errors, and calls back while it lives.
    unsafe { H5Ewalk2(errors, H5E_direction_t::H5E_WALK_DOWNWARD, Some(of_a_write), std::ptr::null_mut()) };
    0
}

unsafe extern "C" fn of_a_write(_: c_uint, error: *const H5E_error2_t, _: *mut c_void) -> herr_t {
    // SAFETY: HDF5 gives the address of an error that lives during the call.
    let error = unsafe { &*error };
    let of_the_system = error.maj_num == *H5E_IO && error.min_num != *H5E_READERROR;
    if of_the_system || error.min_num == *H5E_WRITEERROR || error.min_num == *H5E_CANTFLUSH {
        A_WRITE_FAILED.set(true);
    }
    0
}

fn prepare(container: &Container, memory: &TypeDescriptor) -> hdf5::Result<(Datatype, usize)> {
    if holds_addresses(memory) {
        return Err(format!("cannot read {memory} as bytes").into());
    }
    let kind = Datatype::from_descriptor(memory)?;
    let n_values = container.space()?.size();
    let length = n_values.checked_mul(kind.size()).ok_or("more values than memory can hold")?;
    Ok((kind, length))
}

/// Whether values of this type lie elsewhere in memory, behind an address.
pub(super) fn holds_addresses(kind: &TypeDescriptor) -> bool {
    match kind {
        TypeDescriptor::VarLenArray(_)
        | TypeDescriptor::VarLenAscii
        | TypeDescriptor::VarLenUnicode
        | TypeDescriptor::Reference(_) => true,
        TypeDescriptor::FixedArray(inner, _) => holds_addresses(inner),
        TypeDescriptor::Compound(record) => record.fields.iter().any(|field| holds_addresses(&field.ty)),
        _ => false,
    }
}

fn check(status: i32) -> hdf5::Result<()> {
    hdf5::h5check(status).map(|_| ())
}
