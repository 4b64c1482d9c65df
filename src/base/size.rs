//! Sizes in words.

/// `512 bytes`, `1.5 kB`, `20 MB`: powers of a thousand, as disks are sold.
#[allow(clippy::cast_precision_loss)] // for people to read
pub fn size_text(bytes: u64) -> String {
    let mut size = bytes as f64;
    if size < 1000.0 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    if size < 10.0 {
        format!("{size:.1} {unit}")
    } else {
        format!("{size:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::size_text;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1500, "1.5 kB"),
            (20_000_000, "20 MB"),
            (3_000_000_000_000, "3.0 TB"),
        ] {
            assert_eq!(size_text(bytes), expected);
        }
    }
}
