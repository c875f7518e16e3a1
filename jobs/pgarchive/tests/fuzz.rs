//! Damaged input of every kind, the same on every run: nothing panics, nothing allocates what
//! the input merely claims to need, and what is accepted means one thing only.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use pgarchive::{
    Compression, CopyFormat, CopySummary, FrameEncoder, RowCounter, StreamError, TEXT_COPY_TRAILER,
    Toc, decode_stream, large_objects, put_large_object,
};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Address space of this process: a length of 2 GiB taken at its word would end it.
const ADDRESS_SPACE: u64 = 1536 << 20;
/// Memory this process may have touched at the end of a test.
const RESIDENT_KIB: u64 = 192 << 10;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// `input` with one to four faults.
    fn damage(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(9) {
                0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                3 => bytes.truncate(at),
                4 => bytes.extend(self.bytes(1 + at % 20)),
                5 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                6 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                // Numbers at the edges, in both byte orders.
                _ if bytes.len() >= at + 4 => {
                    let edges = [
                        0,
                        1,
                        0x7f,
                        0xffff,
                        0x3fff_ffff,
                        0x4000_0000,
                        0x7fff_ffff,
                        0x8000_0000,
                        u32::MAX,
                    ];
                    let number = edges[self.below(edges.len())];
                    let word = if at.is_multiple_of(2) {
                        number.to_le_bytes()
                    } else {
                        number.to_be_bytes()
                    };
                    bytes[at..at + 4].copy_from_slice(&word);
                }
                _ => {}
            }
        }
        bytes
    }
}

/// Runs `check` on damaged copies of `seeds` and on noise. A panic is reported with its input.
fn fuzz(seed: u64, cases: usize, seeds: &[Vec<u8>], mut check: impl FnMut(&mut Random, &[u8])) {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) };
        setrlimit(Resource::As, limit).unwrap();
    });
    let mut random = Random(seed);
    for case in 0..cases {
        let input = if case % 16 == 15 {
            let length = random.below(300);
            random.bytes(length)
        } else {
            let seed = &seeds[case % seeds.len()];
            random.damage(seed)
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&mut random, &input)));
        assert!(outcome.is_ok(), "case {case} of seed {seed:#x}: {:02x?}", input);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < RESIDENT_KIB, "{peak} KiB were used");
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_damaged_table_of_contents_is_refused_or_is_another_one() {
    let seeds: Vec<_> = [
        "ours-1.14.toc.dat",
        "ours-1.15.toc.dat",
        "ours-1.14.toc.dat",
        "ours-1.15.toc.dat",
        "pg_dump-15.toc.dat",
        "pg_dump-17.toc.dat",
    ]
    .map(golden)
    .into();
    let mut accepted = 0;
    fuzz(0x70c, 60_000, &seeds, |_, input| {
        if let Ok(toc) = Toc::decode(input) {
            accepted += 1;
            assert!(toc.encode().unwrap() == input, "two files mean the same");
        }
    });
    assert!(accepted > 1000, "only {accepted} were worth the name");
}

fn count(format: CopyFormat, pieces: &[&[u8]]) -> Option<CopySummary> {
    let mut counter = RowCounter::new(format);
    for piece in pieces {
        counter.feed(piece).ok()?;
    }
    counter.finish().ok()
}

fn cut<'a>(random: &mut Random, mut input: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let (piece, rest) = input.split_at(1 + random.below(input.len().min(30)));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

#[test]
fn a_damaged_copy_stream_counts_the_same_in_any_pieces() {
    let text = [&b"1\tone\\\\\n2\t\\N\n\n3\ta\\nb\n4\t\\\\x00ff\n"[..], TEXT_COPY_TRAILER].concat();
    let long = format!("{}\tvalue\n", "k".repeat(200)).repeat(3).into_bytes();
    fuzz(0x7e47, 40_000, &[text, long], |random, input| {
        let whole = count(CopyFormat::Text, &[input]);
        assert_eq!(count(CopyFormat::Text, &cut(random, input)), whole);
    });

    let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in 0..5_u8 {
        binary.extend_from_slice(&[0, 3, 0, 0, 0, 4, 0, 0, 0, row, 0xff, 0xff, 0xff, 0xff]);
        binary.extend_from_slice(&[0, 0, 0, row]);
        binary.extend(std::iter::repeat_n(row, row.into()));
    }
    binary.extend_from_slice(&[0xff, 0xff]);
    assert!(count(CopyFormat::Binary, &[&binary]).is_some());
    fuzz(0xb17a, 40_000, &[binary], |random, input| {
        let whole = count(CopyFormat::Binary, &[input]);
        assert_eq!(count(CopyFormat::Binary, &cut(random, input)), whole);
    });
}

#[test]
fn a_damaged_list_of_large_objects_ends_at_the_damage() {
    let mut list = Vec::new();
    (1..20).for_each(|n| put_large_object(&mut list, n * 12_345));
    fuzz(0x10b, 20_000, &[list], |_, input| {
        let objects: Vec<_> = large_objects(input).collect();
        let errors = objects.iter().filter(|object| object.is_err()).count();
        assert!(errors <= 1 && objects.iter().rev().skip(1).all(Result::is_ok));
        if errors == 0 {
            let written: String = objects
                .iter()
                .flatten()
                .map(|object| format!("{} {}\n", object.oid, object.file_name))
                .collect();
            assert_eq!(written.as_bytes(), input, "two lists mean the same");
        }
    });
}

#[test]
fn damaged_frames_never_give_more_than_they_can_hold() {
    let mut rows = Vec::new();
    (0..200).for_each(|n| writeln!(rows, "{n}\t{}\tvalue {}", n * n, n % 7).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let mut encoder = FrameEncoder::new(compression.into()).unwrap();
        let mut frames = Vec::new();
        encoder.encode(&rows, &mut frames).unwrap();
        encoder.encode(&rows[..100], &mut frames).unwrap();
        let mut seeds = vec![frames];
        if compression == Compression::Lz4 {
            // Linked blocks, which only other programs write.
            let mut linked = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
            linked.write_all(&rows.repeat(20)).unwrap();
            seeds.push(linked.finish().0);
        }
        fuzz(0xf4a3e ^ compression as u64, 12_000, &seeds, |random, input| {
            let pieces: Vec<Result<Bytes, StreamError>> = match random.below(2) {
                0 => vec![Ok(Bytes::copy_from_slice(input))],
                _ => {
                    cut(random, input).into_iter().map(|p| Ok(Bytes::copy_from_slice(p))).collect()
                }
            };
            let decoded = decode_stream(compression, stream::iter(pieces).boxed());
            // No codec makes more than some thousand bytes of one; a frame has a few hundred.
            let most = 64 * 1024 * 1024;
            let total = runtime.block_on(decoded.try_fold(0, |total, piece| async move {
                assert!(piece.len() <= 4 * 1024 * 1024);
                assert!(total + piece.len() <= most);
                Ok(total + piece.len())
            }));
            if let Err(error) = total {
                assert!(error.downcast_ref::<pgarchive::Error>().is_some(), "{error}");
            }
        });
    }
}
