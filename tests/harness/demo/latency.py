"""How long workflow tasks of a busy worker wait until it takes them.

    python3 latency.py ADDRESS NAMESPACE SUMMARY_FILE SECONDS RATE

Starts RATE workflows a second, each of some five workflow tasks, and writes for each task how many
milliseconds passed from schedule to start, as the histories have it."""

import asyncio
import json
import os
import sys
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "aidp-latency"

STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED


@activity.defn
async def work(turn: int) -> int:
    """A step that takes no time."""
    return turn


@workflow.defn
class Steps:
    """Four steps, one after the other."""

    @workflow.run
    async def run(self) -> int:
        for turn in range(4):
            await workflow.execute_activity(
                work, turn, start_to_close_timeout=timedelta(seconds=30)
            )
        return 4


def waits(history) -> list[float]:
    """Milliseconds from schedule to start of each workflow task."""
    times = {event.event_id: event.event_time.ToNanoseconds() for event in history.events}
    return [
        (times[event.event_id] - times[event.workflow_task_started_event_attributes.scheduled_event_id])
        / 1e6
        for event in history.events
        if event.event_type == STARTED
    ]


async def main(address: str, namespace: str, summary: str, seconds: int, rate: int) -> None:
    client = await Client.connect(address, namespace=namespace)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Steps],
        activities=[work],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        loop = asyncio.get_running_loop()
        begun, handles = loop.time(), []
        for number in range(seconds * rate):
            # At its own pace, however long the ones before take.
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
            handles.append(
                await client.start_workflow(
                    Steps.run, id=f"steps-{uuid.uuid4()}", task_queue=QUEUE
                )
            )
        await asyncio.gather(*(handle.result() for handle in handles))
        took = loop.time() - begun
    found = []
    for handle in handles:
        found += waits(await handle.fetch_history())
    with open(summary, "w", encoding="utf-8") as file:
        json.dump({"milliseconds": found, "seconds": took}, file)


asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
# See run.py.
os._exit(0)
