//! Converts moments between text and seconds since 1970: RFC 3339, and the date of HTTP
//! (RFC 9110, 5.6.7).
//!
//! ```
//! assert_eq!(calendar::rfc3339("1970-01-01T02:00:01+02:00"), Some(1));
//! assert_eq!(calendar::http("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
//! assert_eq!(calendar::shown(1).1, "1970-01-01T00:00:01Z");
//! ```

/// Reads `2026-11-20T10:00:00.123Z` or `…+02:00` into seconds.
pub fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let (year, month, day) = (
        number(date.next()?)?,
        number(date.next()?)?,
        number(date.next()?)?,
    );
    if date.next().is_some() {
        return None;
    }
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let offset = (number(hours)? * 60 + number(minutes)?) * 60;
            if zone.starts_with('-') {
                -offset
            } else {
                offset
            }
        }
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    Some(days(year, month, day)? * 86_400 + seconds(clock)? - offset)
}

/// Reads the same into milliseconds.
pub fn rfc3339_ms(text: &str) -> Option<i64> {
    let digits = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = digits.bytes().take_while(u8::is_ascii_digit);
    let digits = digits.chain(std::iter::repeat(b'0')).take(3);
    let fraction = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(rfc3339(text)? * 1000 + fraction)
}

/// Reads `Wed, 21 Oct 2015 07:28:00 GMT` into seconds.
pub fn http(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = number(words.next()?)?;
    let clock = words.next()?;
    let is_gmt = words.next() == Some("GMT") && words.next().is_none();
    let month = i64::try_from(month).ok()? + 1;
    is_gmt.then_some(days(year, month, day)? * 86_400 + seconds(clock)?)
}

/// Writes a moment as `2026-11-20` and as `2026-11-20T10:00:00Z`.
pub fn shown(moment: i64) -> (String, String) {
    let (year, month, day) = civil(moment.div_euclid(86_400));
    let clock = moment.rem_euclid(86_400);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let whole = format!(
        "{date}T{:02}:{:02}:{:02}Z",
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    );
    (date, whole)
}

/// Reads one to four digits, so that no sum below overflows.
fn number(text: &str) -> Option<i64> {
    let good = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    let good = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    good.then_some((hour * 60 + minute) * 60 + second)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of a year (`howardhinnant.github.io/date_algorithms.html`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The inverse of `days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_in_both_spellings() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            rfc3339("2015-10-21T07:28:00.123456789Z"),
            Some(1_445_412_480)
        );
        assert_eq!(rfc3339("2015-10-21T09:28:00+02:00"), Some(1_445_412_480));
        assert_eq!(rfc3339("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(http("Wed, 21 Oct 2015 07:28:00 GMT"), Some(1_445_412_480));
    }

    #[test]
    fn a_fraction_of_any_length_is_cut_to_milliseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T00:00:01.5Z", Some(1500)),
            ("1970-01-01T00:00:01.023456789Z", Some(1023)),
            ("1970-01-01T02:00:01.9999+02:00", Some(1999)),
            ("now.5", None),
        ] {
            assert_eq!(rfc3339_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "2015-10-21",
            "2015-13-01T00:00:00Z",
            "2015-10-21T25:00:00Z",
            "2015-10-21T00:00Z",
            "20155-1-1T0:0:0Z",
            "-1-1-1T0:0:0Z",
            "2015-10-21T00:00:00+2",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        for text in [
            "",
            "Wed, 21 Oct 2015 07:28:00",
            "Wed, 21 Okt 2015 07:28:00 GMT",
            "120",
        ] {
            assert_eq!(http(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_shown_as_it_is_read(moment in -2_000_000_000_i64..200_000_000_000) {
            let (date, whole) = shown(moment);
            prop_assert_eq!(rfc3339(&whole), Some(moment));
            prop_assert!(whole.starts_with(&date));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in r"[0-9TZ:+\-. ,GMTOctWed\u{e9}]{0,40}") {
            let _ = (rfc3339(&text), http(&text));
        }
    }
}
