//! What a file does not say of itself, and its user has to.

use serde::{Deserialize, Serialize};

use super::RawSpec;

/// How to open a file, besides by its name.
///
/// ```no_run
/// use windrow::AnySource;
/// use windrow::source::{OpenOptions, RawSpec};
///
/// let volume = AnySource::open_with("slices.tif", &OpenOptions::new().stack(true))?;
/// let spec: RawSpec = "u16le:4096x4096".parse()?;
/// let scene = AnySource::open_with("scene.bin", &OpenOptions::new().raw(spec))?;
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenOptions {
    /// The image of a file with several, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// A reduced copy of the image, counted from 0 as GDAL does: the overviews of a TIFF file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overview: Option<usize>,
    /// Whether all pages of a TIFF file are one array, with an axis `page` in front.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stack: bool,
    /// What a file without a header holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawSpec>,
    /// The array of an archive or a group, by name. It may as well stand behind the path: `scene.npz/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

impl OpenOptions {
    /// Nothing but the name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`page`](Self::page).
    #[must_use]
    pub fn page(mut self, page: impl Into<Option<usize>>) -> Self {
        self.page = page.into();
        self
    }

    /// Sets [`overview`](Self::overview).
    #[must_use]
    pub fn overview(mut self, overview: impl Into<Option<usize>>) -> Self {
        self.overview = overview.into();
        self
    }

    /// Sets [`stack`](Self::stack).
    #[must_use]
    pub fn stack(mut self, stack: bool) -> Self {
        self.stack = stack;
        self
    }

    /// Sets [`raw`](Self::raw).
    #[must_use]
    pub fn raw(mut self, raw: impl Into<Option<RawSpec>>) -> Self {
        self.raw = raw.into();
        self
    }

    /// Sets [`member`](Self::member).
    #[must_use]
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.member = Some(member.into());
        self
    }

    /// Whether the name alone opens the same.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The options that were given, as the user typed them, of those named.
    pub(super) fn given<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| match *name {
            "page" => self.page.is_some(),
            "overview" => self.overview.is_some(),
            "stack" => self.stack,
            "raw" => self.raw.is_some(),
            "member" => self.member.is_some(),
            _ => false,
        })
    }
}
