//! What attachments may be: the kinds that carriers of multimedia messages and chat channels take. A file must begin as its
//! kind begins, so that nothing else travels under its name.

use std::{fmt, str::FromStr};

macro_rules! media_table {
    ($($variant:ident = $word:literal, $ending:literal;)*) => {
        /// A kind of content (RFC 6838), among those that are kept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MediaType {
            /// A pack that a queue did not take; never an attachment.
            Pack,
            $(#[doc = $word] $variant,)*
        }

        impl MediaType {
            /// Those that an attachment may have.
            pub const ATTACHMENTS: &[Self] = &[$(Self::$variant),*];

            /// As it stands in `Content-Type`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::Pack => PACK,
                    $(Self::$variant => $word,)*
                }
            }

            /// How the name of such a file ends.
            #[must_use]
            pub const fn ending(self) -> &'static str {
                match self {
                    Self::Pack => "pack",
                    $(Self::$variant => $ending,)*
                }
            }
        }
    };
}

const PACK: &str = "application/vnd.naru.pack";

media_table! {
    Jpeg = "image/jpeg", "jpg";
    Png = "image/png", "png";
    Gif = "image/gif", "gif";
    Webp = "image/webp", "webp";
    Pdf = "application/pdf", "pdf";
    Amr = "audio/amr", "amr";
    Mpeg = "audio/mpeg", "mp3";
    Mp4 = "video/mp4", "mp4";
    ThreeGp = "video/3gpp", "3gp";
    Vcard = "text/vcard", "vcf";
}

/// Not a kind that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of content that is kept")]
pub struct UnknownMedia;

impl FromStr for MediaType {
    type Err = UnknownMedia;
    fn from_str(text: &str) -> Result<Self, UnknownMedia> {
        let known = Self::ATTACHMENTS.iter().copied().chain([Self::Pack]);
        known.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_str())).ok_or(UnknownMedia)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl MediaType {
    /// Whether a content begins as this kind begins.
    #[must_use]
    pub fn fits(self, content: &[u8]) -> bool {
        let brand = || content.get(4..8).filter(|kind| *kind == b"ftyp").and(content.get(8..11));
        match self {
            Self::Pack => true,
            Self::Jpeg => content.starts_with(&[0xff, 0xd8, 0xff]),
            Self::Png => content.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Gif => content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a"),
            Self::Webp => content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP"),
            Self::Pdf => content.starts_with(b"%PDF-"),
            Self::Amr => content.starts_with(b"#!AMR\n") || content.starts_with(b"#!AMR-WB\n"),
            // A tag, or the sync word of a frame of layer III (ISO/IEC 11172-3, 13818-3).
            Self::Mpeg => {
                content.starts_with(b"ID3") || matches!(content, [0xff, second, ..] if second & 0xe6 == 0xe2)
            }
            // ISO/IEC 14496-12: the brands of 3GPP begin with `3g`.
            Self::Mp4 => brand().is_some_and(|brand| !brand.starts_with(b"3g")),
            Self::ThreeGp => brand().is_some_and(|brand| brand.starts_with(b"3g")),
            Self::Vcard => content.get(..11).is_some_and(|begin| begin.eq_ignore_ascii_case(b"BEGIN:VCARD")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [(MediaType, &[u8]); 10] = [
        (MediaType::Jpeg, b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        (MediaType::Png, b"\x89PNG\r\n\x1a\n\x00\x00"),
        (MediaType::Gif, b"GIF89a\x01\x00"),
        (MediaType::Webp, b"RIFF\x10\x00\x00\x00WEBPVP8 "),
        (MediaType::Pdf, b"%PDF-1.7\n"),
        (MediaType::Amr, b"#!AMR\n\x3c"),
        (MediaType::Mpeg, b"\xff\xfb\x90\x00"),
        (MediaType::Mp4, b"\x00\x00\x00\x18ftypmp42"),
        (MediaType::ThreeGp, b"\x00\x00\x00\x18ftyp3gp5"),
        (MediaType::Vcard, b"BEGIN:VCARD\r\n"),
    ];

    #[test]
    fn every_kind_is_told_from_every_other() {
        assert_eq!(SAMPLES.len(), MediaType::ATTACHMENTS.len());
        for (kind, sample) in SAMPLES {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            for other in MediaType::ATTACHMENTS {
                assert_eq!(other.fits(sample), *other == kind, "{other} {kind}");
            }
        }
        for strange in [&b"<html>"[..], b"", b"MZ", b"PK\x03\x04", b"<svg"] {
            assert!(MediaType::ATTACHMENTS.iter().all(|kind| !kind.fits(strange)), "{strange:?}");
        }
    }

    #[test]
    fn what_is_not_listed_is_not_kept() {
        for bad in ["image/svg+xml", "text/html", "image/jpeg; q=1", "", "application/octet-stream"] {
            assert_eq!(bad.parse::<MediaType>(), Err(UnknownMedia), "{bad}");
        }
        assert_eq!("IMAGE/PNG".parse(), Ok(MediaType::Png));
    }
}
