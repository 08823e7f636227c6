//! A moment as people write it: Unix seconds, or date and time after ISO 8601.

/// Reads a moment, in Unix seconds; a part of a second is cut off.
///
/// `1790000000`, `2026-09-21`, `2026-09-21T14:13:20Z`, `2026-09-21 14:13:20.5+02:00`: without a zone it is UTC, without a time the
/// beginning of the day.
pub fn parse(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, time) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let days = days_before(year, month, day)?;
    let (clock, zone_s) = match time.strip_prefix(['T', 't', ' ']) {
        Some(time) => split_zone(time)?,
        None if time.is_empty() => ("00:00", 0),
        None => return None,
    };
    Some(days * 86_400 + clock_s(clock)? - zone_s)
}

/// Seconds since midnight.
fn clock_s(clock: &str) -> Option<i64> {
    let (clock, part) = clock.split_once('.').unwrap_or((clock, "0"));
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [hours, minutes, seconds] = match numbers(clock, ':', [2, 2]) {
        Some([hours, minutes]) => [hours, minutes, 0],
        None => numbers(clock, ':', [2, 2, 2])?,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// The time without its zone, and by how many seconds that is ahead of UTC.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (clock, zone) = time.split_at(at);
    let digits = zone[1..].replace(':', "");
    let digits = if digits.len() == 2 { digits + "00" } else { digits };
    let [hours, minutes] = numbers(&format!("{}:{}", digits.get(..2)?, digits.get(2..)?), ':', [2, 2])?;
    let zone_s = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    Some((clock, if zone.starts_with('-') { -zone_s } else { zone_s }))
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(between);
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Days from 1970 to a day of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1).filter(|month| *month < 12)?;
    if day < 1 || day > lengths[month] {
        return None;
    }
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(years + lengths[..month].iter().sum::<i64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, moment) in [
            ("0", 0),
            ("1790000000", 1_790_000_000),
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-09-21T14:13:20Z", 1_790_000_000),
            ("2026-09-21 14:13:20", 1_790_000_000),
            ("2026-09-21T14:13:20.999z", 1_790_000_000),
            ("2026-09-21T16:13:20+02:00", 1_790_000_000),
            ("2026-09-21t09:43:20-0430", 1_790_000_000),
            ("2026-09-21T16:13+02", 1_789_999_980),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(moment), "{text}");
        }
        for text in [
            "",
            "-1",
            "soon",
            "99999999999999999999",
            "2026-13-01",
            "2026-02-29",
            "2100-02-29",
            "2026-9-21",
            "2026-09-21T",
            "2026-09-21T24:00",
            "2026-09-21T10:00:61Z",
            "2026-09-21T10:00:00.Z",
            "2026-09-21T10:00:00+2",
            "2026-09-21x10:00",
            "2026-09-2ä1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
