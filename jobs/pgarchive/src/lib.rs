//! The file formats of `pg_dump`: tables of contents, data files and their codecs.
//!
//! Bytes only: this crate knows neither a database nor a store. It writes what stock
//! `pg_restore` and `psql` read, and reads back what it or `pg_dump` wrote. The formats
//! are those of PostgreSQL's `src/bin/pg_dump/pg_backup_archiver.c`.

pub mod check;
mod codec;
mod copy;
mod decode;
mod dir_source;
mod entry;
mod error;
mod frame_encoder;
mod large_objects;
mod owner;
pub mod quote;
pub mod script;
mod stream;
mod toc;

pub use codec::{Codec, Compression};
pub use copy::{CopyFormat, CopySummary, Field, Fields, RowCounter, RowDigest, TEXT_COPY_TRAILER};
pub use decode::decode_stream;
pub use dir_source::DirSource;
pub use entry::{Blank, Blanks, CatalogId, DumpId, Entry, Section};
pub use error::{Error, FrameError};
pub use frame_encoder::FrameEncoder;
pub use large_objects::{
    LARGE_OBJECTS, LargeObject, large_object_file, large_object_list, large_objects,
    put_large_object,
};
pub use owner::owner_statement;
pub use stream::{
    ArchiveSink, ArchiveSource, ByteStream, FileWriter, SourceFile, StreamError, WrittenFile,
};
pub use toc::{Header, TOC_FILE, Toc, Version, WallClock};
