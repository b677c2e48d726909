package extraction

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the reader says into the want sections of testdata/rows")

// TestCorpus reads testdata/rows: files with one mistake each, and what is told of them.
func TestCorpus(t *testing.T) {
	names, err := filepath.Glob("testdata/rows/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			head, want, ok := strings.Cut(string(raw), "-- want --\n")
			_, file, there := strings.Cut(head, "-- file --\n")
			if !ok || !there {
				t.Fatal("a section is missing")
			}
			got := told(file)
			if *update {
				if err := os.WriteFile(name, []byte(head+"-- want --\n"+got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// told is all that a reader says of a file.
func told(file string) string {
	var out strings.Builder
	x, err := NewReader(strings.NewReader(file))
	for err == nil {
		var row *Row
		if row, err = x.Next(); err == nil {
			fmt.Fprintf(&out, "line %d: %s %s\n", row.Line, row.Kind, row.Address)
		}
	}
	if x != nil {
		r := x.Report()
		fmt.Fprintf(&out, "%d rows, %d bad, %d warnings\n", r.Rows, r.Bad, r.Warned)
		for _, f := range r.Faults {
			fmt.Fprintf(&out, "bad: %s\n", f)
		}
		for _, f := range r.Warnings {
			fmt.Fprintf(&out, "warning: %s\n", f)
		}
	}
	if !errors.Is(err, io.EOF) {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	return out.String()
}
