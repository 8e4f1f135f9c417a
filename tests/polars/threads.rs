//! Pixels in memory are gathered where the engine computes; whoever may wait for a file does so elsewhere.

use std::sync::{Arc, Mutex};

use windrow::source::{Region, RegionReader, Source, SourceInfo};
use windrow::{AnySource, BufferPool, DType};

use super::*;

/// The names of threads.
type Threads = Arc<Mutex<Vec<String>>>;

/// An image that notes who reads it.
#[derive(Debug)]
struct Noting(SourceInfo, Threads);

struct NotingReader(Threads);

impl Source for Noting {
    fn info(&self) -> &SourceInfo {
        &self.0
    }

    fn open(&self, _: &BufferPool) -> windrow::Result<Box<dyn RegionReader>> {
        Ok(Box::new(NotingReader(self.1.clone())))
    }
}

impl RegionReader for NotingReader {
    fn read(&mut self, region: &Region) -> windrow::Result<StridedView> {
        self.0.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
        StridedView::from_vec(vec![1u8; region.pixels() as usize], &region.shape())
    }
}

#[test]
fn pixels_in_memory_are_gathered_on_the_engine_s_threads() {
    for resident in [true, false] {
        let threads = Threads::default();
        let info = SourceInfo {
            name: "noting".to_owned(),
            shape: vec![300, 300],
            dtype: DType::U8,
            axes: None,
            chunk: vec![50, 300],
            resident,
            working_bytes: 0,
        };
        let scan = PatchScan::new(AnySource::new(Noting(info, threads.clone())), WindowSpec::new([8, 8])).unwrap();
        collect(&windrow::polars::scan(&scan).unwrap(), Engine::Streaming).unwrap();
        let threads = threads.lock().unwrap();
        assert!(!threads.is_empty());
        assert!(threads.iter().all(|name| name.starts_with("async-executor") == resident), "{threads:?}");
    }
}
