//! What was found out about label sets, by their identity: many series of a query share a few sets.

use bellwether_model::Labels;

/// Places; a power of two.
const PLACES: usize = 64;

/// Remembers a value for each of the label sets seen lately. Sets count as the same only when they are clones.
pub(super) struct Memo<T>(Vec<Option<(Labels, T)>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Memo<T> {
    /// The value of a set, made where it is not remembered.
    #[inline]
    pub(super) fn get(&mut self, labels: &Labels, make: impl FnOnce(&Labels) -> T) -> T {
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        // Multiplying spreads addresses, which have zeros at their end; the upper bits are the good ones.
        let spread = (labels.identity() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.0[(spread >> 58) as usize];
        match place {
            Some((known, value)) if known.is_same(labels) => value.clone(),
            _ => {
                let value = make(labels);
                *place = Some((labels.clone(), value.clone()));
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_belong_to_their_sets() {
        let sets: Vec<Labels> = (0..500)
            .map(|i| Labels::from_pairs([("i", i.to_string())]))
            .collect();
        let mut memo = Memo::default();
        let mut made = 0;
        for round in 0..2 {
            for (i, labels) in sets.iter().enumerate() {
                for _ in 0..2 {
                    let value = memo.get(labels, |_| {
                        made += 1;
                        i
                    });
                    assert_eq!(value, i, "round {round}");
                }
            }
        }
        // The second question is never in vain, the next round's mostly is.
        assert!((500..=1000).contains(&made), "{made}");
    }
}
