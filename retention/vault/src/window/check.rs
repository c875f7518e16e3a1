//! What must hold inside the manifest of a window, whoever wrote it.

use std::collections::HashSet;

use chrono::{DateTime, Timelike, Utc};

use super::{OBJECTS, Segment, Window};
use crate::manifest::ManifestError;
use crate::{Key, hex};

impl Window {
    /// Refuses a manifest that contradicts itself. Checked before publishing and after reading.
    pub(super) fn refuse_contradictions(&self) -> Result<(), ManifestError> {
        self.contradiction().map_or(Ok(()), |reason| Err(ManifestError::Contradiction { reason }))
    }

    fn contradiction(&self) -> Option<String> {
        if self.namespace.name.is_empty() || self.namespace.id.is_empty() {
            return Some("its namespace has no name or no id".into());
        }
        if self.finished < self.started {
            return Some("it was finished before it was started".into());
        }
        self.wrong_covers().or_else(|| self.wrong_runs()).or_else(|| self.wrong_objects())
    }

    fn wrong_covers(&self) -> Option<String> {
        if self.covers.is_empty() || self.covers.iter().any(|cover| cover.from >= cover.to) {
            return Some("it covers nothing, or an interval that ends before it begins".into());
        }
        let apart = |pair: &[super::Cover]| matches!(pair, [a, b] if a.to < b.from);
        if !self.covers.windows(2).all(apart) {
            return Some("the intervals that it covers are out of order or not apart".into());
        }
        let whole = |time: DateTime<Utc>| time.nanosecond().is_multiple_of(1000);
        if !self.covers.iter().all(|cover| whole(cover.from) && whole(cover.to)) {
            return Some("the intervals that it covers are finer than microseconds".into());
        }
        let mut replaced = HashSet::new();
        if let Some(twice) = self.replaces.iter().find(|id| !replaced.insert(*id)) {
            return Some(format!("it takes the place of {twice} twice"));
        }
        self.replaces.contains(&self.id).then(|| "it takes its own place".into())
    }

    fn wrong_runs(&self) -> Option<String> {
        let runs = self.segments.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.runs));
        if runs != Some(self.runs) {
            return Some("the runs of its segments do not add up to its runs".into());
        }
        let of_status = self.statuses.values().try_fold(0_u64, |sum, runs| sum.checked_add(*runs));
        if of_status != Some(self.runs) {
            return Some("the runs by status do not add up to its runs".into());
        }
        if self.day.is_some() != (self.runs > 0) {
            return Some("it has runs and no day, or a day and no runs".into());
        }
        let (first, last) = self.id.closes();
        for part in &self.segments {
            let ordered = part.first_close <= part.last_close
                && self.covers.iter().any(|cover| cover.from <= part.first_close)
                && self.covers.iter().any(|cover| part.last_close < cover.to);
            let named = first.timestamp_micros() <= part.first_close.timestamp_micros()
                && part.last_close.timestamp_micros() <= last.timestamp_micros();
            let today = |time: DateTime<Utc>| Some(time.date_naive()) == self.day;
            if part.runs == 0 || !ordered || !named {
                return Some(format!("segment {} closes outside of it", part.data.key));
            }
            if !today(part.first_close) || !today(part.last_close) {
                return Some(format!("segment {} closes on another day", part.data.key));
            }
        }
        if self.segments.iter().any(|part| !is_base64(&part.bloom)) {
            return Some("the filter of a segment is not base64".into());
        }
        if self.statuses.values().any(|runs| *runs == 0) {
            return Some("it names a status that no run has".into());
        }
        let mut gone = HashSet::new();
        let twice = self.vanished.iter().find(|run| !gone.insert(&run.run_id))?;
        Some(format!("run {} is gone twice", twice.run_id))
    }

    fn wrong_objects(&self) -> Option<String> {
        let folder = format!("{OBJECTS}{}/", Key::escape_segment(&self.namespace.name));
        let mut seen = HashSet::new();
        for object in self.objects() {
            if hex::decode_sha256(&object.sha256).is_none() {
                return Some(format!("object {} has no proper digest", object.key));
            }
            if !object.key.as_str().starts_with(&folder) {
                return Some(format!("object {} does not lie under {folder}", object.key));
            }
            if !seen.insert(&object.key) {
                return Some(format!("object {} is named twice", object.key));
            }
        }
        self.segments.iter().find_map(wrong_names)
    }
}

/// `NAME.jsonl.zst` and `NAME.index.jsonl.zst`, or the same with `gz`.
fn wrong_names(part: &Segment) -> Option<String> {
    let (data, index) = (part.data.key.as_str(), part.index.key.as_str());
    let pair = ["zst", "gz"].iter().any(|suffix| {
        let name = data.strip_suffix(&format!(".jsonl.{suffix}"));
        name.is_some_and(|name| index == format!("{name}.index.jsonl.{suffix}"))
    });
    (!pair).then(|| format!("{data} and {index} are not the names of a pair"))
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
