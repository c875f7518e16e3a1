//! COPY streams: counted, digested, and refused when damaged.

use pgarchive::{CopyFormat, CopySummary, Error, RowCounter, RowDigest, TEXT_COPY_TRAILER};

fn count(format: CopyFormat, stream: &[u8], piece: usize) -> Result<CopySummary, Error> {
    let mut counter = RowCounter::new(format);
    for piece in stream.chunks(piece.max(1)) {
        counter.feed(piece)?;
    }
    counter.finish()
}

fn text(stream: &[u8]) -> Result<CopySummary, Error> {
    count(CopyFormat::Text, stream, stream.len())
}

fn problem(result: Result<CopySummary, Error>) -> (u64, &'static str) {
    match result.unwrap_err() {
        Error::Copy { row, problem, .. } => (row, problem),
        other => panic!("{other}"),
    }
}

fn digest(rows: &[&[u8]]) -> RowDigest {
    rows.iter().map(|row| RowDigest::of_row(row)).sum()
}

/// A binary stream of rows of fields.
fn binary(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        out.extend_from_slice(&binary_row(row));
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

fn binary_row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = (fields.len() as i16).to_be_bytes().to_vec();
    for field in fields {
        out.extend_from_slice(&field.map_or(-1, |field| field.len() as i32).to_be_bytes());
        out.extend_from_slice(field.unwrap_or_default());
    }
    out
}

#[test]
fn text_rows_are_lines_and_the_trailer_is_none() {
    let stream = b"1\tone\n2\t\\N\n\n";
    let expected = CopySummary {
        rows: 3,
        bytes: stream.len() as u64,
        digest: digest(&[b"1\tone", b"2\t\\N", b""]),
    };
    assert_eq!(text(stream).unwrap(), expected);
    let file = [&stream[..], TEXT_COPY_TRAILER].concat();
    assert_eq!(text(&file).unwrap(), expected);
    assert_eq!(text(b"").unwrap(), CopySummary::default());
    assert_eq!(text(TEXT_COPY_TRAILER).unwrap(), CopySummary::default());
}

#[test]
fn the_pieces_of_a_stream_make_no_difference() {
    let stream = b"1\ta\\\\\n2\tb\\\nstill 2\n\\\\.\n\\.x\nlong row with \\\\ in it\n\\.\n\n\n";
    let whole = text(stream).unwrap();
    assert_eq!(whole.rows, 5);
    for piece in 1..stream.len() {
        assert_eq!(count(CopyFormat::Text, stream, piece).unwrap(), whole, "pieces of {piece}");
    }
    let big = vec![7; 100];
    let rows: [&[Option<&[u8]>]; 3] =
        [&[Some(b"1"), None, Some(&big)], &[Some(b""), Some(b"x"), None], &[None, None, None]];
    let stream = binary(&rows);
    let whole = count(CopyFormat::Binary, &stream, stream.len()).unwrap();
    assert_eq!(whole.rows, 3);
    assert_eq!(whole.bytes, stream.len() as u64 - 19 - 2);
    assert_eq!(whole.digest, rows.iter().map(|row| RowDigest::of_row(&binary_row(row))).sum());
    for piece in 1..stream.len() {
        let pieces = count(CopyFormat::Binary, &stream, piece).unwrap();
        assert_eq!(pieces, whole, "pieces of {piece}");
    }
}

#[test]
fn chunks_of_a_table_add_up_in_any_order() {
    let rows: Vec<String> = (0..1000).map(|n| format!("{n}\t{}\n", n * n)).collect();
    let whole = text(rows.concat().as_bytes()).unwrap();
    let (a, b) = rows.split_at(317);
    let [a, b] = [a, b].map(|rows| text(rows.concat().as_bytes()).unwrap());
    assert_eq!(b + a, whole);
    assert_eq!([a, b].into_iter().sum::<CopySummary>(), whole);
    assert_ne!((a + a).digest, whole.digest);
}

#[test]
fn damaged_text_is_refused_with_its_row() {
    assert_eq!(problem(text(b"1\n2")), (2, "the row has no end"));
    assert_eq!(problem(text(b"1\n2\\\n")), (2, "the row has no end"));
    assert_eq!(problem(text(b"1\n\\.\n2\n")), (2, "data follows the end marker"));
    assert_eq!(problem(text(b"1\n\\.")), (2, "the row has no end"));
    let stream = b"1\n\\.\n\n\n\nx";
    for piece in 1..stream.len() {
        assert!(count(CopyFormat::Text, stream, piece).is_err(), "pieces of {piece}");
    }
}

#[test]
fn the_end_is_seen_where_it_is() {
    let mut counter = RowCounter::new(CopyFormat::Text);
    counter.feed(b"1\n").unwrap();
    assert!(!counter.saw_end());
    counter.feed(b"\\.\n").unwrap();
    assert!(counter.saw_end());
    assert_eq!(counter.rows(), 1);
    let mut counter = RowCounter::new(CopyFormat::Binary);
    let stream = binary(&[&[Some(b"1")]]);
    counter.feed(&stream[..stream.len() - 1]).unwrap();
    assert!(!counter.saw_end());
    counter.feed(&stream[stream.len() - 1..]).unwrap();
    assert!(counter.saw_end());
}

#[test]
fn damaged_binary_is_refused_with_its_row() {
    let good = binary(&[&[Some(b"one"), None], &[Some(b"two"), Some(b"2")]]);
    let all = |stream: &[u8]| {
        let results: Vec<_> = [1, 3, stream.len()]
            .map(|piece| problem(count(CopyFormat::Binary, stream, piece)))
            .into();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
        results[0]
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut stream = good.clone();
        stream[at..at + bytes.len()].copy_from_slice(bytes);
        stream
    };
    assert_eq!(all(b"1\tone\n2\ttwo\n"), (1, "the signature is missing"));
    assert_eq!(all(&with(11, &[0, 1])), (1, "the header has flags that are unknown"));
    assert_eq!(all(&with(15, &[0xff])), (1, "the header's extension has a negative length"));
    // The first row is 2 + 4 + 3 + 4 bytes from byte 19.
    assert_eq!(all(&with(19, &[0xff, 0xfe])), (1, "the number of fields is impossible"));
    assert_eq!(all(&with(19, &[0x7f, 0xff])), (1, "the number of fields is impossible"));
    assert_eq!(all(&with(21, &[0xff; 3])), (1, "the length of a field is impossible"));
    assert_eq!(all(&with(21, &[0x40, 0, 0, 0])), (1, "the length of a field is impossible"));
    assert_eq!(all(&with(32, &[0, 3])), (2, "the row has another number of fields than the first"));
    assert_eq!(all(&[&good[..], b"\n"].concat()), (3, "data follows the trailer"));
    for length in 1..good.len() {
        let (_, problem) = all(&good[..length]);
        let expected = match length {
            0..19 => "the stream ends in its header",
            19 | 32 | 46 => "the trailer is missing",
            _ => "the row has no end",
        };
        assert_eq!(problem, expected, "cut to {length}");
    }
    assert!(count(CopyFormat::Binary, b"", 1).is_err());
}

#[test]
fn a_header_extension_is_skipped() {
    let mut stream = binary(&[&[Some(b"one")]]);
    stream[18] = 5;
    stream.splice(19..19, *b"extra");
    for piece in [1, 4, stream.len()] {
        assert_eq!(count(CopyFormat::Binary, &stream, piece).unwrap().rows, 1);
    }
}

#[test]
fn a_table_without_columns_has_rows() {
    assert_eq!(text(b"\n\n").unwrap().rows, 2);
    let stream = binary(&[&[], &[]]);
    assert_eq!(count(CopyFormat::Binary, &stream, 1).unwrap().rows, 2);
}
