//! Products of vectors: what distances are made of, by the vector instructions of the processor.
//!
//! Vectors lie in words of 32 bits, as [`Encoding`](super::quant::Encoding) writes them: numbers of 32 bits, four of 8 bits, or 32
//! of one bit. A query is compared with many vectors by one call, so that the choice of instructions, made once by
//! [`Kernels::best`], costs one indirect call for some ten vectors.
//!
//! * Both sides of a product have as many words. What fills the last words up is zero and adds nothing.
//! * Products of 8 and of 1 bits are exact, and the same on every processor. Those of floating-point numbers differ in the
//!   last bits, since the order of the sums does.
//!
//! The cost, for 300 numbers in the caches: 5 ns of 8 bits with VNNI, 15 with AVX2, 60 in plain code.
#![allow(
    unsafe_code,
    reason = "code for AVX2 and AVX-512 runs only where the processor has it, which is asked first: 4 to 12 times as fast"
)]

/// Compares one vector with several: writes one product each.
type Many<T> = fn(&[u32], &[&[u32]], &mut [T]);

/// The functions for one kind of processor.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// Sums of the products of 32-bit floating-point numbers.
    pub floats: Many<f32>,
    /// Sums of the products of signed 8-bit numbers.
    pub bytes: Many<i32>,
    /// How many bits differ.
    pub bits: Many<u32>,
}

impl Kernels {
    /// Those that need no more than the language.
    pub const PLAIN: Kernels = Kernels { floats: plain_floats, bytes: plain_bytes, bits: plain_bits };

    /// The fastest that this processor can run.
    #[must_use]
    pub fn best() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vnni")
                && std::is_x86_feature_detected!("avx512vpopcntdq")
            {
                return x86::AVX512;
            }
            if std::is_x86_feature_detected!("avx2")
                && std::is_x86_feature_detected!("fma")
                && std::is_x86_feature_detected!("popcnt")
            {
                return x86::AVX2;
            }
        }
        Kernels::PLAIN
    }
}

fn plain_floats(query: &[u32], vectors: &[&[u32]], out: &mut [f32]) {
    for (out, vector) in out.iter_mut().zip(vectors) {
        let pairs = query.iter().zip(*vector);
        *out = pairs.map(|(a, b)| f32::from_bits(*a) * f32::from_bits(*b)).sum();
    }
}

fn plain_bytes(query: &[u32], vectors: &[&[u32]], out: &mut [i32]) {
    for (out, vector) in out.iter_mut().zip(vectors) {
        *out = query.iter().zip(*vector).map(|(a, b)| product_of_four(*a, *b)).sum();
    }
}

/// The sum of the products of four signed bytes.
fn product_of_four(a: u32, b: u32) -> i32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    (0..4).map(|i| i32::from(a[i].cast_signed()) * i32::from(b[i].cast_signed())).sum()
}

#[inline(always)]
fn plain_bits(query: &[u32], vectors: &[&[u32]], out: &mut [u32]) {
    for (out, vector) in out.iter_mut().zip(vectors) {
        *out = query.iter().zip(*vector).map(|(a, b)| (a ^ b).count_ones()).sum();
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The same for x86-64. Each function is called through [`super::Kernels`] only, which holds it only where the processor
    //! has what it was compiled for.

    use super::{Kernels, plain_bits};
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, __m512i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps,
        _mm256_cvtepi8_epi16, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_setzero_ps,
        _mm256_setzero_si256, _mm256_storeu_ps, _mm256_storeu_si256, _mm512_add_epi64, _mm512_add_ps,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_maskz_loadu_epi32, _mm512_maskz_loadu_ps,
        _mm512_popcnt_epi64, _mm512_reduce_add_epi32, _mm512_reduce_add_epi64, _mm512_reduce_add_ps,
        _mm512_set1_epi8, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_sub_epi32, _mm512_xor_si512,
    };

    pub(super) const AVX512: Kernels = Kernels {
        // SAFETY: `Kernels::best` has found AVX-512 with VNNI and the counting of bits.
        floats: |query, vectors, out| unsafe { floats_avx512(query, vectors, out) },
        // SAFETY: as above.
        bytes: |query, vectors, out| unsafe { bytes_avx512(query, vectors, out) },
        // SAFETY: as above.
        bits: |query, vectors, out| unsafe { bits_avx512(query, vectors, out) },
    };

    pub(super) const AVX2: Kernels = Kernels {
        // SAFETY: `Kernels::best` has found AVX2, FMA and the counting of bits.
        floats: |query, vectors, out| unsafe { floats_avx2(query, vectors, out) },
        // SAFETY: as above.
        bytes: |query, vectors, out| unsafe { bytes_avx2(query, vectors, out) },
        // SAFETY: as above.
        bits: |query, vectors, out| unsafe { bits_popcnt(query, vectors, out) },
    };

    /// Words of a vector register of 512 bits.
    const LANES: usize = 16;
    /// Words of one of 256 bits.
    const HALF: usize = 8;

    /// The lanes that `left` words fill.
    #[inline(always)]
    fn mask(left: usize) -> u16 {
        if left >= LANES { u16::MAX } else { (1 << left) - 1 }
    }

    #[target_feature(enable = "avx512f")]
    fn floats_avx512(query: &[u32], vectors: &[&[u32]], out: &mut [f32]) {
        for (out, vector) in out.iter_mut().zip(vectors) {
            let len = query.len().min(vector.len());
            let (mut even, mut odd) = (_mm512_setzero_ps(), _mm512_setzero_ps());
            for at in (0..len).step_by(2 * LANES) {
                let (left, second) = (mask(len - at), mask(len.saturating_sub(at + LANES)));
                // SAFETY: the mask keeps each load within the `len` words that both have; an address whose lanes are all
                // masked is not read.
                unsafe {
                    let (a, b) = (query.as_ptr().wrapping_add(at), vector.as_ptr().wrapping_add(at));
                    let (a2, b2) = (a.wrapping_add(LANES), b.wrapping_add(LANES));
                    even = _mm512_fmadd_ps(
                        _mm512_maskz_loadu_ps(left, a.cast()),
                        _mm512_maskz_loadu_ps(left, b.cast()),
                        even,
                    );
                    odd = _mm512_fmadd_ps(
                        _mm512_maskz_loadu_ps(second, a2.cast()),
                        _mm512_maskz_loadu_ps(second, b2.cast()),
                        odd,
                    );
                }
            }
            *out = _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
        }
    }

    // VNNI multiplies unsigned bytes by signed ones. So the query is raised by 128, and 128 times the sum of the vector is
    // taken off again.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn bytes_avx512(query: &[u32], vectors: &[&[u32]], out: &mut [i32]) {
        let raised = _mm512_set1_epi8(i8::MIN);
        for (out, vector) in out.iter_mut().zip(vectors) {
            let len = query.len().min(vector.len());
            let (mut product, mut excess) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for at in (0..len).step_by(LANES) {
                let left = mask(len - at);
                // SAFETY: the mask keeps both loads within the `len` words that both have.
                let (a, b): (__m512i, __m512i) = unsafe {
                    (
                        _mm512_maskz_loadu_epi32(left, query.as_ptr().add(at).cast()),
                        _mm512_maskz_loadu_epi32(left, vector.as_ptr().add(at).cast()),
                    )
                };
                product = _mm512_dpbusd_epi32(product, _mm512_xor_si512(a, raised), b);
                excess = _mm512_dpbusd_epi32(excess, raised, b);
            }
            *out = _mm512_reduce_add_epi32(_mm512_sub_epi32(product, excess));
        }
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn bits_avx512(query: &[u32], vectors: &[&[u32]], out: &mut [u32]) {
        for (out, vector) in out.iter_mut().zip(vectors) {
            let len = query.len().min(vector.len());
            let mut differ = _mm512_setzero_si512();
            for at in (0..len).step_by(LANES) {
                let left = mask(len - at);
                // SAFETY: the mask keeps both loads within the `len` words that both have.
                let (a, b) = unsafe {
                    (
                        _mm512_maskz_loadu_epi32(left, query.as_ptr().add(at).cast()),
                        _mm512_maskz_loadu_epi32(left, vector.as_ptr().add(at).cast()),
                    )
                };
                differ = _mm512_add_epi64(differ, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)));
            }
            *out = _mm512_reduce_add_epi64(differ) as u32;
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn floats_avx2(query: &[u32], vectors: &[&[u32]], out: &mut [f32]) {
        for (out, vector) in out.iter_mut().zip(vectors) {
            let len = query.len().min(vector.len());
            let whole = len - len % HALF;
            let mut sums: [__m256; 2] = [_mm256_setzero_ps(); 2];
            for (i, at) in (0..whole).step_by(HALF).enumerate() {
                // SAFETY: `at + HALF` is at most `whole`, and both have so many words.
                let (a, b) = unsafe {
                    (
                        _mm256_loadu_ps(query.as_ptr().add(at).cast()),
                        _mm256_loadu_ps(vector.as_ptr().add(at).cast()),
                    )
                };
                sums[i & 1] = _mm256_fmadd_ps(a, b, sums[i & 1]);
            }
            let mut lanes = [0f32; HALF];
            // SAFETY: the array has room for eight numbers.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sums[0], sums[1])) };
            let rest = query[whole..len].iter().zip(&vector[whole..len]);
            *out = lanes.iter().sum::<f32>()
                + rest.map(|(a, b)| f32::from_bits(*a) * f32::from_bits(*b)).sum::<f32>();
        }
    }

    #[target_feature(enable = "avx2")]
    fn bytes_avx2(query: &[u32], vectors: &[&[u32]], out: &mut [i32]) {
        /// Words that become sixteen numbers of 16 bits.
        const STEP: usize = 4;
        for (out, vector) in out.iter_mut().zip(vectors) {
            let len = query.len().min(vector.len());
            let whole = len - len % STEP;
            let mut sum: __m256i = _mm256_setzero_si256();
            for at in (0..whole).step_by(STEP) {
                // SAFETY: `at + STEP` is at most `whole`, and both have so many words.
                let (a, b): (__m128i, __m128i) = unsafe {
                    (
                        _mm_loadu_si128(query.as_ptr().add(at).cast()),
                        _mm_loadu_si128(vector.as_ptr().add(at).cast()),
                    )
                };
                let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b));
                sum = _mm256_add_epi32(sum, products);
            }
            let mut lanes = [0i32; HALF];
            // SAFETY: the array has room for eight numbers.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
            let rest = query[whole..len].iter().zip(&vector[whole..len]);
            *out = lanes.iter().sum::<i32>() + rest.map(|(a, b)| super::product_of_four(*a, *b)).sum::<i32>();
        }
    }

    #[target_feature(enable = "popcnt")]
    fn bits_popcnt(query: &[u32], vectors: &[&[u32]], out: &mut [u32]) {
        plain_bits(query, vectors, out);
    }

    #[cfg(test)]
    pub(super) fn all() -> Vec<Kernels> {
        let mut all = Vec::new();
        if std::is_x86_feature_detected!("avx512vnni") && std::is_x86_feature_detected!("avx512vpopcntdq") {
            all.push(AVX512);
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            all.push(AVX2);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The kernels that this machine can run, the plain ones not among them.
    fn others() -> Vec<Kernels> {
        #[cfg(target_arch = "x86_64")]
        return x86::all();
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    #[test]
    fn all_kernels_agree_with_the_plain_ones() {
        let mut rng = Rng::from_seed(5);
        for words in (0..70).chain([75, 80, 255, 256, 300, 1000]) {
            let mut draw = || -> Vec<u32> { (0..words).map(|_| rng.next_u64() as u32).collect() };
            let (query, vectors) = (draw(), [draw(), draw(), draw()]);
            let vectors: Vec<&[u32]> = vectors.iter().map(Vec::as_slice).collect();
            let (mut bytes, mut bits) = ([0; 3], [0; 3]);
            (Kernels::PLAIN.bytes)(&query, &vectors, &mut bytes);
            (Kernels::PLAIN.bits)(&query, &vectors, &mut bits);
            for kernels in others() {
                let (mut other_bytes, mut other_bits) = ([1; 3], [1; 3]);
                (kernels.bytes)(&query, &vectors, &mut other_bytes);
                (kernels.bits)(&query, &vectors, &mut other_bits);
                assert_eq!((bytes, bits), (other_bytes, other_bits), "{words} words");
            }
        }
    }

    #[test]
    fn products_of_extreme_bytes_do_not_overflow() {
        for byte in [0x80, 0x7f, 0x81, 0xff_u8] {
            let words = vec![u32::from_ne_bytes([byte; 4]); 16384];
            let expected = i32::from(byte.cast_signed()) * i32::from(byte.cast_signed()) * 65536;
            for kernels in others().into_iter().chain([Kernels::PLAIN]) {
                let mut out = [0];
                (kernels.bytes)(&words, &[&words], &mut out);
                assert_eq!(out, [expected]);
            }
        }
    }

    #[test]
    fn sums_of_floating_point_numbers_differ_in_the_last_bits_only() {
        let mut rng = Rng::from_seed(6);
        for words in (0..70).chain([300, 1536]) {
            let mut draw = || -> Vec<u32> {
                (0..words).map(|_| (rng.below(2001) as f32 / 1000.0 - 1.0).to_bits()).collect()
            };
            let (query, vector) = (draw(), draw());
            let mut plain = [0.0];
            (Kernels::PLAIN.floats)(&query, &[&vector], &mut plain);
            for kernels in others() {
                let mut out = [0.0];
                (kernels.floats)(&query, &[&vector], &mut out);
                assert!((plain[0] - out[0]).abs() < 1e-3, "{words}: {plain:?} {out:?}");
            }
        }
    }
}
