//! An array in memory: a region is a slice.

use super::{Region, RegionReader, Source, SourceInfo};
use crate::{BufferPool, Result, StridedView};

/// A [`StridedView`] as a source.
#[derive(Debug)]
pub(crate) struct MemorySource {
    view: StridedView,
    info: SourceInfo,
}

impl MemorySource {
    pub(crate) fn new(view: StridedView) -> Self {
        let info = SourceInfo {
            name: "array".to_owned(),
            shape: view.shape().iter().map(|&n| n as u64).collect(),
            dtype: view.dtype(),
            axes: None,
            chunk: vec![1; view.ndim()],
            resident: true,
        };
        Self { view, info }
    }
}

impl Source for MemorySource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn view(&self) -> Option<&StridedView> {
        Some(&self.view)
    }

    fn open(&self, _: &BufferPool) -> Result<Box<dyn RegionReader>> {
        Ok(Box::new(ViewReader(self.view.clone())))
    }
}

/// Reads slices of a view.
pub(crate) struct ViewReader(pub(crate) StridedView);

impl RegionReader for ViewReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        region.0.iter().enumerate().try_fold(self.0.clone(), |view, (axis, range)| {
            view.slice(axis, range.start as usize..range.end as usize, 1)
        })
    }
}
