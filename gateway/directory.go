package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"balorg/gateway/control"
	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/extraction"
	"balorg/mail"
	"balorg/policy"
	"balorg/store"
	"balorg/store/audit"
)

// Arguments of the operations on the directory.
type (
	// ImportArgs are for OpDirectoryImport: an absolute path or an https address; neither means the configured source, unless it is unchanged.
	ImportArgs struct {
		File, URL string
		Force     bool
	}
	// SearchArgs are for OpDirectorySearch.
	SearchArgs struct {
		Filter     string
		As         string // a login form: the person whose view it is; "" means all there is
		Limit      int    // zero means no limit
		Attributes []string
	}
)

// ImportNews is what OpDirectoryImport answers: how far it is, and at the end what was found.
type ImportNews struct {
	Stage  *directory.Stage `json:"stage,omitempty"`
	Result *ImportResult    `json:"result,omitempty"`
}

// ImportResult is what an import has found, taken or not.
type ImportResult struct {
	Taken    bool             `json:"taken"` // false without an error: the source has nothing new
	Before   int              `json:"before"`
	Import   directory.Import `json:"import"`
	Faults   []RowFault       `json:"faults,omitempty"`   // the first 1 000 rows that were left out
	Warnings []RowFault       `json:"warnings,omitempty"` // the first 1 000 about rows that were taken
}

// RowFault is what is wrong with a row of the file.
type RowFault struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"`
	Reason string `json:"reason"`
}

// DirectoryEntry is what OpDirectorySearch answers.
type DirectoryEntry = directory.Found

// SearchAnswer is one entry, or at the end that there are more.
type SearchAnswer struct {
	*DirectoryEntry
	More bool `json:"more,omitempty"`
}

// DirectoryStatus is what OpDirectoryStatus answers.
type DirectoryStatus struct {
	National  *directory.Import `json:"national"` // null: none was imported
	Served    bool              `json:"served"`   // false where there should be one: it cannot be read
	Size      directory.Size    `json:"size"`
	Source    string            `json:"source,omitempty"` // that is looked at on schedule
	Every     string            `json:"every,omitempty"`
	Looked    time.Time         `json:"looked,omitzero"` // when all was well there
	Failed    time.Time         `json:"failed,omitzero"` // since when it is not
	Reason    string            `json:"reason,omitempty"`
	UnderWay  *directory.Stage  `json:"under_way,omitempty"`
	MaxShrink int               `json:"max_shrink"`
}

// directoryOperations are those on the directory, with a daemon or without.
func (st *state) directoryOperations(a admin) map[string]control.Op {
	return map[string]control.Op{
		OpDirectoryImport: operation(func(ctx context.Context, args ImportArgs, emit func(any) error) error {
			return st.importDirectory(ctx, a, args, emit)
		}),
		OpDirectorySearch: operation(a.searchDirectory),
		OpDirectoryStatus: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			status, err := a.directoryStatus(ctx)
			if err != nil {
				return err
			}
			return emit(status)
		},
	}
}

// importDirectory takes a file in. What was wrong with its rows is answered also when it is refused.
func (st *state) importDirectory(ctx context.Context, a admin, args ImportArgs, emit func(any) error) error {
	m := a.imports()
	o := order{source: importSource{args.File, args.URL}, force: args.Force}
	switch {
	case args.File != "" && !filepath.IsAbs(args.File):
		return fmt.Errorf("the path %q is relative; its reader stands in another folder", args.File)
	case args.URL != "" && !isPublished(args.URL):
		return errors.New("the national directory is fetched over HTTPS only: https://host/path")
	case o.source == importSource{}:
		if o.source, o.turn = m.source(), true; o.source == (importSource{}) {
			return errors.New("directory.national names neither a file nor a url in the configuration; name one here")
		}
	}
	var gone error // of who asked
	last := time.Time{}
	stage := ""
	o.progress = func(s directory.Stage) {
		if now := time.Now(); gone == nil && (s.Name != stage || now.Sub(last) > progressEvery) {
			last, stage = now, s.Name
			gone = emit(ImportNews{Stage: &s})
		}
	}
	out, err := m.run(ctx, o)
	if out.next.File != "" || err == nil {
		gone = errors.Join(gone, emit(ImportNews{Result: &ImportResult{
			Taken: out.taken, Before: out.before, Import: out.next, Faults: rowFaults(out.report.Faults), Warnings: rowFaults(out.report.Warnings),
		}}))
	}
	if err != nil {
		return err
	}
	if out.taken {
		r := audit.Record{Action: audit.Administer, Protocol: "control", Request: "directory import " + out.next.File, Answer: "OK"}
		if err := st.trace.Append(ctx, r); err != nil {
			return fmt.Errorf("the directory was imported, and the trace does not say so: %w", err)
		}
	}
	return gone
}

// progressEvery is how often an import tells how far it is.
const progressEvery = 50 * time.Millisecond

func rowFaults(found []extraction.Fault) []RowFault {
	var all []RowFault
	for _, f := range found {
		fault := RowFault{Line: f.Line, Reason: f.Reason}
		if f.Column != 0 {
			fault.Column = f.Column.String()
		}
		all = append(all, fault)
	}
	return all
}

// view is the directory as it is served, or would be by a daemon.
func (a admin) view(ctx context.Context) (*directory.View, error) {
	d := a.imports().directory
	if v := d.View(); v != nil {
		return v, nil
	}
	snap, err := a.look(ctx)
	if err == nil {
		err = d.SetAccounts(snap)
	}
	if err != nil {
		return nil, err
	}
	return d.View(), nil
}

func (a admin) searchDirectory(ctx context.Context, args SearchArgs, emit func(any) error) error {
	v, err := a.view(ctx)
	if err != nil {
		return err
	}
	q := directory.Question{Filter: args.Filter, Limit: args.Limit, Attributes: args.Attributes}
	if args.As != "" {
		if q.Sight, err = sightOf(v.Snapshot, args.As); err != nil {
			return err
		}
	}
	suffixes := a.imports().config().Directory.suffixes()
	if len(suffixes) == 0 {
		suffixes = []string{ldapserver.DefaultSuffix}
	}
	names, err := directory.NewNames(suffixes, []string{directory.Local, directory.National})
	if err != nil {
		return err
	}
	err = v.Search(ctx, names, q, func(f directory.Found) error { return emit(SearchAnswer{DirectoryEntry: &f}) })
	if errors.Is(err, directory.ErrMore) {
		return emit(SearchAnswer{More: true})
	}
	return err
}

// sightOf is what a person sees who logs in with this name.
func sightOf(snap *policy.Snapshot, name string) (*policy.Sight, error) {
	login, err := policy.ParseLogin(name, "")
	if err != nil {
		return nil, err
	}
	person, access, ok := snap.Resolve(login)
	if !ok {
		return nil, fmt.Errorf("%s sees nothing: %s", name, access.Reason)
	}
	sight, decision := snap.Sight(person.ID, access.Mailbox.ID)
	if !decision.Allowed {
		return nil, fmt.Errorf("%s sees nothing: %s", name, decision.Reason)
	}
	return &sight, nil
}

func (a admin) directoryStatus(ctx context.Context) (DirectoryStatus, error) {
	m := a.imports()
	cfg := m.config()
	s := DirectoryStatus{
		Source: m.source().String(), Served: m.directory.HasNational(), UnderWay: m.running(), MaxShrink: cfg.Directory.National.maxShrink(),
	}
	v, err := a.view(ctx)
	if err != nil {
		return s, err
	}
	s.Size = v.Size()
	switch current, err := m.importer.Current(ctx); {
	case err == nil:
		s.National = &current
	case !errors.Is(err, store.ErrNotFound):
		return s, err
	}
	if s.Source == "" {
		return s, nil
	}
	s.Every = cfg.Directory.National.every().String()
	turn, err := m.table.Turn(ctx)
	if turn.Source == s.Source {
		s.Looked, s.Failed, s.Reason = turn.Looked, turn.Failed, turn.Reason
	}
	return s, err
}

// tellPresence adds to the answer about an entry whether the national directory has it, which policy cannot know.
func (a admin) tellPresence(ctx context.Context, q policy.Question, e *policy.Explanation) {
	if q.See == "" || a.imports == nil {
		return
	}
	v, err := a.view(ctx)
	if err != nil {
		return // the answer stands without it
	}
	addresses := []mail.Address{q.See}
	account, local := v.Snapshot.Account(q.See)
	if local {
		addresses = []mail.Address{account.Address, account.MSSante}
	}
	presence := directory.Absent
	for _, address := range addresses {
		presence = max(presence, v.Presence(string(address)))
	}
	note := "the national directory has no entry of it"
	switch {
	case v.National == nil:
		note = "no national directory was imported"
	case presence == directory.Shadowed:
		note = "the national directory has an entry of it too, which is never shown: the account stands in its place"
	case presence == directory.Present:
		note = "the national directory has an entry of it"
	}
	e.NoteSeen(note)
}
