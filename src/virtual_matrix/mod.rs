//! The matrix of all windows as ordinary memory, larger than what the machine has: rows × pixels, for programs that want
//! an array and know nothing of windows.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use windrow::virtual_matrix::{MatrixOptions, VirtualMatrix};
//! use windrow::{DType, PatchScan, StridedView, WindowSpec};
//!
//! let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
//! let scan = PatchScan::builder(image, WindowSpec::new([3, 3])).dtype(DType::F32).build()?;
//! let matrix = VirtualMatrix::new(&scan, &MatrixOptions::default())?;
//! assert_eq!(matrix.columns(), 9);
//!
//! // Column-major: a column is a slice. The rows that are no windows wrap around the end of a line.
//! let rows = matrix.rows();
//! let pixels: Vec<f32> = matrix.bytes()[4 * rows..8 * rows].chunks(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect();
//! let second: Vec<f32> = matrix.valid().iter().zip(pixels).filter(|(valid, _)| **valid).map(|(_, pixel)| pixel).collect();
//! assert_eq!(second[..9], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 11.0]);
//! # }
//! # Ok::<(), windrow::Error>(())
//! ```
//!
//! # Memory
//! At most [`MatrixOptions::max_resident`] bytes of physical memory, and the page table: 8 bytes for each page of 4 KiB that
//! was touched. What the process is said to hold (its *resident set*) is more where columns share pages: its
//! *proportional set size* is the truth.

//! # What a matrix made on touch does not bear
//! With [`Backing::Fault`] a thread of this process stands behind the memory, and so:
//! - A forked process does not have it: a touch ends it with SIGSEGV.
//! - A system call that reads it (`write`) fails with EFAULT, unless the process may have the system itself wait for pages
//!   (root, or who may open `/dev/userfaultfd`); [`VirtualMatrix::explain`] says which.
//! - Whoever writes to it, in spite of all, is ended by SIGSEGV: the mapping is never writable.
//! - Should a page not come, for want of memory or mappings, the process ends with a message rather than wait for ever.
//! - Pixels of an array are read when they are needed: leave it as it is, or say [`MatrixOptions::copy_source`].
//!
//! Pages that go leave their place in physical memory to the next ones, by remapping; where the system is older than Linux
//! 5.14, fresh ones are copied to, at about a quarter of the speed. Moving pages (`UFFDIO_MOVE`) would need a writable mapping, in
//! which a stray write is silently lost with its page.

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod alias;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod backing;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod fault;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod fill;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod handler;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod near;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod progress;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod region;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod scattered;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod second;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod slots;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod streams;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod uffd;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[path = "elsewhere.rs"]
mod backing;

use std::fmt;

use crate::named::named;
use crate::scan::Plan;
use crate::{DType, Error, PatchScan, Result};

/// How the elements of a matrix follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The pixels of a row lie together.
    C,
    /// The rows of a column lie together.
    #[default]
    F,
}

/// What stands behind the memory of a [`VirtualMatrix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// Columns are mapped from a few shifted images, which stay in memory. In F order; rows that wrap around the end of a
    /// line are rows too, told apart by [`VirtualMatrix::valid`].
    Alias,
    /// Chunks are made when they are touched, by a thread, and the oldest give their place to the next. In any order, of any
    /// windows; the rows are exact.
    Fault,
}

named! { Backing, "backing": Alias = "alias", Fault = "fault" }

named! { Order, "order": C = "C", F = "F" }

/// What a [`VirtualMatrix`] is to be.
#[derive(Clone, Debug)]
pub struct MatrixOptions {
    /// How its elements follow one another. Default: [`Order::F`].
    pub order: Order,
    /// What stands behind it. Default: [`Backing::Alias`] where the order, the rows and the grid allow it and it takes no
    /// more than `max_resident`; otherwise [`Backing::Fault`].
    pub backing: Option<Backing>,
    /// The most bytes of physical memory that it takes. Default: 1 GiB.
    pub max_resident: u64,
    /// The windows that are the rows, by id, in any order. Default: those of the scan.
    pub windows: Option<Vec<u64>>,
    /// Copies the pixels of an array first: for memory that may fail to be read later, such as a mapped file. Default:
    /// `false`; files are read first in any case.
    pub copy_source: bool,
    /// Uses pages again where the system can, for [`Backing::Fault`]; `false` has the system copy into fresh ones, as it
    /// does where it can't. Default: `true`.
    pub recycle: bool,
}

impl Default for MatrixOptions {
    fn default() -> Self {
        Self { order: Order::F, backing: None, max_resident: 1 << 30, windows: None, copy_source: false, recycle: true }
    }
}

/// All windows of a scan as one matrix in memory that is mostly not there: a row a window, a column a pixel.
///
/// It can be read by any number of threads, and never written to. Its memory goes when it is dropped.
pub struct VirtualMatrix {
    backing: backing::Matrix,
    dtype: DType,
    order: Order,
}

impl VirtualMatrix {
    /// The matrix of the rows of a scan, in the type of its pixels.
    ///
    /// # Errors
    /// If the grid or the order does not allow the backing, it takes more than `max_resident`, the source can't be read,
    /// or the system has no way to do it.
    pub fn new(scan: &PatchScan, options: &MatrixOptions) -> Result<Self> {
        let backing = backing::Matrix::new(scan, options)?;
        Ok(Self { backing, dtype: scan.plan().encoder.out_dtype(), order: options.order })
    }

    /// Rows: windows, and for [`Backing::Alias`] the rows between them.
    pub fn rows(&self) -> usize {
        self.backing.rows()
    }

    /// Columns: the pixels of a window, in C order.
    pub fn columns(&self) -> usize {
        self.backing.columns()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// How the elements follow one another.
    pub fn order(&self) -> Order {
        self.order
    }

    /// What stands behind the matrix.
    pub fn backing(&self) -> Backing {
        self.backing.kind()
    }

    /// The most bytes of physical memory that the matrix takes, without the page table.
    pub fn resident_bytes(&self) -> u64 {
        self.backing.resident_bytes()
    }

    /// The elements, densely, aligned to a page.
    pub fn bytes(&self) -> &[u8] {
        self.backing.bytes()
    }

    /// What the matrix takes, and how its pages come and go, in words.
    pub fn explain(&self) -> String {
        self.backing.explain()
    }

    /// Which rows are windows, a bool a row. The windows come in their order.
    pub fn valid(&self) -> Vec<bool> {
        self.backing.valid()
    }
}

/// What a matrix of a scan would be and take, in words. Reads no pixel.
pub(crate) fn explain(plan: &Plan) -> String {
    backing::explain(plan)
}

/// What went wrong with memory: too little of it, or something that this system does not do.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn failed(what: &'static str, action: &'static str, bytes: usize, error: std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOMEM | libc::ENOSPC) => crate::ErrorKind::Memory { what, bytes }.into(),
        _ => crate::ErrorKind::Io { name: what.to_owned(), action, error }.into(),
    }
}

impl fmt::Debug for VirtualMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns) = (self.rows(), self.columns());
        write!(f, "VirtualMatrix({rows} x {columns} {}, order {:?}, {})", self.dtype, self.order, self.backing())
    }
}
