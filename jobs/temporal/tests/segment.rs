//! Segments: what is written is read back, by this program and by anyone's tools.

#[path = "fixture/segments.rs"]
mod fixture;

use std::io::Read;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fixture::{line, run, segment, summary};
use temporal::bloom::Bloom;
use temporal::segment::{
    BoxError, Checker, Codec, Compression, Entry, Error, LineBuilder, Prefilter, Replay, Source,
    Writer, entries, history, raw_entries, read_line,
};

fn parsed(index: &[u8]) -> Vec<Entry> {
    entries(index).unwrap().collect::<Result<_, _>>().unwrap()
}

fn check(index: &[u8], data: &[u8], piece: usize) -> Result<temporal::segment::Checked, Error> {
    let mut checker = Checker::new(index)?;
    for piece in data.chunks(piece) {
        checker.feed(piece)?;
    }
    checker.finish()
}

/// Counts the reads.
struct Counting(Bytes, AtomicU64);

#[async_trait::async_trait]
impl Source for Counting {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, BoxError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(range).await
    }
}

#[tokio::test]
async fn every_run_is_read_back_with_one_ranged_read() {
    for codec in [Codec::Zstd(3), Codec::Gzip(6)] {
        // Small ones, one at a frame's limit, and one of many frames in between.
        let sizes = [1, 0, 400, 3_000, 40_000, 1, 15_000, 0, 900];
        let runs: Vec<_> = (0..).zip(sizes).map(|(n, events)| run(n, events)).collect();
        let lines: Vec<_> = runs.iter().map(|(summary, events)| line(summary, *events)).collect();
        let (data, finished) = segment(codec, &runs).await;
        let source = Counting(data.clone(), AtomicU64::new(0));
        let found = parsed(&finished.index);
        assert_eq!(found.len(), runs.len());
        for entry in &found {
            let before = source.1.load(Ordering::Relaxed);
            let read = read_line(&source, entry).await.unwrap();
            assert_eq!(source.1.load(Ordering::Relaxed) - before, 1);
            let at = runs.iter().position(|(s, _)| s.run_id == entry.summary.run_id).unwrap();
            assert!(read == lines[at]);
            assert_eq!(entry.summary, runs[at].0);
            assert_eq!(entry.at.events, runs[at].1);
            let value: serde_json::Value = serde_json::from_slice(history(&read).unwrap()).unwrap();
            assert_eq!(value["events"].as_array().unwrap().len() as u64, runs[at].1);
        }
        for piece in [1 << 20, 1_000] {
            let checked = check(&finished.index, &data, piece).unwrap();
            assert_eq!(checked.runs, finished.runs);
            assert_eq!(checked.events, finished.events);
            assert_eq!(checked.bytes, lines.iter().map(|line| line.len() as u64).sum::<u64>());
            assert_eq!((checked.stored, finished.stored), (data.len() as u64, data.len() as u64));
            assert_eq!(checked.statuses, finished.statuses);
            assert_eq!(checked.first_close, finished.first_close);
            assert_eq!(checked.last_close, finished.last_close);
        }
    }
}

#[tokio::test]
async fn the_index_is_sorted_newest_first_and_the_filter_knows_every_id() {
    let mut runs: Vec<_> = (0..500).map(|n| run(n, 2)).collect();
    runs.swap(3, 400);
    // Two that closed in the same moment.
    runs[10].0.close_time = runs[11].0.close_time;
    let (_, finished) = segment(Codec::default(), &runs).await;
    let found = parsed(&finished.index);
    let order = |entry: &Entry| {
        (-entry.summary.close_time.timestamp_micros(), entry.summary.run_id.clone())
    };
    assert!(found.is_sorted_by_key(order));
    assert_eq!(finished.last_close, Some(found[0].summary.close_time));
    assert_eq!(finished.first_close, Some(found[499].summary.close_time));
    assert_eq!(finished.statuses.values().sum::<u64>(), 500);
    let bloom = Bloom::decode(&finished.bloom.encode()).unwrap();
    for (summary, _) in &runs {
        assert!(bloom.may_contain(&summary.workflow_id) && bloom.may_contain(&summary.run_id));
    }
}

#[tokio::test]
async fn the_file_alone_is_json_lines_to_the_usual_tools() {
    let runs: Vec<_> = [3, 30_000, 5].into_iter().zip(0..).map(|(e, n)| run(n, e)).collect();
    let expected: Vec<u8> = runs
        .iter()
        .flat_map(|(summary, events)| [line(summary, *events), b"\n".to_vec()].concat())
        .collect();
    let (data, finished) = segment(Codec::Gzip(6), &runs).await;
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(&data[..]).read_to_end(&mut text).unwrap();
    assert!(text == expected);
    // The system's own, where it is another program than ours.
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut input, &data));
    assert!(gzip.wait_with_output().unwrap().stdout == expected);
    writing.join().unwrap().unwrap();

    let (data, _) = segment(Codec::Zstd(1), &runs).await;
    assert!(zstd::stream::decode_all(&data[..]).unwrap() == expected);
    let mut index = Vec::new();
    flate2::read::MultiGzDecoder::new(&finished.index[..]).read_to_end(&mut index).unwrap();
    for line in String::from_utf8(index).unwrap().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["at"]["sha256"].is_string() && value.get("history").is_none());
    }
}

#[tokio::test]
async fn a_segment_is_written_again_run_by_run() {
    let runs: Vec<_> = (0..40).map(|n| run(n, if n == 20 { 30_000 } else { 20 })).collect();
    let (data, finished) = segment(Codec::Zstd(1), &runs).await;
    let mut replay = Replay::new(&finished.index, Codec::Gzip(1)).unwrap();
    let mut writer = Writer::new(Codec::Gzip(1), Box::new(Vec::new()));
    let mut seen = 0;
    for piece in data.chunks(50_000) {
        for again in replay.feed(piece).unwrap() {
            assert_eq!((&again.summary, again.events), (&runs[seen].0, runs[seen].1));
            seen += 1;
            writer.push(again.summary, again.events, again.line).await.unwrap();
        }
    }
    replay.finish().unwrap();
    let (_, second) = writer.finish().await.unwrap();
    let digests = |index: &[u8]| -> Vec<_> {
        parsed(index).into_iter().map(|entry| (entry.summary, entry.at.sha256)).collect()
    };
    assert!(digests(&finished.index) == digests(&second.index));
}

#[tokio::test]
async fn a_segment_without_runs_is_a_frame_without_content() {
    let (data, finished) = segment(Codec::default(), &[]).await;
    assert!(!data.is_empty());
    assert_eq!((finished.runs, finished.first_close), (0, None));
    assert_eq!(parsed(&finished.index), []);
    assert_eq!(check(&finished.index, &data, 10).unwrap().runs, 0);
    assert!(check(&finished.index, b"", 10).is_err());
    assert!(entries(b"").unwrap().next().unwrap().is_err());
}

#[tokio::test]
async fn a_segment_and_the_index_of_another_do_not_pass() {
    let three: Vec<_> = (0..3).map(|n| run(n, 2)).collect();
    let (data, of_three) = segment(Codec::default(), &three).await;
    let (_, of_two) = segment(Codec::default(), &three[..2]).await;
    let (_, reordered) =
        segment(Codec::default(), &[three[1].clone(), three[0].clone(), three[2].clone()]).await;
    let mut events = three.clone();
    events[0].1 = 3;
    let (other, _) = segment(Codec::default(), &events).await;
    for (index, data) in
        [(&of_two.index, &data), (&reordered.index, &data), (&of_three.index, &other)]
    {
        let error = check(index, data, 1 << 20).unwrap_err();
        assert!(error.is_damage() && error.hint().is_some(), "{error}");
    }
    let (short, _) = segment(Codec::default(), &three[..2]).await;
    assert!(matches!(check(&of_three.index, &short, 9), Err(Error::Disagree { .. })));
}

#[tokio::test]
async fn what_does_not_follow_its_summary_does_not_pass() {
    let (summary, _) = run(1, 2);
    let right = String::from_utf8(line(&summary, 2)).unwrap();
    let wrong = [
        right.replacen("\"formatVersion\":1", "\"formatVersion\":2", 1),
        right.replacen("default", "another", 1),
        right.replacen(",\"history\"", ",\"more\":1,\"history\"", 1),
        right.replacen("\"events\"", "\"event\"", 1),
        right.replacen("{\"eventId\":\"1\"}", "{\"eventId\":\"1\"},{}", 1),
        right[..right.len() - 1].to_owned(),
        format!("{right} "),
    ];
    for text in wrong {
        let mut builder = LineBuilder::new(Codec::default());
        builder.write(text.as_bytes()).unwrap();
        let mut writer = Writer::new(Codec::default(), Box::new(fixture::Shared::default()));
        writer.push(summary.clone(), 2, builder.finish().unwrap()).await.unwrap();
        let (_, finished) = writer.finish().await.unwrap();
        let data = Codec::default();
        let data = fixture::frame(data, format!("{text}\n").as_bytes());
        let error = check(&finished.index, &data, 1 << 20).unwrap_err();
        assert_eq!(
            text.contains("Version\":2"),
            matches!(error, Error::Newer { found: 2, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_by_number() {
    let (_, finished) = segment(Codec::default(), &[run(1, 1)]).await;
    let text = zstd::stream::decode_all(&finished.index[..]).unwrap();
    let newer = String::from_utf8(text).unwrap().replacen(
        "{\"formatVersion\":1",
        "{\"formatVersion\":12",
        1,
    );
    let index = fixture::frame(Codec::default(), newer.replace("runId", "runID").as_bytes());
    let error = entries(&index).unwrap().next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "line 1 has format version 12, and this program reads up to 1");
    assert!(error.hint().is_some());
    assert!(matches!(Checker::new(&index), Err(Error::Newer { found: 12, line: 1 })));
}

#[test]
fn a_line_feed_within_a_line_is_refused() {
    let mut builder = LineBuilder::new(Codec::default());
    builder.write(b"{\"a\":").unwrap();
    assert!(matches!(builder.write(b"1\n"), Err(Error::LineFeed)));
}

#[test]
fn a_large_line_is_never_held_uncompressed() {
    let mut builder = LineBuilder::new(Codec::Zstd(1));
    let piece = vec![b'a'; 300_000];
    for _ in 0..100 {
        builder.write(&piece).unwrap();
    }
    let line = builder.finish().unwrap();
    assert_eq!(line.size(), 30_000_000);
    assert!(line.stored_len() < 100_000, "{}", line.stored_len());
}

#[tokio::test]
async fn the_prefilter_lets_pass_what_it_should() {
    let mut runs: Vec<_> = (0..30).map(|n| run(n, 1)).collect();
    runs[7].0.workflow_id = "a \"quoted\" ä\\ id".into();
    let (_, finished) = segment(Codec::default(), &runs).await;
    let count = |filter: Prefilter| {
        let raw = raw_entries(&finished.index).unwrap().map(Result::unwrap);
        raw.filter(|entry| filter.passes(entry)).count()
    };
    assert_eq!(count(Prefilter::new()), 30);
    assert_eq!(count(Prefilter::new().workflow_id("a \"quoted\" ä\\ id")), 1);
    assert_eq!(count(Prefilter::new().workflow_id_prefix("a \"qu")), 1);
    assert_eq!(count(Prefilter::new().workflow_id_prefix("workflow-")), 29);
    assert_eq!(count(Prefilter::new().run_id(&runs[3].0.run_id)), 1);
    assert_eq!(count(Prefilter::new().type_name("Merge")), 30);
    assert_eq!(count(Prefilter::new().type_name("Mer")), 0);
    assert_eq!(count(Prefilter::new().search_attribute("Project")), 30);
    assert_eq!(count(Prefilter::new().search_attribute("Projec")), 0);
    let failed = "WORKFLOW_EXECUTION_STATUS_FAILED";
    let of_status = runs.iter().filter(|(summary, _)| summary.status == failed).count();
    assert_eq!(count(Prefilter::new().status(failed)), of_status);
    for entry in raw_entries(&finished.index).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.close_time(), Some(entry.parse().unwrap().summary.close_time));
    }
}

#[test]
fn a_codec_reads_what_it_prints() {
    for text in ["zstd:1", "zstd:22", "gzip:9"] {
        assert_eq!(text.parse::<Codec>().unwrap().to_string(), text);
    }
    assert_eq!("zstd".parse::<Codec>().unwrap(), Codec::default());
    for text in ["zstd:0", "zstd:23", "zstd:x", "gzip:10", "gzip:-3", "lz4", ""] {
        let error = text.parse::<Codec>().unwrap_err();
        assert!(error.hint().is_some(), "{text}: {error}");
    }
    assert_eq!(Compression::of_file("a.index.jsonl.zst"), Some(Compression::Zstd));
    assert_eq!(Compression::of_file("a.jsonl.gz"), Some(Compression::Gzip));
    assert_eq!(Compression::of_file("a.jsonl"), None);
}

#[test]
fn a_summary_with_members_of_a_later_version_is_refused() {
    let json = serde_json::to_string(&summary(1)).unwrap();
    let more = json.replacen("{\"formatVersion\":1", "{\"formatVersion\":1,\"colour\":\"red\"", 1);
    assert!(serde_json::from_str::<temporal::segment::Summary>(&json).is_ok());
    assert!(serde_json::from_str::<temporal::segment::Summary>(&more).is_err());
}
