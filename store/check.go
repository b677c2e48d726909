package store

import (
	"context"
	"fmt"
)

// Checker verifies the invariants of one table. It reports what is broken and answers an error only when it could not
// look. A report names the table and the row, never what a message says.
type Checker interface {
	Check(ctx context.Context, r Reader, report func(problem string)) error
}

// Preparer is a Checker that compares the view with what lies outside it and changes meanwhile. Prepare is called before the
// view is taken, and done when all has been checked.
type Preparer interface {
	Prepare() (done func())
}

// Check runs the checkers on one consistent view and answers the problems they report, none when all is well. It also
// reports keys that belong to no table.
func Check(ctx context.Context, st Store, checkers ...Checker) ([]string, error) {
	var problems []string
	report := func(problem string) { problems = append(problems, problem) }
	for _, c := range checkers {
		if p, ok := c.(Preparer); ok {
			defer p.Prepare()()
		}
	}
	err := st.View(ctx, func(r Reader) error {
		if err := checkTables(ctx, r, report); err != nil {
			return err
		}
		for _, c := range checkers {
			if err := c.Check(ctx, r, report); err != nil {
				return fmt.Errorf("check %T: %w", c, err)
			}
		}
		return nil
	})
	return problems, err
}

// checkTables reports the first key of each stretch of the key space that belongs to no table.
func checkTables(ctx context.Context, r Reader, report func(problem string)) error {
	var from []byte
	stray := func(to []byte) {
		for key := range r.Keys(from, to) {
			report(fmt.Sprintf("store: key %q belongs to no table", key))
			return
		}
	}
	for _, table := range Tables() {
		if err := ctx.Err(); err != nil {
			return err
		}
		stray([]byte(table.Prefix))
		from = PrefixEnd([]byte(table.Prefix))
	}
	stray(nil)
	return r.Err()
}
