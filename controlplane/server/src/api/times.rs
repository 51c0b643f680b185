//! The times of a matrix as texts. All series of a range query have their points at the same times, so each text is made
//! once and copied for every series.

use super::json;

/// Times kept at most; a range query has 11,000 points at most, a range selector may have any number.
const MOST: usize = 16 * 1024;

/// What stands in front of a point's value, `[1700000000,"`, for times in rising order.
#[derive(Default)]
pub(super) struct TimeTexts {
    times: Vec<i64>,
    /// All texts, one after the other.
    texts: String,
    /// Where each text begins, and where the last one ends.
    borders: Vec<u32>,
    /// The place of the time that is probably asked for next.
    next: usize,
}

impl TimeTexts {
    /// Appends the text of a time in milliseconds.
    #[inline]
    pub(super) fn push(&mut self, out: &mut String, t: i64) {
        if self.times.get(self.next) != Some(&t) && !self.find(t) {
            begin(out, t);
            return;
        }
        let border = |i: usize| self.borders.get(i).map_or(0, |b| *b as usize);
        out.push_str(&self.texts[border(self.next)..border(self.next + 1)]);
        self.next += 1;
    }

    /// Sets `next` to a time's place, which is made if it lies behind all others. False if the time has none.
    #[cold]
    fn find(&mut self, t: i64) -> bool {
        match self.times.binary_search(&t) {
            Ok(at) => self.next = at,
            Err(at) if at == self.times.len() && at < MOST => {
                if at == 0 {
                    self.borders.push(0);
                }
                self.times.push(t);
                begin(&mut self.texts, t);
                self.borders.push(self.texts.len() as u32);
                self.next = at;
            }
            Err(_) => return false,
        }
        true
    }
}

fn begin(out: &mut String, t: i64) {
    out.push('[');
    json::push_time(out, t);
    out.push_str(",\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_has_its_text_in_any_order() {
        let mut times = TimeTexts::default();
        let series: [&[i64]; 5] = [
            &[1000, 2000, 4500],
            &[1000, 2000, 4500],
            &[2000, 3000, 4500, 5000],
            &[500, 5000],
            &[],
        ];
        for times_of_series in series {
            for t in times_of_series {
                let (mut got, mut want) = (String::new(), String::new());
                times.push(&mut got, *t);
                begin(&mut want, *t);
                assert_eq!(got, want);
            }
        }
        // What came before all others or between two was written, not kept.
        assert_eq!(times.times, [1000, 2000, 4500, 5000]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut times = TimeTexts::default();
        let mut out = String::new();
        for t in 0..MOST as i64 + 10 {
            times.push(&mut out, t * 1000);
        }
        assert_eq!(times.times.len(), MOST);
        assert!(out.ends_with("[16393,\""), "{}", &out[out.len() - 20..]);
    }
}
