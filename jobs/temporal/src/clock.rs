//! The server's clock, as far as its answers tell.
//!
//! No call of Temporal's API gives the time, and its gRPC answers carry no `date`. But three things
//! that it does answer with were stamped by its own clock a moment ago: when a worker last polled a
//! task queue (the server's own worker polls one in every namespace, again at least every minute),
//! and when the newest execution was started or closed. The latest of these is a time that the
//! server's clock has certainly reached. That is the side that matters: a client whose clock is ahead
//! would otherwise take time that has not come for covered.

use chrono::{DateTime, Utc};
use temporalio_protos::temporal::api::enums::v1::{TaskQueueKind, TaskQueueType};
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1::{
    DescribeTaskQueueRequest, DescribeTaskQueueResponse,
};

use crate::connect::{Connection, Request};
use crate::error::Error;
use crate::namespace::{Namespace, decode};

/// The queue that the server's own worker polls in each namespace
/// (`common/primitives/task_queues.go` of the server).
const SERVERS_OWN: &str = "temporal-sys-per-ns-tq";

/// A time that the server's clock has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTime {
    /// It is at least so late.
    pub at_least: DateTime<Utc>,
    /// How that is known.
    pub source: ClockSource,
}

/// How the server's time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSource {
    /// A worker has polled a task queue then: about a minute ago at most.
    Poll,
    /// The newest execution was started or closed then, which may be long ago: nothing polls.
    NewestExecution,
}

impl Connection {
    /// A time that the server's clock has reached, from what it stamped itself; none when the
    /// namespace is empty and nothing polls. Two calls, three where the server has no worker of
    /// its own.
    ///
    /// # Errors
    /// When the server cannot be asked. That it does not show task queues is none.
    pub async fn server_now(&self, namespace: &Namespace) -> Result<Option<ServerTime>, Error> {
        let (newest, _) = self.infos(namespace, "", Vec::new(), 1).await?;
        let newest = newest.into_iter().next().map(|(info, _)| info);
        let mut polled = self.last_poll(namespace, SERVERS_OWN).await?;
        if let (None, Some(newest)) = (polled, &newest) {
            polled = self.last_poll(namespace, &newest.task_queue).await?;
        }
        let stamped = newest.and_then(|newest| {
            let stamps = [newest.start_time, newest.close_time].into_iter().flatten();
            stamps.filter_map(|stamp| time(stamp.seconds, stamp.nanos)).max()
        });
        let polled = polled.map(|at_least| ServerTime { at_least, source: ClockSource::Poll });
        Ok(match (polled, stamped) {
            (Some(poll), stamped) => Some(ServerTime {
                at_least: stamped.map_or(poll.at_least, |t| t.max(poll.at_least)),
                ..poll
            }),
            (None, stamped) => stamped
                .map(|at_least| ServerTime { at_least, source: ClockSource::NewestExecution }),
        })
    }

    async fn last_poll(
        &self,
        namespace: &Namespace,
        task_queue: &str,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let queue = TaskQueue {
            name: task_queue.to_owned(),
            kind: TaskQueueKind::Normal as i32,
            ..Default::default()
        };
        let request = Request::TaskQueue(DescribeTaskQueueRequest {
            namespace: namespace.name.clone(),
            task_queue: Some(queue),
            task_queue_type: TaskQueueType::Workflow as i32,
            ..Default::default()
        });
        let rpc = request.rpc();
        match self.call(request).await {
            Ok(raw) => {
                let answer: DescribeTaskQueueResponse = decode(rpc, &raw)?;
                let polls = answer.pollers.into_iter().filter_map(|poller| poller.last_access_time);
                Ok(polls.filter_map(|stamp| time(stamp.seconds, stamp.nanos)).max())
            }
            Err(Error::Unauthorized { .. } | Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn time(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)
}
