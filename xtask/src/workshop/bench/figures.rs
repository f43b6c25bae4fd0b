//! How figures are written: times and memory with the unit that suits them.

/// A number with three significant digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A time: in milliseconds, or in seconds if it is longer than one.
pub fn time(ms: f64) -> String {
    // 999.6 ms would be written as 1000.
    if ms < 999.5 {
        format!("{} ms", short(ms))
    } else {
        format!("{} s", short((ms / 1000.0).max(1.0)))
    }
}

/// Memory in megabytes, with one digit behind the point below ten.
pub fn memory(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let megabytes = bytes as f64 / 1e6;
    let text = if megabytes < 9.95 {
        format!("{megabytes:.1}")
    } else {
        format!("{megabytes:.0}")
    };
    format!("{} MB", text.strip_suffix(".0").unwrap_or(&text))
}

/// The memory of a machine.
pub fn gigabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let gigabytes = bytes as f64 / f64::from(1 << 30);
    format!("{gigabytes:.0} GB")
}

/// How many times as much a peer needs: `0.42` or `130`.
pub fn times(ratio: f64) -> String {
    format!("{} ×", short(ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_unit_that_suits_it() {
        for (ms, shown) in [
            (0.5, "0.500 ms"),
            (17.26, "17.3 ms"),
            (312.4, "312 ms"),
            (999.4, "999 ms"),
            (999.7, "1.00 s"),
            (2170.0, "2.17 s"),
            (61_234.0, "61.2 s"),
        ] {
            assert_eq!(time(ms), shown);
        }
    }

    #[test]
    fn memory_is_shown_with_two_digits() {
        for (bytes, shown) in [
            (400_000, "0.4 MB"),
            (9_000_000, "9 MB"),
            (9_440_000, "9.4 MB"),
            (9_960_000, "10 MB"),
            (312_345_678, "312 MB"),
        ] {
            assert_eq!(memory(bytes), shown);
        }
    }

    #[test]
    fn a_ratio_keeps_three_digits() {
        assert_eq!(times(0.4217), "0.422 ×");
        assert_eq!(times(126.4), "126 ×");
    }
}
