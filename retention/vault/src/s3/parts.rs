//! Uploads of several parts, each call one request.

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream as Body;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::bucket::{Bucket, time};
use super::error::Failure;
use crate::{Key, StoreError, StoreErrorKind};

/// An upload of parts that was begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub key: String,
    pub id: String,
    pub initiated: Option<DateTime<Utc>>,
}

impl Bucket {
    pub(super) async fn begin_parts(&self, key: &Key) -> Result<String, Failure> {
        loop {
            let outcome = self
                .client
                .create_multipart_upload()
                .bucket(&self.name)
                .key(self.full(key))
                .set_checksum_algorithm(self.checksum())
                .customize()
                .config_override(self.sending(0))
                .send()
                .await
                .map_err(|error| {
                    self.context.failure(format!("cannot begin to write {key}"), error)
                });
            match outcome {
                Err(failure) if self.drops_checksums(&failure) => {}
                Err(failure) => return Err(failure),
                Ok(output) => {
                    return output.upload_id.ok_or_else(|| Failure {
                        answer: None,
                        error: self.context.error(
                            StoreErrorKind::Other,
                            format!("cannot begin to write {key}: the server names no upload"),
                        ),
                    });
                }
            }
        }
    }

    pub(super) async fn put_part(
        &self,
        key: &Key,
        id: &str,
        number: i32,
        content: Bytes,
    ) -> Result<CompletedPart, Failure> {
        let sending = self.sending(content.len());
        let output = self
            .client
            .upload_part()
            .bucket(&self.name)
            .key(self.full(key))
            .upload_id(id)
            .part_number(number)
            .set_checksum_algorithm(self.checksum())
            .body(Body::from(content))
            .customize()
            .config_override(sending)
            .send()
            .await
            .map_err(|error| {
                self.context.failure(format!("cannot write part {number} of {key}"), error)
            })?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(output.e_tag)
            .set_checksum_crc32(output.checksum_crc32)
            .build())
    }

    pub(super) async fn join_parts(
        &self,
        key: &Key,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<(), Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.name)
            .key(self.full(key))
            .upload_id(id)
            .multipart_upload(parts)
            .customize()
            .config_override(Builder::new().timeout_config(self.options.working()))
            .send()
            .await
            .map(drop)
            .map_err(|error| self.context.failure(format!("cannot finish {key}"), error))
    }

    /// Gives up an upload; one that is gone counts as given up.
    pub(super) async fn abort_parts(&self, full: &str, id: &str) -> Result<(), StoreError> {
        let request = self.client.abort_multipart_upload().bucket(&self.name);
        match request.key(full).upload_id(id).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let action = format!("cannot give up the upload of {full}");
                let failure = self.context.failure(action, error);
                let gone =
                    failure.is("NoSuchUpload") || failure.error.kind == StoreErrorKind::NotFound;
                if gone { Ok(()) } else { Err(failure.error) }
            }
        }
    }

    /// Uploads begun and not finished, of objects whose full name begins with `prefix`.
    pub(super) async fn begun_uploads(&self, prefix: &str) -> Result<Vec<Begun>, Failure> {
        let mut found = Vec::new();
        let mut marker = (None::<String>, None::<String>);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.name)
                .prefix(prefix)
                .set_key_marker(marker.0.clone())
                .set_upload_id_marker(marker.1.clone())
                .send()
                .await
                .map_err(|error| {
                    self.context.failure("cannot list unfinished uploads".into(), error)
                })?;
            for upload in page.uploads() {
                if let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) {
                    let initiated = time(upload.initiated());
                    found.push(Begun { key: key.to_owned(), id: id.to_owned(), initiated });
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || next == marker || next.0.is_none() {
                return Ok(found);
            }
            marker = next;
        }
    }
}
