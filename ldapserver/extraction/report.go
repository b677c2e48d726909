package extraction

import "fmt"

// maxFaults is how many of the bad rows, and of the warnings, are kept in full.
const maxFaults = 1000

// A Fault is what is wrong with a row.
type Fault struct {
	Line   int
	Column Column // zero when it is the line as a whole
	Reason string // holds of the row no more than is needed to see the fault
}

func (f Fault) String() string {
	if f.Column == 0 {
		return fmt.Sprintf("line %d: %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", f.Line, f.Column, f.Reason)
}

// A Report says what a file held.
type Report struct {
	Rows     int     // that are right, those with warnings among them
	Bad      int     // rows that were skipped
	Faults   []Fault // what is wrong with the first 1 000 of these
	Warned   int     // warnings, of which a row may have several
	Warnings []Fault // the first 1 000 of these: rows that were kept
}

func (r *Report) bad(f Fault) {
	r.Bad++
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, f)
	}
}

func (r *Report) warn(f Fault) {
	r.Warned++
	if len(r.Warnings) < maxFaults {
		r.Warnings = append(r.Warnings, f)
	}
}
