//! The matrix of all windows as memory that numpy reads.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use windrow::ScanBuilder;
use windrow::virtual_matrix::{MatrixOptions, Order, VirtualMatrix};

use crate::batch::array_interface;
use crate::error::to_py;

/// A matrix of windows. numpy takes it over by `__array_interface__`, and keeps this object alive under every array and
/// view of it: the memory can't go while anybody may read it.
#[pyclass(frozen, weakref, module = "windrow._windrow")]
pub struct Matrix {
    matrix: VirtualMatrix,
}

impl Matrix {
    pub(crate) fn new(py: Python<'_>, builder: ScanBuilder, options: &MatrixOptions) -> PyResult<Self> {
        let scan = builder.build().map_err(to_py)?;
        let matrix = py.detach(|| VirtualMatrix::new(&scan, options)).map_err(to_py)?;
        Ok(Self { matrix })
    }
}

#[pymethods]
impl Matrix {
    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.matrix.rows(), self.matrix.columns())
    }

    /// What stands behind the memory.
    #[getter]
    fn backing(&self) -> &'static str {
        self.matrix.backing().name()
    }

    /// The most bytes of physical memory that it takes.
    #[getter]
    fn resident_bytes(&self) -> u64 {
        self.matrix.resident_bytes()
    }

    /// What it takes, and how its pages come and go.
    fn explain(&self) -> String {
        self.matrix.explain()
    }

    /// Which rows are windows, a byte a row.
    fn valid<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let valid: Vec<u8> = self.matrix.valid().into_iter().map(u8::from).collect();
        PyBytes::new(py, &valid)
    }

    /// Where the memory is, as numpy's array interface says it.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (rows, columns) = self.shape();
        let dtype = self.matrix.dtype();
        let shape = [rows as u64, columns as u64];
        let interface = array_interface(py, dtype, &shape, self.matrix.bytes().as_ptr() as usize)?;
        if self.matrix.order() == Order::F {
            interface.set_item("strides", PyTuple::new(py, [dtype.size(), rows * dtype.size()])?)?;
        }
        Ok(interface)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.matrix)
    }
}
