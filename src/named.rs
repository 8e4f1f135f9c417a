//! Enums whose variants have names, which users type and read.

use crate::{Error, Result};

/// Gives an enum without fields its names: `ALL`, `name`, `Display` and `FromStr`, whose error names the argument and says
/// which names there are.
macro_rules! named {
    ($type:ty, $argument:literal: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Every one.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name that users type.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                $crate::named::find($argument, text, Self::ALL, Self::name)
            }
        }
    };
}

pub(crate) use named;

/// The one of this name.
pub(crate) fn find<T: Copy, const N: usize>(
    argument: &'static str,
    text: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T> {
    all.into_iter().find(|one| name(*one) == text).ok_or_else(|| {
        let message = format!("{text:?} is not one of {}", all.map(name).join(", "));
        Error::argument(argument, message)
    })
}

#[cfg(test)]
mod tests {
    use crate::fold::{At, Blend};
    use crate::{Coords, LabelAt, Layout, PadMode, Wrap};

    #[test]
    fn names_are_read_as_they_are_written() {
        macro_rules! there_and_back {
            ($($type:ty),+) => {
                $(for one in <$type>::ALL {
                    assert_eq!(one.to_string().parse::<$type>().unwrap(), one);
                })+
            };
        }
        there_and_back!(At, Blend, Coords, LabelAt, Layout, PadMode, Wrap);
        let message = "median".parse::<Blend>().unwrap_err().to_string();
        assert_eq!(message, "blend: \"median\" is not one of mean, sum, max, min, last, center-crop, gaussian, hann");
    }
}
