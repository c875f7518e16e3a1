"""Fills a Temporal namespace with finished workflows, and writes what is there as JSON.

    python3 run.py ADDRESS NAMESPACE SUMMARY_FILE CHANGES OPEN APPROVE FIRST

CHANGES changes are carried through to their various ends, numbered from FIRST. OPEN more are left
waiting for approval, with a timer of thirty days; APPROVE of those that an earlier call left so
are approved and end well."""

import asyncio
import dataclasses
import json
import os
import sys
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

import workflows
from workflows import Change, ChangePipeline, WatchRepository

QUEUE = "aidp-demo"

# How many changes are in progress at once.
WIDTH = 24

# Changes that are left open are numbered from here.
OPEN = 10_000_000

# How long visibility may take to list what is closed.
PATIENCE = 60


async def register(client: Client) -> None:
    """Makes the search attributes known, unless they are."""
    wanted = {
        key.name: getattr(IndexedValueType, f"INDEXED_VALUE_TYPE_{key.indexed_value_type.name}")
        for key in workflows.ATTRIBUTES
    }
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wanted)
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise


async def start(client: Client, of: Change, **more):
    """Starts a change. The server's caches take a moment to know new search attributes."""
    for attempt in range(100):
        try:
            return await client.start_workflow(
                ChangePipeline.run,
                of,
                id=f"change-{of.number}",
                task_queue=QUEUE,
                memo={"requestedBy": f"user-{of.number % 7}", "number": of.number},
                search_attributes=workflows.attributes(of),
                **more,
            )
        except RPCError as error:
            if error.status != RPCStatusCode.INVALID_ARGUMENT or attempt == 99:
                raise
            await asyncio.sleep(0.1)


async def prioritize(handle, priority: int) -> None:
    """Updates a change. Until the server's caches know new search attributes, the workflow's first
    task may fail and the update be turned away with it."""
    for attempt in range(100):
        try:
            await handle.execute_update(ChangePipeline.prioritize, priority)
            return
        except RPCError as error:
            if error.status != RPCStatusCode.FAILED_PRECONDITION or attempt == 99:
                raise
            await asyncio.sleep(0.1)


async def reach_approval(handle) -> None:
    """Waits until a change waits for a person."""
    while await handle.query(ChangePipeline.current_stage) != "approval":
        await asyncio.sleep(0.02)


async def carry(client: Client, of: Change) -> int:
    """Takes a change to its end; gives how many runs that took."""
    if of.fate == "timed-out":
        handle = await start(client, of, execution_timeout=timedelta(seconds=2))
    else:
        handle = await start(client, of)
    if of.fate == "cancelled":
        await reach_approval(handle)
        await handle.cancel()
    elif of.fate == "terminated":
        await reach_approval(handle)
        await handle.terminate("the demo wants one of these", {"number": of.number})
    elif of.fate == "merged":
        await prioritize(handle, of.number)
        if of.number % 5 == 0:
            try:
                await prioritize(handle, -1)
            except WorkflowUpdateFailedError:
                pass
        await handle.signal(ChangePipeline.approve, f"reviewer-{of.number % 3}")
    try:
        return (await handle.result()).runs
    except WorkflowFailureError:
        if of.fate == "merged":
            raise
        return 1


async def watch(client: Client, number: int) -> int:
    """Watches a repository; gives how many runs that took."""
    return await client.execute_workflow(
        WatchRepository.run,
        args=[f"aidp/repository-{number}", 0, 1],
        id=f"watch-{number}",
        task_queue=QUEUE,
        memo={"number": number},
    )


def merging(number: int) -> Change:
    """The change of this number, but one that ends well."""
    return dataclasses.replace(workflows.change(number), fate="merged")


async def approve(client: Client, number: int) -> int:
    """Brings a change that was left open to its end; gives how many runs that took."""
    handle = client.get_workflow_handle_for(ChangePipeline.run, f"change-{number}")
    await handle.signal(ChangePipeline.approve, "reviewer-late")
    return (await handle.result()).runs


async def listed(client: Client, query: str) -> int:
    """How many runs the server lists."""
    return (await client.count_workflows(query)).count


async def main(
    address: str,
    namespace: str,
    summary: str,
    count: int,
    left_open: int,
    approved: int,
    first: int,
) -> None:
    client = await Client.connect(address, namespace=namespace)
    await register(client)
    before = await listed(client, "ExecutionStatus != 'Running'")
    width = asyncio.Semaphore(WIDTH)

    async def bounded(work) -> int:
        async with width:
            return await work

    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=workflows.WORKFLOWS,
        activities=workflows.ACTIVITIES,
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=500,
        max_concurrent_workflow_tasks=100,
    ):
        numbers = range(first, first + count)
        works = [carry(client, workflows.change(number)) for number in numbers]
        works += [watch(client, number) for number in numbers if number % 8 == 5]
        works += [approve(client, OPEN + first + number) for number in range(approved)]
        runs = sum(await asyncio.gather(*map(bounded, works)))
        waiting = [
            await start(client, merging(OPEN + first + number))
            for number in range(left_open)
        ]
        for handle in waiting:
            await reach_approval(handle)

    for _ in range(PATIENCE * 10):
        closed = await listed(client, "ExecutionStatus != 'Running'") - before
        if closed == runs:
            break
        await asyncio.sleep(0.1)
    else:
        sys.exit(f"{runs} runs are closed and {closed} are listed after {PATIENCE} s")
    statuses = {
        status: await listed(client, f"ExecutionStatus = '{status}'")
        for status in (
            "Running Completed Failed Canceled Terminated ContinuedAsNew TimedOut".split()
        )
    }
    # Not to standard output: the SDK's core logs there.
    with open(summary, "w", encoding="utf-8") as file:
        json.dump({"closed": runs, "statuses": statuses}, file)


asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
# The SDK's own threads may still be letting go of Python objects, and abort the process when the
# interpreter is taken down under them.
os._exit(0)
