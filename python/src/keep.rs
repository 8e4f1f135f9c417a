//! Keeps a Python object alive as long as Arrow memory points into it, whoever drops that memory, and wherever.

use std::ffi::{c_int, c_void};
use std::panic::RefUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;
use pyo3::prelude::*;

use crate::life::stopped;

/// The owner of a buffer that lies in the memory of a Python object.
struct Keep {
    /// `Some` until it is dropped.
    object: Option<Py<PyAny>>,
}

/// A panic elsewhere can't leave a reference half counted.
impl RefUnwindSafe for Keep {}

impl Drop for Keep {
    /// The last user of a buffer may be any thread, with or without the GIL. Waiting for the GIL here could wait for
    /// ever: for a thread that holds it and waits for this one. So PyO3 puts the reference aside, and the interpreter
    /// is asked to come by and take it.
    fn drop(&mut self) {
        if stopped() {
            // The interpreter may be gone, and takes its memory with it.
            std::mem::forget(self.object.take());
            return;
        }
        drop(self.object.take());
        // SAFETY: may be called from any thread without the GIL while the interpreter lives, which `stopped` says. If
        // its queue is full, the reference is dropped the next time that anything of ours is called.
        unsafe { pyo3::ffi::Py_AddPendingCall(Some(take_back), std::ptr::null_mut()) };
    }
}

/// Runs in the main thread, with the GIL: attaching drops the references that were put aside.
extern "C" fn take_back(_: *mut c_void) -> c_int {
    let _ = Python::try_attach(|_| ());
    0
}

/// `len` bytes from `first` as an Arrow buffer that keeps `object` alive.
///
/// # Safety
/// The bytes are readable, and stay so as long as `object` lives. Python code may write to them meanwhile; readers see
/// old or new pixels, as two threads of numpy would.
pub(crate) unsafe fn buffer_of(object: Py<PyAny>, first: NonNull<u8>, len: usize) -> Buffer {
    let keep = Arc::new(Keep { object: Some(object) });
    // SAFETY: the caller vouches for the bytes, and `keep` for the object's life.
    unsafe { Buffer::from_custom_allocation(first, len, keep) }
}
