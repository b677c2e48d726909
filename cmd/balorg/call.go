package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"balorg/gateway"
)

// call runs an operation at the running daemon, or on the state itself when none runs. Each answer is printed as JSON, or by
// text.
func call[T any](ctx context.Context, e env, f *flags, op string, args any, text func(io.Writer, T) error) error {
	caller, err := gateway.Connect(ctx, configPath(f))
	if err != nil {
		return printProblems(e, f, err)
	}
	defer caller.Close() //nolint:errcheck // answered
	err = caller.Call(ctx, op, args, func(raw json.RawMessage) error {
		if f.json {
			_, err := fmt.Fprintf(e.out, "%s\n", raw)
			return err
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		return text(e.out, v)
	})
	if err != nil {
		return printFailure(e, f, err)
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}
