//! All pages of a file as one array.

use std::sync::Arc;

use super::page::Page;
use super::{TiffReader, info, working_bytes};
use crate::source::file::DataFile;
use crate::source::tiff::directory::Header;
use crate::source::{Region, RegionReader, SourceInfo};
use crate::{Result, StridedView};

/// Reads the tags of all pages, which must be alike: what they are together, the first, and where they are.
pub(super) fn open(file: &DataFile) -> Result<(SourceInfo, Page, Vec<u64>)> {
    let places = Header::read(file)?.places(file, usize::MAX)?;
    let Some(&start) = places.first() else { return Err(file.broken("the file has no page")) };
    let first = Page::read_at(file, start)?;
    let mut working = working_bytes(&first);
    for (number, &place) in places.iter().enumerate().skip(1) {
        let page = Page::read_at(file, place)?;
        check_alike(file, &first, &page, number)?;
        working = working.max(working_bytes(&page));
    }
    let page = info(file, &first);
    let in_front = |number: u64, rest: &[u64]| [&[number], rest].concat();
    let info = SourceInfo {
        shape: in_front(places.len() as u64, &page.shape),
        axes: page.axes.clone().map(|axes| [vec!["page".to_owned()], axes].concat()),
        chunk: in_front(1, &page.chunk),
        // A page before it is put to the others.
        working_bytes: working.saturating_add(page.bytes()),
        ..page
    };
    if isize::try_from(info.bytes()).is_err() {
        return Err(file.broken(format!("{} such pages are more than {} bytes", places.len(), isize::MAX)));
    }
    Ok((info, first, places))
}

fn check_alike(file: &DataFile, first: &Page, page: &Page, number: usize) -> Result<()> {
    let says = |page: &Page| {
        let Page { height, width, samples, dtype, .. } = page;
        format!("{height} by {width} pixels of {samples} {dtype}")
    };
    let (a, b) = (says(first), says(page));
    if a == b {
        return Ok(());
    }
    Err(file.unsupported(format!("page {number} has {b}, page 0 has {a}: only pages that are alike make a stack")))
}

/// One pass over all pages.
pub(super) struct StackReader {
    /// Reads the page that was read last.
    reader: TiffReader,
    current: usize,
    places: Arc<[u64]>,
    /// The first page, which all are like.
    first: Arc<Page>,
}

impl StackReader {
    pub(super) fn new(reader: TiffReader, places: Arc<[u64]>) -> Self {
        let first = reader.page.clone();
        Self { reader, current: 0, places, first }
    }

    fn turn_to(&mut self, number: usize) -> Result<()> {
        if number != self.current {
            let file = &self.reader.file;
            let page = Page::read_at(file, self.places[number])?;
            check_alike(file, &self.first, &page, number)?;
            self.reader.page = Arc::new(page);
            self.current = number;
        }
        Ok(())
    }

    fn read_pages(&mut self, region: &Region) -> Result<StridedView> {
        let (pages, rest) = (region.0[0].clone(), Region(region.0[1..].to_vec()));
        let bytes = rest.shape().iter().product::<usize>() * self.first.dtype.size();
        let mut memory = self.reader.pool.take(bytes * (pages.end - pages.start) as usize)?;
        for (number, out) in pages.zip(memory.chunks_exact_mut(bytes)) {
            self.turn_to(number as usize)?;
            let page = self.reader.read_regions(std::slice::from_ref(&rest))?;
            page.iter().for_each(|page| page.copy_to(out));
        }
        StridedView::from_buffer(memory.freeze(), self.first.dtype, &region.shape())
    }
}

impl RegionReader for StackReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let view = self.read_pages(region);
        self.reader.file.check_unchanged()?;
        view
    }
}
