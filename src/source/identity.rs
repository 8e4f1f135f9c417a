//! What tells the data of a source from other data of the same shape.

use serde::{Deserialize, Serialize};

use super::{Region, Source};
use crate::digest::{Digest, Digested};
use crate::{BufferPool, Result};

/// What tells the data of a [`Source`] from other data of the same shape, wherever they lie: a file that is moved or
/// copied keeps its identity, one that somebody wrote to has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The image of a file with several, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Size and checksum: of the file as it lies, or of the pixels in C order where there is no file.
    #[serde(flatten)]
    pub digest: Digest,
}

/// Bytes of pixels that are read at once.
const STEP_BYTES: u64 = 4 << 20;

/// The identity of the pixels themselves.
pub(super) fn of_pixels(source: &(impl Source + ?Sized)) -> Result<Identity> {
    let info = source.info();
    let whole = Region::whole(&info.shape);
    let mut digested = Digested::new(std::io::sink());
    if whole.pixels() > 0 && !whole.0.is_empty() {
        let pool = BufferPool::new(2);
        let mut reader = source.open(&pool)?;
        let line = (info.bytes() / info.shape[0]).max(1);
        let chunk = info.chunk[0].max(1);
        let step = (STEP_BYTES / line).max(1).next_multiple_of(chunk);
        let mut start = 0;
        while start < info.shape[0] {
            let end = start.saturating_add(step).min(info.shape[0]);
            let view = reader.read(&whole.with(0, start..end))?;
            let mut bytes = pool.take(view.len() * info.dtype.size())?;
            view.copy_to(&mut bytes);
            digested.add(&bytes);
            start = end;
        }
    }
    Ok(Identity { page: None, digest: digested.finish().1 })
}

#[cfg(test)]
mod tests {
    use crate::{AnySource, StridedView};

    #[test]
    fn pixels_count_and_not_how_they_lie() {
        let view = StridedView::from_vec((0..2_000_000u32).collect(), &[2000, 1000]).unwrap();
        let turned = view.transpose(&[1, 0]).unwrap();
        let identity = |view: &StridedView| AnySource::from(view.clone()).identity().unwrap();
        assert_eq!(identity(&view).digest.bytes, 8_000_000);
        assert_ne!(identity(&view), identity(&turned));
        let dense = StridedView::from_vec(turned.to_vec::<u32>().unwrap(), &[1000, 2000]).unwrap();
        assert_eq!(identity(&dense), identity(&turned));
        let mut other = view.to_vec::<u32>().unwrap();
        other[1_234_567] ^= 1;
        assert_ne!(identity(&StridedView::from_vec(other, &[2000, 1000]).unwrap()), identity(&view));
        let none = StridedView::from_vec(Vec::<u8>::new(), &[0, 4]).unwrap();
        assert_eq!(identity(&none).digest.bytes, 0);
    }
}
