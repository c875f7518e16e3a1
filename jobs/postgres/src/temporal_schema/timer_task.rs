//! The two fields of a stored timer task that say whom it is for and what it does.
//!
//! The messages are `TimerTaskInfo` and `ArchivalTaskInfo` in
//! `temporal/server/api/persistence/v1/executions.proto`, the kinds are `TaskType` in
//! `temporal/server/api/enums/v1/task.proto`, of Temporal server 1.32.

/// What a server does with a task that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A workflow's own timer fires.
    UserTimer,
    /// An activity, a workflow task or a workflow times out.
    Timeout,
    /// An activity is tried again, or a workflow starts after its delay.
    Retry,
    /// A closed workflow is deleted, its retention being over.
    Deletion,
    /// A closed workflow's history is archived.
    Archival,
    /// Timers of other kinds: state machines, schedules.
    Other,
}

/// A task as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Namespace id: a UUID in its usual form.
    pub(super) namespace_id: String,
    pub(super) kind: Kind,
}

/// Which message a table holds: the numbers of its two fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    namespace_id: u64,
    task_type: u64,
}

/// `TimerTaskInfo`.
pub(super) const TIMER: Message = Message { namespace_id: 1, task_type: 4 };
/// `ArchivalTaskInfo`.
pub(super) const ARCHIVAL: Message = Message { namespace_id: 2, task_type: 5 };

impl Task {
    /// Reads a task in protobuf's wire format; `None` when it is malformed.
    pub(super) fn decode(message: Message, mut data: &[u8]) -> Option<Self> {
        let mut namespace_id = String::new();
        let mut task_type = 0;
        while !data.is_empty() {
            let tag = varint(&mut data)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => {
                    let value = varint(&mut data)?;
                    if field == message.task_type {
                        task_type = value;
                    }
                }
                1 => drop(take(&mut data, 8)?),
                2 => {
                    let length = usize::try_from(varint(&mut data)?).ok()?;
                    let value = take(&mut data, length)?;
                    if field == message.namespace_id {
                        namespace_id = std::str::from_utf8(value).ok()?.to_owned();
                    }
                }
                5 => drop(take(&mut data, 4)?),
                _ => return None,
            }
        }
        Some(Self { namespace_id, kind: Kind::of(task_type) })
    }
}

impl Kind {
    fn of(task_type: u64) -> Self {
        match task_type {
            14 => Self::UserTimer,
            12 | 13 | 15 | 29 => Self::Timeout,
            17 | 18 => Self::Retry,
            16 => Self::Deletion,
            26 => Self::Archival,
            _ => Self::Other,
        }
    }
}

pub(super) fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn take<'a>(data: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (value, rest) = data.split_at_checked(length)?;
    *data = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Namespace "ns", workflow "w", type 16, a timestamp, attempt 300.
    const DELETION: &[u8] = b"\x0a\x02ns\x12\x01w\x20\x10\x5a\x04\x08\x80\x80\x01\x40\xac\x02";

    #[test]
    fn a_timer_task_is_read() {
        let task = Task::decode(TIMER, DELETION).unwrap();
        assert_eq!(task, Task { namespace_id: "ns".into(), kind: Kind::Deletion });
    }

    #[test]
    fn an_archival_task_has_other_field_numbers() {
        let task = Task::decode(ARCHIVAL, b"\x08\x01\x12\x02ns\x28\x1a").unwrap();
        assert_eq!(task, Task { namespace_id: "ns".into(), kind: Kind::Archival });
    }

    #[test]
    fn damaged_tasks_are_not_read_and_do_no_harm() {
        for end in 1..DELETION.len() {
            if let Some(part) = DELETION.get(..end) {
                Task::decode(TIMER, part);
            }
        }
        for data in
            [&b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], b"\x0a\x05ns", b"\x0b", b"\xff"]
        {
            assert_eq!(Task::decode(TIMER, data), None, "{data:?}");
        }
    }
}
