"""Workflows shaped like Aidp's: a change is planned, implemented, reviewed and fixed until it is
approved, each accepted part is applied by a child, and some changes never get that far.

All content is derived from the change's number, so that two runs of the demo differ only in what
the server decides: identifiers and times."""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from temporalio import activity, workflow
from temporalio.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.exceptions import ApplicationError

REPOSITORY = SearchAttributeKey.for_keyword("AidpRepository")
LABELS = SearchAttributeKey.for_keyword_list("AidpLabels")
STAGE = SearchAttributeKey.for_keyword("AidpStage")
ITERATION = SearchAttributeKey.for_int("AidpIteration")
SCORE = SearchAttributeKey.for_float("AidpScore")
APPROVED = SearchAttributeKey.for_bool("AidpApproved")
DUE = SearchAttributeKey.for_datetime("AidpDueAt")
SUMMARY = SearchAttributeKey.for_text("AidpSummary")
ATTRIBUTES = [REPOSITORY, LABELS, STAGE, ITERATION, SCORE, APPROVED, DUE, SUMMARY]

WORDS = (
    "adapter archive branch budget cache caller change checkpoint client column commit config "
    "deadline diff digest driver error event export fixture guard handler index input job key "
    "lease ledger limit lock manifest merge message module naïve node offset Prüfung parser "
    "patch payload plan policy query queue range record replay restore result retry review row "
    "scope segment shard signal snapshot source stage store stream table task test timer token "
    "trace upload value verify window worker 変更 🧪"
).split()

QUICK = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=3)
LIMITS = {"start_to_close_timeout": timedelta(seconds=30), "retry_policy": QUICK}


@dataclass
class Change:
    """One change to a repository."""

    number: int
    repository: str
    rounds: int
    parts: int
    fate: str


@dataclass
class Applied:
    """What came of a change, and how many runs it took, children included."""

    number: int
    commits: list[str]
    runs: int


def change(number: int) -> Change:
    """The change of this number."""
    chance = random.Random(number)
    fates = ["failed", "cancelled", "terminated", "timed-out"]
    fate = fates[number // 6 % len(fates)] if number % 6 == 3 else "merged"
    return Change(
        number=number,
        repository=chance.choice(["aidp/core", "aidp/web", "tools/harness"]),
        rounds=chance.randint(1, 3),
        parts=chance.randint(1, 3),
        fate=fate,
    )


def attributes(of: Change) -> TypedSearchAttributes:
    """The search attributes that a change starts with."""
    due = datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(hours=of.number)
    return TypedSearchAttributes(
        [
            SearchAttributePair(REPOSITORY, of.repository),
            SearchAttributePair(LABELS, ["demo", f"rounds-{of.rounds}"]),
            SearchAttributePair(STAGE, "new"),
            SearchAttributePair(ITERATION, 0),
            SearchAttributePair(SCORE, of.number / 8),
            SearchAttributePair(APPROVED, False),
            SearchAttributePair(DUE, due),
            SearchAttributePair(SUMMARY, f"change {of.number} of {of.repository}"),
        ]
    )


def prose(seed: str, size: int) -> str:
    """Text of about this many characters, always the same for a seed."""
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(size // 7))


@activity.defn
async def plan(of: Change) -> dict:
    """What is to be done, as a model would write it."""
    return {
        "goal": prose(f"goal {of.number}", 400),
        "steps": [prose(f"step {of.number} {part}", 150) for part in range(of.parts)],
    }


@activity.defn
async def implement(of: Change, step: str) -> str:
    """A patch. The first attempt of some fails, as models do."""
    if of.number % 4 == 0 and activity.info().attempt == 1:
        raise ApplicationError("the model's answer was cut off")
    return prose(f"{of.number} {step}", 1000 + of.number * 977 % 12000)


@activity.defn
async def review(of: Change, turn: int, patch: str) -> dict:
    """A judgement; a change of N rounds is accepted in the last one."""
    accepted = turn + 1 >= of.rounds
    return {"accepted": accepted, "remarks": "" if accepted else prose(f"{turn} {patch[:40]}", 600)}


@activity.defn
async def fix(of: Change, remarks: str) -> str:
    """A better patch. That of a change meant to fail cannot be had."""
    if of.fate == "failed":
        raise ApplicationError("the tests still fail", prose(remarks, 300), non_retryable=True)
    return prose(f"fix {of.number} {remarks[:40]}", 2000)


@activity.defn
async def snapshot(of: Change) -> bytes:
    """A binary payload, incompressible."""
    return random.Random(f"snapshot {of.number}").randbytes(2048)


@workflow.defn
class ApplyPart:
    """Applies one part of an accepted change."""

    @workflow.run
    async def run(self, of: Change, part: int) -> str:
        await workflow.execute_activity(snapshot, of, **LIMITS)
        return f"{of.number:08x}{part:08x}"


@workflow.defn
class ChangePipeline:
    """Plan, implement, review and fix until accepted; wait for approval; apply."""

    def __init__(self) -> None:
        self.stage = "new"
        self.approved_by: str | None = None
        self.priority = 0

    @workflow.signal
    def approve(self, who: str) -> None:
        """A person's consent."""
        self.approved_by = who

    @workflow.update
    async def prioritize(self, priority: int) -> int:
        """Changes the priority; gives the old one."""
        old, self.priority = self.priority, priority
        return old

    @prioritize.validator
    def check_priority(self, priority: int) -> None:
        """Refuses what is no priority."""
        if priority < 0:
            raise ValueError("a priority is not negative")

    @workflow.query
    def current_stage(self) -> str:
        """What it is doing."""
        return self.stage

    def enter(self, stage: str, turn: int = 0) -> None:
        """Moves on to a stage, visibly."""
        self.stage = stage
        workflow.upsert_search_attributes([STAGE.value_set(stage), ITERATION.value_set(turn)])

    @workflow.run
    async def run(self, of: Change) -> Applied:
        self.enter("plan")
        planned = await workflow.execute_activity(plan, of, **LIMITS)
        self.enter("implement")
        patches = await asyncio.gather(
            *(
                workflow.execute_activity(implement, args=[of, step], **LIMITS)
                for step in planned["steps"]
            )
        )
        patch, turn = patches[0], 0
        while True:
            self.enter("review", turn)
            judged = await workflow.execute_activity(review, args=[of, turn, patch], **LIMITS)
            if judged["accepted"] and of.fate != "failed":
                break
            patch = await workflow.execute_activity(fix, args=[of, judged["remarks"]], **LIMITS)
            turn += 1
        self.enter("cool-down", turn)
        workflow.upsert_memo({"patchSize": len(patch)})
        if workflow.patched("cool-down"):
            await asyncio.sleep(0.02)
        # From here on nothing but a person moves it: a copy of the databases that has lost its
        # timers must be able to go on.
        self.enter("approval", turn)
        await workflow.wait_condition(
            lambda: self.approved_by is not None, timeout=timedelta(days=30)
        )
        self.enter("apply", turn)
        workflow.upsert_search_attributes([APPROVED.value_set(True)])
        commits = await asyncio.gather(
            *(
                workflow.execute_child_workflow(
                    ApplyPart.run, args=[of, part], id=f"{workflow.info().workflow_id}/{part}"
                )
                for part in range(of.parts)
            )
        )
        return Applied(number=of.number, commits=list(commits), runs=1 + of.parts)


@workflow.defn
class WatchRepository:
    """Looks at a repository again and again, in a chain of runs."""

    @workflow.run
    async def run(self, repository: str, seen: int, runs: int) -> int:
        for turn in range(3):
            await workflow.execute_local_activity(
                poll, args=[repository, seen + turn], start_to_close_timeout=timedelta(seconds=10)
            )
            await asyncio.sleep(0.01)
        if runs < 4:
            workflow.continue_as_new(args=[repository, seen + 3, runs + 1])
        return runs


@activity.defn
async def poll(repository: str, turn: int) -> str:
    """What happened in a repository."""
    return prose(f"{repository} {turn}", 200)


WORKFLOWS = [ChangePipeline, ApplyPart, WatchRepository]
ACTIVITIES = [plan, implement, review, fix, snapshot, poll]
