// Package replay replays archived histories with a worker's own workflows, for
// `aidp-backup drill replay` (docs/replay.md).
//
// Go links workflows into a program, so a replayer is a program of the worker's own:
//
//	func main() {
//		replay.Main(func(replayer worker.WorkflowReplayer) {
//			replayer.RegisterWorkflow(pipeline.ChangePipeline)
//		})
//	}
package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Longest message that is printed.
const longest = 2000

// Run is what is read of a line of the archive.
type run struct {
	WorkflowID string          `json:"workflowId"`
	RunID      string          `json:"runId"`
	Type       string          `json:"type"`
	History    json.RawMessage `json:"history"`
}

type verdict struct {
	RunID   string `json:"runId"`
	Verdict string `json:"verdict"`
	Message string `json:"message"`
}

// Main replays what comes on standard input with the workflows that register adds, prints
// verdicts on standard output, and ends the process.
func Main(register func(worker.WorkflowReplayer)) {
	out := os.Stdout
	// Standard output is for verdicts alone: what workflows print goes to standard error.
	os.Stdout = os.Stderr
	if err := Replay(os.Stdin, out, worker.WorkflowReplayerOptions{}, register); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Replay does the same with streams and options of the caller's, a data converter for instance.
func Replay(
	in io.Reader,
	out io.Writer,
	options worker.WorkflowReplayerOptions,
	register func(worker.WorkflowReplayer),
) error {
	replayer, err := worker.NewWorkflowReplayerWithOptions(options)
	if err != nil {
		return err
	}
	known := &registry{WorkflowReplayer: replayer, types: map[string]bool{}}
	register(known)
	logger := log.NewStructuredLogger(slog.New(slog.NewTextHandler(
		os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	lines := bufio.NewReaderSize(in, 1<<20)
	answers := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var one run
		if err := json.Unmarshal(line, &one); err != nil {
			return fmt.Errorf("a line is no run: %w", err)
		}
		answer := verdict{RunID: one.RunID}
		if known.dynamic || known.types[one.Type] {
			answer.Verdict, answer.Message = judge(replay(replayer, logger, one))
		} else {
			answer.Verdict = "unknown-type"
			answer.Message = one.Type + " is not among the workflows that were registered"
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

// registry remembers which types were registered: a history of another SDK may fail for its
// markers before the replayer misses its type.
type registry struct {
	worker.WorkflowReplayer
	types   map[string]bool
	dynamic bool
}

func (known *registry) RegisterWorkflow(code any) {
	known.types[name(code)] = true
	known.WorkflowReplayer.RegisterWorkflow(code)
}

func (known *registry) RegisterWorkflowWithOptions(code any, options workflow.RegisterOptions) {
	if options.Name == "" {
		known.types[name(code)] = true
	} else {
		known.types[options.Name] = true
	}
	known.WorkflowReplayer.RegisterWorkflowWithOptions(code, options)
}

func (known *registry) RegisterDynamicWorkflow(
	code any, options workflow.DynamicRegisterOptions,
) {
	known.dynamic = true
	known.WorkflowReplayer.RegisterDynamicWorkflow(code, options)
}

// name is what the SDK calls a workflow that is registered without a name.
func name(code any) string {
	if value := reflect.ValueOf(code); value.Kind() == reflect.Func {
		full := runtime.FuncForPC(value.Pointer()).Name()
		return strings.TrimSuffix(full[strings.LastIndex(full, ".")+1:], "-fm")
	}
	return ""
}

func replay(replayer worker.WorkflowReplayer, logger log.Logger, one run) (failure error) {
	// Code that does otherwise may also panic, by the SDK's or its own will.
	defer func() {
		if cause := recover(); cause != nil {
			failure = fmt.Errorf("panic: %v", cause)
		}
	}()
	history, err := client.HistoryFromJSON(bytes.NewReader(one.History), client.HistoryJSONOptions{})
	if err != nil {
		return fmt.Errorf("the history cannot be read: %w", err)
	}
	return replayer.ReplayWorkflowHistoryWithOptions(logger, history,
		worker.ReplayWorkflowHistoryOptions{
			OriginalExecution: workflow.Execution{ID: one.WorkflowID, RunID: one.RunID},
		})
}

// judge tells what a replay that ended so says. The SDK has no types for it, but rule numbers and
// words that its own tests hold on to.
func judge(failure error) (string, string) {
	if failure == nil {
		return "ok", ""
	}
	message := failure.Error()
	said := "failed"
	switch {
	case strings.Contains(message, "unable to find workflow type"):
		said = "unknown-type"
	case strings.Contains(message, "TMPRL1100"),
		strings.Contains(message, "nondeterministic"),
		strings.Contains(message, "NonDeterministic"):
		said = "nondeterministic"
	}
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "")
	}
	return said, message
}
