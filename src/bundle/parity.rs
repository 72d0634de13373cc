//! Parity: chunks from which lost chunks of the volumes are computed. `docs/format.md`, "Parity", states the code so that it can be
//! written again from there.
//!
//! Reed-Solomon over 16-bit words. The chunks of all volumes, in order, are dealt to groups in turn, so that what is lost together (a
//! run, a volume) is spread over all of them; of a group with *k* chunks and *m* parity chunks, any *m* may be lost. A column is the same
//! few bytes of every chunk of a group; columns are independent, and so memory does not grow with the bundle.

use reed_solomon_simd::engine::{DefaultEngine, Engine, GF_MODULUS, ShardsRefMut, tables};

use crate::checked::small;

/// What bytes of a column are a multiple of: half of 64 bytes are the low bytes of 32 words, half the high bytes.
pub const GRAIN: u64 = 64;
/// The field has so many elements, and each chunk of a group is one.
const FIELD: u64 = 65_536;
/// Parity chunks of one group at most: so much of a column, twice, is held in memory.
const ROWS: u64 = 1024;

/// How much parity there is, and what belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    share: u64,
    chunks: u64,
    length: u64,
    groups: u64,
}

/// One group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Which, from 0.
    pub number: u64,
    /// Its chunks of volumes.
    pub chunks: u64,
    /// Its parity chunks.
    pub rows: u64,
}

impl Shape {
    /// The shape of `share` percent of parity for chunks of these lengths; `None` where there is none.
    #[must_use]
    pub fn new(share: u64, lengths: impl Iterator<Item = u64>) -> Option<Self> {
        let (mut chunks, mut longest) = (0u64, 0);
        for length in lengths {
            chunks += 1;
            longest = longest.max(length);
        }
        if chunks == 0 || longest == 0 || !(1..=100).contains(&share) {
            return None;
        }
        let length = longest.next_multiple_of(GRAIN);
        let fits = |groups: &u64| {
            let first = Self { share, chunks, length, groups: *groups }.group(0);
            first.rows <= ROWS && first.width() + first.chunks <= FIELD
        };
        let groups = (1..=chunks).find(fits)?;
        Some(Self { share, chunks, length, groups })
    }

    /// Bytes of a parity chunk: those of the longest chunk, rounded up to [`GRAIN`].
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Parity chunks for a hundred chunks.
    #[must_use]
    pub fn share(&self) -> u64 {
        self.share
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> u64 {
        self.groups
    }

    /// Group `number`.
    #[must_use]
    pub fn group(&self, number: u64) -> Group {
        let chunks = (self.chunks + self.groups - 1 - number) / self.groups;
        Group { number, chunks, rows: (chunks * self.share).div_ceil(100) }
    }

    /// Parity chunks in all.
    #[must_use]
    pub fn rows(&self) -> u64 {
        (0..self.groups).map(|number| self.group(number).rows).sum()
    }

    /// The group of chunk `number` (of volumes, or of parity volumes: both are dealt in the same way), and its place there.
    #[must_use]
    pub fn place(&self, number: u64) -> (u64, u64) {
        (number % self.groups, number / self.groups)
    }

    /// The number of the chunk at `place` of `group`.
    #[must_use]
    pub fn number(&self, group: u64, place: u64) -> u64 {
        place * self.groups + group
    }

    /// Parity chunks in each parity volume but the last, where no volume has more than `largest` bytes.
    #[must_use]
    pub fn rows_of_volume(&self, largest: u64) -> u64 {
        (largest / self.length).max(1)
    }
}

impl Group {
    /// The power of two from its number of parity chunks on.
    fn width(&self) -> u64 {
        self.rows.next_power_of_two()
    }

    /// Bytes that each byte of a column's width takes in memory.
    #[must_use]
    pub fn weight(&self) -> u64 {
        3 * self.width()
    }
}

/// Fills in the bytes of the chunk, or parity chunk, with a number.
pub type Fill<'a, E> = &'a mut dyn FnMut(u64, &mut [u8]) -> Result<(), E>;
/// Takes the bytes of what was lost.
pub type Take<'a, E> = &'a mut dyn FnMut(Lost, &[u8]) -> Result<(), E>;

/// The room in which columns are computed; as wide as it was made.
pub struct Columns {
    engine: DefaultEngine,
    sum: Vec<[u8; 64]>,
    block: Vec<[u8; 64]>,
}

impl Columns {
    /// Room for columns of `group` of at most `width` bytes, a multiple of [`GRAIN`].
    #[must_use]
    pub fn new(group: &Group, width: u64) -> Self {
        let room = vec![[0; 64]; small(group.width() * width / GRAIN)];
        Self { engine: DefaultEngine::new(), sum: room.clone(), block: room }
    }

    /// Computes the parity of one column of `width` bytes; `read` fills in the bytes of each chunk. [`Columns::row`] gives it.
    ///
    /// # Errors
    /// What `read` gave.
    pub fn compute<E>(&mut self, group: &Group, width: u64, read: Fill<'_, E>) -> Result<(), E> {
        let (size, one) = (small(group.width()), small(width / GRAIN));
        let used = size * one;
        self.sum[..used].fill([0; 64]);
        for first in (0..group.chunks).step_by(size) {
            let count = (group.chunks - first).min(group.width());
            for (place, column) in (first..first + count).zip(self.block[..used].chunks_mut(one)) {
                read(place, column.as_flattened_mut())?;
            }
            self.block[small(count) * one..used].fill([0; 64]);
            let mut block = ShardsRefMut::new(size, one, &mut self.block[..used]);
            // The points of the first block follow those of the parity chunks.
            self.engine.ifft(&mut block, 0, size, small(count), small(first) + size);
            for (sum, block) in self.sum[..used].iter_mut().zip(&self.block[..used]) {
                add(sum, block);
            }
        }
        let mut sum = ShardsRefMut::new(size, one, &mut self.sum[..used]);
        self.engine.fft(&mut sum, 0, size, small(group.rows), 0);
        Ok(())
    }

    /// A parity chunk's part of the column that was computed last, of `width` bytes.
    pub fn row(&mut self, row: u64, width: u64) -> &mut [u8] {
        let one = small(width / GRAIN);
        self.sum[small(row) * one..small(row + 1) * one].as_flattened_mut()
    }

    /// Adds `factor` times `from` to `to`.
    fn add_times(&mut self, to: &mut [[u8; 64]], factor: Factor, from: usize, one: usize) {
        let room = &mut self.block[..one];
        room.copy_from_slice(&self.sum[from * one..(from + 1) * one]);
        self.engine.mul(room, factor.0);
        for (to, room) in to.iter_mut().zip(room.iter()) {
            add(to, room);
        }
    }
}

fn add(to: &mut [u8; 64], from: &[u8; 64]) {
    for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(from.as_chunks::<16>().0) {
        *to = (u128::from_ne_bytes(*to) ^ u128::from_ne_bytes(*from)).to_ne_bytes();
    }
}

/// An element of the field that is not 0, by its logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Factor(u16);

/// Sums of logarithms, which are taken modulo 65535.
#[derive(Debug, Clone, Copy, Default)]
struct Log(u64);

impl Log {
    fn of(element: u64) -> Self {
        Self(u64::from(tables::get_exp_log().log[small(element % FIELD)]))
    }

    fn times(self, other: Self) -> Self {
        Self((self.0 + other.0) % u64::from(GF_MODULUS))
    }

    fn over(self, other: Self) -> Self {
        Self((self.0 + u64::from(GF_MODULUS) - other.0) % u64::from(GF_MODULUS))
    }

    fn product(elements: impl Iterator<Item = u64>) -> Self {
        elements.fold(Self(0), |product, element| product.times(Self::of(element)))
    }

    fn factor(self) -> Factor {
        Factor(u16::try_from(self.0 % u64::from(GF_MODULUS)).unwrap_or(0))
    }
}

/// How lost chunks follow from parity chunks: the inverse of a part of the code's matrix.
pub struct Solution {
    /// Places of the chunks that are lost.
    lost: Vec<u64>,
    /// Parity chunks that are used, as many.
    rows: Vec<u64>,
    /// For each lost chunk, the factor of each of these.
    factors: Vec<Vec<Factor>>,
    /// For each parity chunk that is lost itself: which, and the factor of each lost chunk in it.
    more: Vec<(u64, Vec<Factor>)>,
}

impl Solution {
    /// The solution for `lost` chunks and `lost_rows` parity chunks of `group`; `None` when there are fewer parity chunks than lost chunks.
    #[must_use]
    pub fn new(group: &Group, lost: &[u64], lost_rows: &[u64]) -> Option<Self> {
        let rows: Vec<u64> =
            (0..group.rows).filter(|row| !lost_rows.contains(row)).take(lost.len()).collect();
        if rows.len() < lost.len() {
            return None;
        }
        let point = |place: u64| group.width() + place;
        // Of row j and chunk i, the matrix has scale(i) / (j + point(i)); addition is exclusive or.
        let scale = |place: u64| {
            let first = place / group.width() * group.width();
            let all = Log::product((first..first + group.width()).map(point));
            all.over(Log::product(1..group.width()))
        };
        let scales: Vec<Log> = lost.iter().map(|place| scale(*place)).collect();
        let column: Vec<Log> =
            lost.iter().map(|place| Log::product(rows.iter().map(|row| row ^ point(*place)))).collect();
        let others: Vec<Log> = lost
            .iter()
            .map(|place| {
                let others = lost.iter().filter(|other| *other != place);
                Log::product(others.map(|other| point(*other) ^ point(*place)))
            })
            .collect();
        let row: Vec<(Log, Log)> = rows
            .iter()
            .map(|row| {
                let across = Log::product(lost.iter().map(|place| row ^ point(*place)));
                (across, Log::product(rows.iter().filter(|other| *other != row).map(|other| other ^ row)))
            })
            .collect();
        // The inverse of a Cauchy matrix.
        let factor = |at: usize, place: u64| {
            let one = |(row, (across, between)): (&u64, &(Log, Log))| {
                let above = column[at].times(*across);
                let below = Log::of(row ^ point(place)).times(*between).times(others[at]).times(scales[at]);
                above.over(below).factor()
            };
            rows.iter().zip(&row).map(one).collect()
        };
        let factors = lost.iter().enumerate().map(|(at, place)| factor(at, *place)).collect();
        let inside = |row: u64| {
            lost.iter()
                .zip(&scales)
                .map(|(place, scale)| scale.over(Log::of(row ^ point(*place))).factor())
                .collect()
        };
        let more = lost_rows.iter().map(|row| (*row, inside(*row))).collect();
        Some(Self { lost: lost.to_vec(), rows, factors, more })
    }

    /// The parity chunks that it needs.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Computes what is lost of one column of `width` bytes, of which `columns` was computed with zeros in the place of what is lost; `read`
    /// gives the bytes of a parity chunk. `put` takes the bytes of each lost chunk (true), by its place, and of each lost parity chunk.
    ///
    /// # Errors
    /// What `read` and `put` gave.
    pub fn solve<E>(
        &self,
        (columns, width): (&mut Columns, u64),
        read: Fill<'_, E>,
        put: Take<'_, E>,
    ) -> Result<(), E> {
        let one = small(width / GRAIN);
        let mut room = vec![[0; 64]; one];
        for row in &self.rows {
            read(*row, room.as_flattened_mut())?;
            let from = small(*row) * one;
            for (sum, room) in columns.sum[from..from + one].iter_mut().zip(&room) {
                add(sum, room);
            }
        }
        let mut found = vec![vec![[0; 64]; one]; self.lost.len()];
        for ((place, factors), found) in self.lost.iter().zip(&self.factors).zip(&mut found) {
            for (row, factor) in self.rows.iter().zip(factors) {
                columns.add_times(found, *factor, small(*row), one);
            }
            put(Lost::Chunk(*place), found.as_flattened())?;
        }
        for (row, factors) in &self.more {
            room.copy_from_slice(&columns.sum[small(*row) * one..small(*row + 1) * one]);
            for (found, factor) in found.iter_mut().zip(factors) {
                let times = &mut columns.block[..one];
                times.copy_from_slice(found);
                columns.engine.mul(times, factor.0);
                for (room, times) in room.iter_mut().zip(times.iter()) {
                    add(room, times);
                }
            }
            put(Lost::Row(*row), room.as_flattened())?;
        }
        Ok(())
    }
}

/// What was lost of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// A chunk of a volume, by its place.
    Chunk(u64),
    /// A parity chunk, by its row.
    Row(u64),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn shape(share: u64, chunks: u64) -> Shape {
        Shape::new(share, (0..chunks).map(|_| 1000)).unwrap()
    }

    #[test]
    fn chunks_are_dealt_so_that_each_group_is_within_the_field() {
        for (share, chunks) in
            [(1, 1), (5, 1), (100, 7), (5, 8960), (5, 20_480), (5, 20_481), (1, 65_536), (33, 4_194_304)]
        {
            let shape = shape(share, chunks);
            let groups: Vec<Group> = (0..shape.groups()).map(|number| shape.group(number)).collect();
            assert_eq!(groups.iter().map(|group| group.chunks).sum::<u64>(), chunks);
            assert!(shape.rows() * 100 >= chunks * share, "{share} {chunks}");
            for group in &groups {
                assert!(group.rows <= ROWS && group.width() + group.chunks <= FIELD, "{group:?}");
            }
            // Parity chunks are numbered without a gap.
            let mut numbers: Vec<u64> = groups
                .iter()
                .flat_map(|group| (0..group.rows).map(|row| shape.number(group.number, row)))
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..shape.rows()).collect::<Vec<_>>(), "{share} {chunks}");
        }
        assert_eq!(shape(5, 20_480).groups(), 1);
        assert_eq!(shape(5, 20_481).groups(), 2);
        assert!(Shape::new(0, [1].into_iter()).is_none());
        assert!(Shape::new(101, [1].into_iter()).is_none());
        assert!(Shape::new(5, std::iter::empty()).is_none());
    }

    /// The code as `docs/format.md` states it, and nothing of ours or of the library: words, a product, one sum.
    mod stated {
        const BASIS: [u16; 16] = [
            0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012, 0x6C98, 0x10D8, 0x6A72, 0xB900,
            0xFDB8, 0xFB34, 0xFF38, 0x991E,
        ];

        fn sum(bits: u16) -> u16 {
            (0..16).filter(|bit| bits >> bit & 1 == 1).fold(0, |sum, bit| sum ^ BASIS[bit])
        }

        fn polynomial(one: u16, other: u16) -> u16 {
            let mut product = 0u32;
            for bit in 0..16 {
                if other >> bit & 1 == 1 {
                    product ^= u32::from(one) << bit;
                }
            }
            for bit in (16..32).rev() {
                if product >> bit & 1 == 1 {
                    product ^= 0x1002D << (bit - 16);
                }
            }
            (product & 0xffff).try_into().unwrap()
        }

        pub(super) struct Field {
            back: Vec<u16>,
        }

        impl Field {
            pub(super) fn new() -> Self {
                let mut back = vec![0; 65536];
                for word in 0..=u16::MAX {
                    back[usize::from(sum(word))] = word;
                }
                Self { back }
            }

            pub(super) fn times(&self, one: u16, other: u16) -> u16 {
                self.back[usize::from(polynomial(sum(one), sum(other)))]
            }

            fn inverse(&self, one: u16) -> u16 {
                // one ^ (2^16 - 2)
                let (mut power, mut product) = (one, 1);
                for _ in 0..15 {
                    power = self.times(power, power);
                    product = self.times(product, power);
                }
                product
            }

            /// The factor of chunk `place` in parity chunk `row`, where there are `width` rows or fewer, down to half.
            pub(super) fn factor(&self, width: u16, row: u16, place: u16) -> u16 {
                let first = place / width * width;
                let above = (first..first + width).fold(1, |all, one| self.times(all, width + one));
                let below = (1..width).fold(row ^ (width + place), |all, one| self.times(all, one));
                self.times(above, self.inverse(below))
            }
        }

        pub(super) fn word(bytes: &[u8], at: usize) -> u16 {
            let part = &bytes[at / 32 * 64..];
            u16::from(part[at % 32]) | u16::from(part[32 + at % 32]) << 8
        }
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(length)
        .collect()
    }

    fn columns(group: &Group, chunks: &[Vec<u8>], width: u64) -> Columns {
        let mut columns = Columns::new(group, width);
        let mut read = |place: u64, column: &mut [u8]| {
            column.copy_from_slice(&chunks[small(place)]);
            Ok::<(), Infallible>(())
        };
        columns.compute(group, width, &mut read).unwrap();
        columns
    }

    #[test]
    fn parity_is_what_the_format_states() {
        let field = stated::Field::new();
        for (share, count) in [(100, 1), (1, 5), (40, 5), (30, 23), (100, 9)] {
            let group = shape(share, count).group(0);
            let chunks: Vec<Vec<u8>> = (0..count).map(|seed| noise(seed, 128)).collect();
            let mut columns = columns(&group, &chunks, 128);
            for row in 0..group.rows {
                let parity = columns.row(row, 128).to_vec();
                for at in [0, 1, 31, 32, 63] {
                    let width = u16::try_from(group.rows.next_power_of_two()).unwrap();
                    let expected = chunks.iter().zip(0u16..).fold(0, |sum, (chunk, place)| {
                        let factor = field.factor(width, u16::try_from(row).unwrap(), place);
                        sum ^ field.times(factor, stated::word(chunk, at))
                    });
                    assert_eq!(
                        stated::word(&parity, at),
                        expected,
                        "{share}% of {count}, row {row}, word {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn any_chunks_up_to_the_parity_are_found_again() {
        for (case, (share, count)) in
            [(100u64, 1u64), (1, 5), (40, 5), (20, 40), (30, 23), (100, 9)].into_iter().enumerate()
        {
            let group = shape(share, count).group(0);
            let chunks: Vec<Vec<u8>> = (0..count).map(|seed| noise(seed, 64)).collect();
            let mut all = columns(&group, &chunks, 64);
            let rows: Vec<Vec<u8>> = (0..group.rows).map(|row| all.row(row, 64).to_vec()).collect();
            for round in 0..12 {
                // Lost are some of the chunks and some of the parity, never more than there is parity.
                let draw = noise(100 * case as u64 + round, 64);
                let total = 1 + u64::from(draw[0]) % group.rows;
                let mut lost = Vec::new();
                let mut lost_rows = Vec::new();
                for byte in &draw[1..] {
                    let at = u64::from(*byte) % (count + group.rows);
                    let (list, at) = if at < count { (&mut lost, at) } else { (&mut lost_rows, at - count) };
                    if !list.contains(&at) {
                        list.push(at);
                    }
                    if (lost.len() + lost_rows.len()) as u64 == total {
                        break;
                    }
                }
                let solution = Solution::new(&group, &lost, &lost_rows).unwrap();
                let mut columns = Columns::new(&group, 64);
                let mut read = |place: u64, column: &mut [u8]| {
                    match lost.contains(&place) {
                        true => column.fill(0),
                        false => column.copy_from_slice(&chunks[small(place)]),
                    }
                    Ok::<(), Infallible>(())
                };
                columns.compute(&group, 64, &mut read).unwrap();
                let mut found = 0;
                let mut parity = |row: u64, column: &mut [u8]| {
                    assert!(!lost_rows.contains(&row));
                    column.copy_from_slice(&rows[small(row)]);
                    Ok::<(), Infallible>(())
                };
                let mut put = |what: Lost, bytes: &[u8]| {
                    found += 1;
                    match what {
                        Lost::Chunk(place) => assert_eq!(bytes, chunks[small(place)], "chunk {place}"),
                        Lost::Row(row) => assert_eq!(bytes, rows[small(row)], "row {row}"),
                    }
                    Ok::<(), Infallible>(())
                };
                solution.solve((&mut columns, 64), &mut parity, &mut put).unwrap();
                assert_eq!(found, lost.len() + lost_rows.len());
            }
            let more: Vec<u64> = (0..group.rows).collect();
            assert!(Solution::new(&group, &[0], &more).is_none(), "one beyond it");
        }
    }
}
