package gateway

import (
	"fmt"
	"io"
	"strings"

	"balorg/configs"
	"balorg/gateway/sheet"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/amend"
)

// ImportOptions say how accounts are imported.
type ImportOptions struct {
	DryRun   bool                  // nothing is written
	SkipBad  bool                  // rows that are bad are left out, and the others taken
	Progress func(what string)     // may be nil
	Report   func(amend.Row) error // gets every row in its order
}

// Imported counts the rows of an import by what became of them.
type Imported struct {
	Added, Changed, Unchanged, Bad int
	Amended
}

// maxRounds bounds how often an import is checked anew without the rows that were found bad: an org without its responsible, who was bad, is bad.
const maxRounds = 50

// Import takes accounts from a table into the files. Nothing is written when any row is bad, unless those are to be skipped. Faults that
// belong to no row are answered as configs.Problems.
func Import(configPath string, in io.Reader, format sheet.Format, opt ImportOptions) (Imported, error) {
	tell := func(format string, args ...any) {
		if opt.Progress != nil {
			opt.Progress(fmt.Sprintf(format, args...))
		}
	}
	tell("reading the table")
	table, err := sheet.Read(in, format)
	if err != nil {
		return Imported{}, err
	}
	rows, err := parseRows(table)
	if err != nil {
		return Imported{}, err
	}
	for round := range maxRounds {
		tell("checking %d rows (round %d)", len(rows), round+1)
		more, err := judge(configPath, rows)
		if err != nil {
			return Imported{}, err
		}
		if !more {
			break
		}
	}
	var done Imported
	for _, r := range rows {
		done.count(r.Outcome)
		if err := opt.Report(*r); err != nil {
			return done, err
		}
	}
	if opt.DryRun || (done.Bad > 0 && !opt.SkipBad) || done.Added+done.Changed == 0 {
		return done, nil
	}
	tell("writing")
	done.Amended, err = amendRows(configPath, rows)
	return done, err
}

func (i *Imported) count(o amend.Outcome) {
	switch o {
	case amend.Added:
		i.Added++
	case amend.Changed:
		i.Changed++
	case amend.Unchanged:
		i.Unchanged++
	case amend.Bad:
		i.Bad++
	}
}

func parseRows(table []sheet.Row) ([]*amend.Row, error) {
	if len(table) == 0 {
		return nil, fmt.Errorf("the table is empty; its first row names the columns")
	}
	header, err := amend.ParseHeader(table[0].Cells)
	if err != nil {
		return nil, fmt.Errorf("row %d: %w", table[0].Number, err)
	}
	first := map[mail.Address]int{}
	rows := make([]*amend.Row, 0, len(table)-1)
	for _, t := range table[1:] {
		r := header.Parse(t.Number, t.Cells)
		if n, twice := first[r.Address]; twice && r.Address != "" {
			r.Bad(fmt.Sprintf("%s stands in row %d already", r.Address, n))
		} else {
			first[r.Address] = r.Number
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// judge checks the files as they would be with all rows that are not bad so far, and tells whether it found more bad ones.
func judge(configPath string, rows []*amend.Row) (more bool, err error) {
	loaded, found := Load(configPath)
	if err := found.Err(); err != nil {
		return false, err // the files must be good before anybody can tell whose fault is whose
	}
	draft, err := amend.NewDraft(loaded.accounts, loaded.delegations)
	if err != nil {
		return false, err
	}
	if applyRows(draft, loaded.Roster, rows) {
		// What a row has done to the draft before it turned out bad is not to be judged.
		return true, nil
	}
	files, err := draft.Files()
	if err != nil {
		return false, err
	}
	_, problems := loadWith(configPath, files)
	if problems.Err() == nil {
		return false, nil
	}
	places, err := draft.PlacesOf()
	if err != nil {
		return false, err
	}
	byAddress := map[mail.Address]*amend.Row{}
	for _, r := range rows {
		if r.Outcome != amend.Bad {
			byAddress[r.Address] = r
		}
	}
	for _, p := range problems {
		address, ok := places.At(p.Pos.File, p.Pos.Line)
		r := byAddress[address]
		if p.Warning {
			continue
		}
		if !ok || r == nil {
			return false, problems.Err() // no row can answer for it alone
		}
		r.Bad(problemText(p))
	}
	return true, nil
}

func problemText(p configs.Problem) string {
	text := p.What
	if at := strings.Index(text, "; it belongs to the account at "); at >= 0 {
		text = text[:at] // a line of a file that is not written
	}
	if at := strings.Index(text, "; first at "); at >= 0 {
		text = text[:at]
	}
	if p.Hint != "" {
		text += " (hint: " + p.Hint + ")"
	}
	return text
}

// applyRows applies the rows that are not bad so far: those of persons first, whom others may name. It tells whether more turned out bad.
func applyRows(d *amend.Draft, roster *policy.Roster, rows []*amend.Row) (more bool) {
	now := amend.CurrentOf(roster)
	for _, delegating := range []bool{false, true} {
		for _, r := range rows {
			if r.Outcome == amend.Bad || r.Delegating() != delegating {
				continue
			}
			if err := d.Apply(r, now); err != nil {
				r.Bad(err.Error())
				more = true
			}
		}
	}
	return more
}

func amendRows(configPath string, rows []*amend.Row) (Amended, error) {
	return Amend(configPath, true, func(d *amend.Draft, roster *policy.Roster) error {
		if applyRows(d, roster, rows) {
			return fmt.Errorf("the files were changed meanwhile; run the import again")
		}
		return nil
	})
}

// TableFormat is the format a table's name tells.
func TableFormat(name string) (sheet.Format, error) { return sheet.FormatOf(name) }

// Export writes the accounts of the files that a filter selects as a table that Import reads.
func Export(configPath string, out io.Writer, format sheet.Format, filter policy.Filter) (int, error) {
	loaded, problems := Load(configPath)
	if err := problems.Err(); err != nil {
		return 0, err
	}
	rows := amend.Cells(loaded.Roster, filter.Matches)
	return len(rows) - 1, sheet.Write(out, format, rows)
}
