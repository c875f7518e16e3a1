// Command demo replays what the demo's worker, which is written in Python, ran: workflows of the
// same types that do the same. With -changed one of them does something else.
package main

import (
	"flag"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"aidp-backup.invalid/replay"
)

type change struct {
	Number int `json:"number"`
}

func limits(id string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		// Python's SDK counts activities from 1, and Go's does otherwise.
		ActivityID:          id,
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 10 * time.Millisecond,
			MaximumAttempts: 3,
		},
	}
}

// applyPart applies one part of an accepted change.
func applyPart(ctx workflow.Context, of change, part int) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, limits("1"))
	if err := workflow.ExecuteActivity(ctx, "snapshot", of).Get(ctx, nil); err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x%08x", of.Number, part), nil
}

// applyPartAfterAWhile waits first, which no history says.
func applyPartAfterAWhile(ctx workflow.Context, of change, part int) (string, error) {
	if err := workflow.Sleep(ctx, time.Second); err != nil {
		return "", err
	}
	return applyPart(ctx, of, part)
}

func main() {
	changed := flag.Bool("changed", false, "register a workflow that does something else")
	flag.Parse()
	replay.Main(func(replayer worker.WorkflowReplayer) {
		named := workflow.RegisterOptions{Name: "ApplyPart"}
		if *changed {
			replayer.RegisterWorkflowWithOptions(applyPartAfterAWhile, named)
		} else {
			replayer.RegisterWorkflowWithOptions(applyPart, named)
		}
	})
}
