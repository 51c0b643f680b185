//! The times of a matrix as texts. All series of a range query have their points at the same times, so each text is made
//! once and copied for every series.

use super::json;

/// Times kept at most; a range query has 11,000 points at most, a range selector may have any number.
const MOST: usize = 16 * 1024;

/// Bytes of a text at most: a bracket, a time, a comma and a quote.
const LONGEST: usize = json::TIME_BYTES + 3;
/// Bytes that [`TimeTexts::write`] needs.
pub(super) const TIME_ROOM: usize = 24;
const _: () = assert!(LONGEST <= TIME_ROOM);

/// What stands in front of a point's value, `[1700000000,"`, for times in rising order.
#[derive(Default)]
pub(super) struct TimeTexts {
    texts: Vec<Text>,
    /// The place of the time that is probably asked for next.
    next: usize,
}

struct Text {
    t: i64,
    bytes: [u8; TIME_ROOM],
    len: usize,
}

impl TimeTexts {
    /// Writes the text of a time in milliseconds and returns its length.
    #[inline]
    pub(super) fn write(&mut self, out: &mut [u8; TIME_ROOM], t: i64) -> usize {
        if self.texts.get(self.next).is_none_or(|text| text.t != t) && !self.find(t) {
            let text = Text::new(t);
            *out = text.bytes;
            return text.len;
        }
        let text = &self.texts[self.next];
        *out = text.bytes;
        self.next += 1;
        text.len
    }

    /// Sets `next` to a time's place, which is made if it lies behind all others. False if the time has none.
    fn find(&mut self, t: i64) -> bool {
        if self.texts.last().is_none_or(|last| last.t < t) {
            if self.texts.len() == MOST {
                return false;
            }
            self.next = self.texts.len();
            self.texts.push(Text::new(t));
            return true;
        }
        match self.texts.binary_search_by_key(&t, |text| text.t) {
            Ok(at) => self.next = at,
            Err(_) => return false,
        }
        true
    }
}

impl Text {
    fn new(t: i64) -> Self {
        let (digits, at) = json::time_digits(t);
        let end = 1 + digits.len() - at;
        let mut bytes = [b'['; TIME_ROOM];
        bytes[1..end].copy_from_slice(&digits[at..]);
        bytes[end..end + 2].copy_from_slice(b",\"");
        Self {
            t,
            bytes,
            len: end + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(times: &mut TimeTexts, t: i64) -> String {
        let mut room = [0; TIME_ROOM];
        let len = times.write(&mut room, t);
        String::from_utf8_lossy(&room[..len]).into_owned()
    }

    #[test]
    fn each_time_has_its_text_in_any_order() {
        let mut times = TimeTexts::default();
        let series: [&[i64]; 6] = [
            &[1000, 2000, 4500],
            &[1000, 2000, 4500],
            &[2000, 3000, 4500, 5000],
            &[500, 5000],
            &[],
            &[i64::MIN, i64::MAX],
        ];
        for times_of_series in series {
            for t in times_of_series {
                let mut want = "[".to_owned();
                json::push_time(&mut want, *t);
                want.push_str(",\"");
                assert_eq!(write(&mut times, *t), want);
            }
        }
        // What came before all others or between two was written, not kept.
        let kept: Vec<i64> = times.texts.iter().map(|text| text.t).collect();
        assert_eq!(kept, [1000, 2000, 4500, 5000, i64::MAX]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut times = TimeTexts::default();
        let mut last = String::new();
        for t in 0..MOST as i64 + 10 {
            last = write(&mut times, t * 1000);
        }
        assert_eq!(times.texts.len(), MOST);
        assert_eq!(last, "[16393,\"");
    }
}
