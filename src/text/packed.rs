//! A post's text and the HTML that is made of it, compressed together: most of the HTML is the text once more.
//!
//! The form: a byte 1, how many bytes the text has and how many the HTML (four each, the lowest first), and the two, one
//! behind the other, compressed with brotli (RFC 7932).

use brotlic::{CompressionMode, Quality, WindowSize};

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 9;
/// Less than this is not worth it.
const MIN_BYTES: usize = 600;
/// More than this is never packed, and not believed.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// From quality 10 on, brotli finds the shortest way to say something: an eighth less for the texts of people, which is
/// written twice and read for ever. It takes 2 ms for each 8 KiB, and on the smallest board some twenty times as long.
const QUALITY: u8 = 10;
/// More bytes than this would keep whoever saves waiting, and are packed with the quality that takes a twelfth of it.
const MAX_BYTES_SLOWLY: usize = 16 * 1024;
const QUICK_QUALITY: u8 = 5;
/// Window of brotli: 2^18 bytes, so that a long text is still known where its HTML repeats it.
const WINDOW_BITS: u8 = 18;

/// Packs a text and its HTML; `None` if that saves less than a tenth. On a small board it takes up to 0.1 s.
pub fn pack(text: &str, html: &str) -> Option<Vec<u8>> {
    let bytes = text.len() + html.len();
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
        return None;
    }
    let both = [text.as_bytes(), html.as_bytes()].concat();
    let mut packed = vec![0; bytes - bytes / 10];
    packed[0] = FORMAT;
    packed[1..5].copy_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    packed[5..HEAD_BYTES].copy_from_slice(&u32::try_from(html.len()).ok()?.to_le_bytes());
    let quality = if bytes > MAX_BYTES_SLOWLY {
        QUICK_QUALITY
    } else {
        QUALITY
    };
    let quality = Quality::new(quality).ok()?;
    let window = WindowSize::new(WINDOW_BITS).ok()?;
    let body = &mut packed[HEAD_BYTES..];
    // What does not fit is not worth it.
    let written = brotlic::compress(&both, body, quality, window, CompressionMode::Text).ok()?;
    packed.truncate(HEAD_BYTES + written);
    Some(packed)
}

/// The text and the HTML that [`pack`] was given; `None` if it is damaged.
pub fn unpack(packed: &[u8]) -> Option<(String, String)> {
    let (head, body) = packed.split_at_checked(HEAD_BYTES)?;
    if head[0] != FORMAT {
        return None;
    }
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let (text_bytes, html_bytes) = (number(1)?, number(5)?);
    let bytes = text_bytes.checked_add(html_bytes)?;
    if bytes > MAX_BYTES {
        return None;
    }
    let mut both = vec![0; bytes];
    if brotlic::decompress(body, &mut both).ok()? != bytes {
        return None;
    }
    let mut text = String::from_utf8(both).ok()?;
    if !text.is_char_boundary(text_bytes) {
        return None;
    }
    let html = text.split_off(text_bytes);
    Some((text, html))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_BYTES, pack, unpack};

    #[test]
    fn html_costs_little_beside_its_text() {
        let words = (0..700).map(|n| format!("w{}", n * 7919 % 9973));
        let text = words.collect::<Vec<_>>().join(" ");
        let html = format!("<p>{text}</p>\n");
        let alone = pack(&text, "").unwrap();
        let both = pack(&text, &html).unwrap();
        assert!(
            both.len() < alone.len() + 40,
            "{} {}",
            both.len(),
            alone.len()
        );
    }

    #[test]
    fn what_is_short_or_huge_stays_as_it_is() {
        assert!(pack("short", "<p>short</p>").is_none());
        assert!(pack(&"x".repeat(MAX_BYTES), "x").is_none());
    }

    #[test]
    fn a_packed_text_that_claims_to_be_huge_is_refused() {
        let mut packed = pack(&"word ".repeat(300), "").unwrap();
        packed[4] = 0xff;
        assert_eq!(unpack(&packed), None);
        for rubbish in [&[][..], &[1; 8], &[2; 100], &[1; 100]] {
            assert_eq!(unpack(rubbish), None);
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(text in "(ä|word |\n|[a-z]{3}){0,600}", html in "(<p>|ö|word ){0,600}") {
            if let Some(packed) = pack(&text, &html) {
                prop_assert!(packed.len() < text.len() + html.len());
                prop_assert_eq!(unpack(&packed), Some((text, html)));
            } else {
                prop_assert!(text.len() + html.len() < 1200);
            }
        }

        #[test]
        fn a_flipped_bit_harms_nothing_else(at in 0usize..10_000, bit in 0u8..8) {
            let mut packed = pack(&"all work and no play ".repeat(60), "<p>all work</p>").unwrap();
            let at = at % packed.len();
            packed[at] ^= 1 << bit;
            let _ = unpack(&packed);
        }
    }
}
