//! Functions of windows that look alike, a window in each lane of some vectors.

use fearless_simd::{Simd, SimdBase as _};

/// Vectors of windows that are added up side by side: an addition takes its time, and the next one of the same window
/// has to wait for it.
const VECTORS: usize = 4;

/// What is made of a window, sample by sample.
pub(super) trait Fold<S: Simd>: Copy {
    fn begin(simd: S) -> Self;

    /// Takes the next sample, after which there were `count`.
    fn add(&mut self, v: S::f64s, count: S::f64s);

    fn finish(self, count: S::f64s) -> S::f64s;
}

/// Samples such that the same sample of neighbouring windows, `stride` samples from each other, are neighbours: first
/// every `stride`th one, then those after them, and so on.
pub(super) struct Turned<'a> {
    samples: &'a [f64],
    /// From a sample to the one that came after it.
    width: usize,
    stride: usize,
}

impl<'a> Turned<'a> {
    /// Turns the samples of so many windows of a length.
    pub(super) fn new(
        samples: &'a [f64],
        (len, stride, windows): (usize, usize, usize),
        scratch: &'a mut Vec<f64>,
    ) -> Self {
        if stride == 1 {
            return Self {
                samples,
                width: 0,
                stride,
            };
        }
        let width = windows + (len - 1) / stride;
        scratch.resize(stride.min(len) * width, 0.0);
        for (from, row) in scratch.chunks_exact_mut(width).enumerate() {
            // Where a row is longer than the samples reach, no window has any.
            for (to, samples) in row.iter_mut().zip(samples[from..].chunks(stride)) {
                *to = samples[0];
            }
        }
        Self {
            samples: scratch,
            width,
            stride,
        }
    }

    /// The results of windows that fill some vectors.
    #[inline(always)]
    fn fold_some<S: Simd, F: Fold<S>, const N: usize>(
        &self,
        simd: S,
        (first, len): (usize, usize),
        out: &mut [f64],
    ) {
        let lanes = S::f64s::LEN;
        let mut folds = [F::begin(simd); N];
        let one = S::f64s::splat(simd, 1.0);
        let mut count = S::f64s::splat(simd, 0.0);
        let (mut row, mut column) = (0, 0);
        for _ in 0..len {
            let at = row * self.width + column + first;
            let samples = &self.samples[at..at + N * lanes];
            count += one;
            for n in 0..N {
                let v = S::f64s::from_slice(simd, &samples[n * lanes..(n + 1) * lanes]);
                folds[n].add(v, count);
            }
            row += 1;
            if row == self.stride {
                (row, column) = (0, column + 1);
            }
        }
        for (fold, out) in folds.into_iter().zip(out.chunks_exact_mut(lanes)) {
            fold.finish(count).store_slice(out);
        }
    }

    /// The results of all windows of a length, of which there are at least as many as a vector has lanes.
    #[inline(always)]
    pub(super) fn fold<S: Simd, F: Fold<S>>(&self, simd: S, len: usize, out: &mut [f64]) {
        let (lanes, mut first) = (S::f64s::LEN, 0);
        while first + VECTORS * lanes <= out.len() {
            self.fold_some::<S, F, VECTORS>(simd, (first, len), &mut out[first..]);
            first += VECTORS * lanes;
        }
        while first < out.len() {
            // The last vector has some windows again.
            first = first.min(out.len() - lanes);
            self.fold_some::<S, F, 1>(simd, (first, len), &mut out[first..]);
            first += lanes;
        }
    }
}
