//! Damaged segments and indexes: nothing panics, nothing allocates what the input merely
//! claims to need, and no changed byte passes the checker or a digest.

#[path = "fixture/segments.rs"]
mod fixture;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fixture::{frame, line, run, segment};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, setrlimit};
use sha2::{Digest as _, Sha256};
use temporal::bloom::Bloom;
use temporal::segment::{
    Checked, Checker, Codec, Entry, Error, Replay, entries, history, raw_entries, read_line,
};

/// Address space of this process: a length of 2 GiB taken at its word would end it.
const ADDRESS_SPACE: u64 = 1536 << 20;
/// Memory this process may have touched at the end of a test.
const RESIDENT_KIB: u64 = 192 << 10;

fn check(index: &[u8], data: &[u8]) -> Result<Checked, Error> {
    let mut checker = Checker::new(index)?;
    checker.feed(data)?;
    checker.finish()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// What the golden files hold.
fn golden_runs() -> Vec<(temporal::segment::Summary, u64)> {
    (0..8).map(|n| run(n, u64::from(n))).collect()
}

#[tokio::test]
async fn version_1_is_read_as_the_golden_files_have_it() {
    for suffix in ["zst", "gz"] {
        let data = std::fs::read(golden(&format!("segment-v1.jsonl.{suffix}"))).unwrap();
        let index = std::fs::read(golden(&format!("segment-v1.index.jsonl.{suffix}"))).unwrap();
        let checked = check(&index, &data).unwrap();
        assert_eq!((checked.runs, checked.events), (8, 28));
        let data = Bytes::from(data);
        let runs = golden_runs();
        for entry in entries(&index).unwrap() {
            let entry = entry.unwrap();
            let at = runs.iter().position(|(summary, _)| *summary == entry.summary).unwrap();
            let text = read_line(&data, &entry).await.unwrap();
            assert!(text == line(&runs[at].0, runs[at].1));
        }
    }
}

#[tokio::test]
async fn version_1_is_written_as_the_golden_files_have_it() {
    // The JSON must stay the same; the bytes of a frame are the compressor's affair.
    let (data, finished) = segment(Codec::Zstd(3), &golden_runs()).await;
    let unpack = |bytes: &[u8]| zstd::stream::decode_all(bytes).unwrap();
    let stored = std::fs::read(golden("segment-v1.jsonl.zst")).unwrap();
    assert!(unpack(&stored) == unpack(&data));
    let stored = std::fs::read(golden("segment-v1.index.jsonl.zst")).unwrap();
    let without_at = |index: &[u8]| -> Vec<_> {
        entries(index)
            .unwrap()
            .map(Result::unwrap)
            .map(|Entry { summary, at }| (summary, at.skip, at.size, at.events, at.sha256))
            .collect()
    };
    assert_eq!(without_at(&stored), without_at(&finished.index));
    let text = String::from_utf8(unpack(&stored)).unwrap();
    assert!(text.lines().all(|line| line.contains(",\"at\":{\"offset\":0,\"length\":")));
}

#[tokio::test]
async fn no_changed_byte_of_a_segment_or_an_index_passes_unseen() {
    for codec in [Codec::Zstd(3), Codec::Gzip(6)] {
        let runs: Vec<_> = (0..12).map(|n| run(n, 3)).collect();
        let (data, finished) = segment(codec, &runs).await;
        let index = finished.index;
        let whole = check(&index, &data).unwrap();
        let (data_digest, index_digest) = (Sha256::digest(&data), Sha256::digest(&index));
        let mut harmless = 0;
        for at in 0..data.len() {
            for bit in [0, 3, 7] {
                let mut changed = data.to_vec();
                changed[at] ^= 1 << bit;
                assert_ne!(Sha256::digest(&changed), data_digest);
                // Some bits of a frame's header mean nothing: the lines are then what they were,
                // and only the object's digest tells.
                harmless += u32::from(check(&index, &changed).is_ok_and(|found| found == whole));
            }
        }
        for at in 0..index.len() {
            let mut changed = index.clone();
            changed[at] ^= 1 << (at % 8);
            assert_ne!(Sha256::digest(&changed), index_digest);
            harmless += u32::from(check(&changed, &data).is_ok_and(|found| found == whole));
        }
        let allowed = if matches!(codec, Codec::Gzip(_)) { 60 } else { 20 };
        assert!(harmless <= allowed, "{codec}: {harmless}");
        for length in 0..data.len() {
            assert!(check(&index, &data[..length]).is_err(), "{length} bytes");
        }
        for length in 0..index.len() {
            assert!(check(&index[..length], &data).is_err(), "{length} bytes");
        }
    }
}

#[tokio::test]
async fn no_changed_byte_of_an_entry_leads_to_another_runs_line() {
    let runs: Vec<_> = (0..3).map(|n| run(n, 3)).collect();
    let (data, finished) = segment(Codec::Zstd(3), &runs).await;
    let text = zstd::stream::decode_all(&finished.index[..]).unwrap();
    let (mut right, mut wrong) = (0, 0);
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            let index = frame(Codec::Zstd(1), &changed);
            assert!(check(&index, &data).is_err(), "byte {at} bit {bit}");
            for entry in entries(&index).unwrap() {
                let Ok(entry) = entry else {
                    wrong += 1;
                    continue;
                };
                match read_line(&data, &entry).await {
                    Ok(read) => {
                        right += 1;
                        assert!(runs.iter().any(|(summary, _)| line(summary, 3) == read));
                    }
                    Err(_) => wrong += 1,
                }
            }
        }
    }
    assert!(right > 1000 && wrong > 1000, "{right} {wrong}");
}

/// `input` with one to four faults.
fn damage(random: &mut SmallRng, input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..40)).min(bytes.len());
        match random.random_range(0..6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 if at < bytes.len() => bytes[at] = random.random(),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            _ => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// Runs `check` on damaged copies of `seeds`. A panic is reported with its input.
fn fuzz(seed: u64, cases: usize, seeds: &[Vec<u8>], mut check: impl FnMut(&[u8])) {
    let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) };
    setrlimit(Resource::As, limit).unwrap();
    let mut random = SmallRng::seed_from_u64(seed);
    for case in 0..cases {
        let input = damage(&mut random, &seeds[case % seeds.len()]);
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&input)));
        assert!(outcome.is_ok(), "case {case} of seed {seed:#x}: {input:02x?}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < RESIDENT_KIB, "{peak} KiB were used");
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn damaged_indexes_are_refused_or_mean_something() {
    let runs: Vec<_> = (0..9).map(|n| run(n, 2)).collect();
    let (data, finished) = block_on(segment(Codec::Zstd(3), &runs));
    let (_, gzip) = block_on(segment(Codec::Gzip(6), &runs));
    fuzz(0x1de, 6_000, &[finished.index.clone(), gzip.index], |input| {
        entries(input).unwrap().for_each(drop);
        let _ = check(input, &data);
    });
    // Damage below the compression, where no checksum stands before the parser.
    let text = zstd::stream::decode_all(&finished.index[..]).unwrap();
    let mut parsed = 0;
    fuzz(0x1df, 6_000, &[text], |input| {
        let index = frame(Codec::Zstd(1), input);
        for entry in raw_entries(&index).unwrap().map_while(Result::ok) {
            let _ = entry.close_time();
            parsed += u32::from(entry.parse().is_ok());
        }
        let _ = check(&index, &data);
    });
    assert!(parsed > 10_000, "{parsed}");
}

#[test]
fn damaged_segments_are_refused_or_are_whole() {
    let runs: Vec<_> = (0..9).map(|n| run(n, 2)).collect();
    for codec in [Codec::Zstd(3), Codec::Gzip(6)] {
        let (data, finished) = block_on(segment(codec, &runs));
        let all: Vec<_> = entries(&finished.index).unwrap().map(Result::unwrap).collect();
        fuzz(0x5e6, 4_000, &[data.to_vec()], |input| {
            let checked = check(&finished.index, input);
            let mut replay = Replay::new(&finished.index, codec).unwrap();
            let replayed = replay.feed(input).and_then(|_| replay.finish());
            assert_eq!(checked.is_ok(), replayed.is_ok());
            let source = Bytes::copy_from_slice(input);
            for entry in all.iter().take(2) {
                let _ = block_on(read_line(&source, entry));
            }
        });
    }
    let seed = line(&runs[1].0, 3);
    fuzz(0x11e, 20_000, &[seed], |input| _ = history(input));
}

#[test]
fn an_entry_cannot_claim_memory() {
    let (data, finished) = block_on(segment(Codec::Zstd(3), &[run(1, 2)]));
    let text = String::from_utf8(zstd::stream::decode_all(&finished.index[..]).unwrap()).unwrap();
    let claim = |name: &str, value: u64| {
        let start = text.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
        let end = start + text[start..].find([',', '}']).unwrap();
        let changed = format!("{}{value}{}", &text[..start], &text[end..]);
        let index = frame(Codec::Zstd(1), changed.as_bytes());
        entries(&index).unwrap().next().unwrap().map(|entry| block_on(read_line(&data, &entry)))
    };
    for name in ["offset", "length", "skip", "size"] {
        for value in [0, 1 << 30, u64::MAX] {
            let outcome = claim(name, value);
            let unchanged = value == 0 && matches!(name, "offset" | "skip");
            assert_eq!(matches!(outcome, Ok(Ok(_))), unchanged, "{name} {value}");
        }
    }
}

#[test]
fn an_index_line_without_end_is_not_gathered() {
    // Some kilobytes that decompress to 64 MiB without a line feed.
    let index = frame(Codec::Zstd(1), &vec![b'a'; 64 << 20]);
    assert!(index.len() < 100_000);
    let error = raw_entries(&index).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), "line 1 is longer than any index line");
}

#[test]
fn damaged_filters_are_refused_or_answer() {
    let seed = Bloom::new((0..40_u8).map(|n| [n; 16]).collect()).encode().into_bytes();
    fuzz(0xb100, 20_000, &[seed], |input| {
        if let Ok(text) = std::str::from_utf8(input)
            && let Ok(bloom) = Bloom::decode(text)
        {
            let _ = bloom.may_contain("x");
        }
    });
}
