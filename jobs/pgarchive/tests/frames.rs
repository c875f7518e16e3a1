//! Compressed data files: frames in, the same bytes out, and damage found.

use std::io::Write;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use pgarchive::{
    ByteStream, Codec, Compression, Error, FrameEncoder, FrameError, StreamError, decode_stream,
};

const COMPRESSED: [Compression; 3] = [Compression::Gzip, Compression::Lz4, Compression::Zstd];

/// Rows that compress, with some noise in them.
fn rows(length: usize) -> Vec<u8> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(length + 64);
    while out.len() < length {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        writeln!(out, "{}\tevent\t\\\\x{:016x}", out.len(), noise).unwrap();
    }
    out.truncate(length);
    out
}

fn encode(codec: &str, buffers: &[&[u8]]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(codec.parse::<Codec>().unwrap()).unwrap();
    let mut out = Vec::new();
    for buffer in buffers {
        encoder.encode(buffer, &mut out).unwrap();
    }
    out
}

fn in_pieces(bytes: &[u8], piece: usize) -> ByteStream {
    let pieces: Vec<Result<Bytes, StreamError>> =
        bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn decode(compression: Compression, input: ByteStream) -> Result<Vec<u8>, StreamError> {
    let pieces: Vec<Bytes> = decode_stream(compression, input).try_collect().await?;
    Ok(pieces.concat())
}

async fn failure(compression: Compression, bytes: &[u8]) -> Error {
    let error = decode(compression, in_pieces(bytes, 4096)).await.unwrap_err();
    *error.downcast::<Error>().unwrap()
}

#[tokio::test]
async fn every_codec_gives_back_what_it_took_whatever_the_pieces() {
    let data = rows(5 * 1024 * 1024 + 12_345);
    let (a, rest) = data.split_at(1024 * 1024);
    let (b, c) = rest.split_at(4 * 1024 * 1024 + 7_000);
    for codec in ["none", "gzip", "gzip:6", "lz4", "lz4:9", "zstd", "zstd:3", "zstd:19"] {
        let encoded = encode(codec, &[a, b, c]);
        let compression = codec.parse::<Codec>().unwrap().compression();
        for piece in [8 * 1024, 70_001, 1024 * 1024, encoded.len()] {
            let decoded = decode(compression, in_pieces(&encoded, piece)).await.unwrap();
            assert!(decoded == data, "{codec} in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn single_bytes_are_pieces_too() {
    let data = rows(40_000);
    for compression in COMPRESSED {
        let encoded =
            encode(compression.name(), &[&data[..100], &data[100..30_000], &data[30_000..]]);
        let decoded = decode(compression, in_pieces(&encoded, 1)).await.unwrap();
        assert!(decoded == data, "{compression}");
    }
}

#[tokio::test]
async fn an_empty_buffer_is_a_frame_too() {
    for compression in COMPRESSED {
        let encoded = encode(compression.name(), &[b""]);
        assert!(!encoded.is_empty());
        assert_eq!(decode(compression, in_pieces(&encoded, 3)).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn an_empty_file_is_what_pg_dump_writes_for_nothing_but_in_gzip() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        assert_eq!(decode(compression, in_pieces(b"", 3)).await.unwrap(), b"");
    }
    let error = failure(Compression::Gzip, b"").await;
    assert!(matches!(error, Error::NoFrames { .. }), "{error}");
}

#[tokio::test]
async fn every_cut_inside_a_frame_is_found() {
    let data = rows(3_000);
    for compression in COMPRESSED {
        let first = encode(compression.name(), &[&data]);
        let both = encode(compression.name(), &[&data, &data]);
        for length in (1..first.len()).chain(first.len() + 1..both.len()) {
            let error = failure(compression, &both[..length]).await;
            let expected = if length < first.len() { 1 } else { 2 };
            match error {
                Error::FrameTruncated { frame, offset, .. } => {
                    assert_eq!((frame, offset), (expected, length as u64), "{compression}");
                }
                other => panic!("{compression} cut to {length}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn garbage_behind_the_last_frame_is_found_with_its_frame() {
    let data = rows(3_000);
    for compression in COMPRESSED {
        let mut bytes = encode(compression.name(), &[&data, &data]);
        bytes.extend_from_slice(b"\0\0\0\0garbage");
        match failure(compression, &bytes).await {
            Error::Frame { frame, .. } => assert_eq!(frame, 3, "{compression}"),
            other => panic!("{compression}: {other}"),
        }
    }
}

#[tokio::test]
async fn any_flipped_byte_of_the_content_is_found() {
    let data = rows(3_000);
    for compression in COMPRESSED {
        let good = encode(compression.name(), &[&data]);
        // gzip's header has a time, flags and an operating system that no checksum covers.
        let from = if compression == Compression::Gzip { 10 } else { 0 };
        for at in from..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            match decode(compression, in_pieces(&bytes, 4096)).await {
                Err(_) => {}
                // A bit that no reader looks at is no damage to the data.
                Ok(decoded) => assert!(decoded == data, "{compression}, byte {at}"),
            }
        }
    }
}

#[tokio::test]
async fn the_inputs_own_error_comes_through() {
    let encoded = encode("zstd", &[&rows(100_000)]);
    let first: Result<Bytes, StreamError> = Ok(Bytes::copy_from_slice(&encoded[..1000]));
    let failed: Result<Bytes, StreamError> = Err(std::io::Error::other("cable cut").into());
    let input = stream::iter([first, failed]).boxed();
    let error = decode(Compression::Zstd, input).await.unwrap_err();
    assert_eq!(error.to_string(), "cable cut");
}

#[tokio::test]
async fn a_window_of_more_than_8_mib_is_refused() {
    let data = rows(1_000_000);
    let mut long = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    long.window_log(27).unwrap();
    long.write_all(&data).unwrap();
    let bytes = long.finish().unwrap();
    let error = failure(Compression::Zstd, &bytes).await;
    assert!(matches!(error, Error::Frame { frame: 1, source: FrameError::Window, .. }), "{error}");
    assert!(error.hint().unwrap().contains("--long"));

    let mut usual = zstd::stream::Encoder::new(Vec::new(), 19).unwrap();
    usual.write_all(&data).unwrap();
    let bytes = usual.finish().unwrap();
    assert!(decode(Compression::Zstd, in_pieces(&bytes, 65_536)).await.unwrap() == data);
}

#[tokio::test]
async fn a_bomb_comes_out_in_small_pieces() {
    let zeros = vec![0; 64 * 1024 * 1024];
    for compression in COMPRESSED {
        let bytes = encode(compression.name(), &[&zeros]);
        assert!(bytes.len() < zeros.len() / 100);
        let mut pieces = decode_stream(compression, in_pieces(&bytes, bytes.len()));
        let mut total = 0;
        while let Some(piece) = pieces.try_next().await.unwrap() {
            assert!(piece.len() <= 4 * 1024 * 1024, "{compression}: {}", piece.len());
            total += piece.len();
        }
        assert_eq!(total, zeros.len());
    }
}

#[tokio::test]
async fn streams_of_other_programs_are_read() {
    let data = rows(3_000_000);
    // One long frame in linked blocks of 64 KiB, as liblz4 writes it for pg_dump.
    let mut lz4 = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
    lz4.write_all(&data).unwrap();
    let (bytes, result) = lz4.finish();
    result.unwrap();
    assert!(decode(Compression::Lz4, in_pieces(&bytes, 100_000)).await.unwrap() == data);

    let mut gzip = flate2::GzBuilder::new()
        .filename("1.dat")
        .comment("with a name")
        .write(Vec::new(), flate2::Compression::new(9));
    gzip.write_all(&data).unwrap();
    let bytes = gzip.finish().unwrap();
    assert!(decode(Compression::Gzip, in_pieces(&bytes, 100_000)).await.unwrap() == data);

    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    zstd.write_all(&data).unwrap();
    let bytes = zstd.finish().unwrap();
    assert!(decode(Compression::Zstd, in_pieces(&bytes, 100_000)).await.unwrap() == data);
}

#[test]
fn encode_appends_and_leaves_what_was_there() {
    for compression in Compression::ALL {
        let mut encoder = FrameEncoder::new(compression.into()).unwrap();
        let mut out = b"before".to_vec();
        encoder.encode(b"content", &mut out).unwrap();
        assert!(out.starts_with(b"before"), "{compression}");
        assert!(out.len() > b"before".len());
    }
}
