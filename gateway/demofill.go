package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"balorg/gateway/demo"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/mailbox"
)

// Of the demo's national directory.
const (
	demoRows = 20_000
	demoSeed = 2026
)

// fillDemoDirectory makes a national directory of mailboxes that do not exist, unless a kept state has one.
func (g *Gateway) fillDemoDirectory(ctx context.Context) error {
	if g.directory.HasNational() {
		return nil
	}
	dir, err := os.MkdirTemp(g.st.spool, "directory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the next start empties the spool
	now := time.Now()
	var ours []string // of whom there are no namesakes: who looks for one of them finds them, or nobody
	for _, a := range g.snapshot.Load().Accounts() {
		ours = append(ours, a.Nom)
	}
	path := filepath.Join(dir, extraction.FileName(now))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(sample.Write(file, sample.Options{Rows: demoRows, Seed: demoSeed, Date: now, Without: ours}), file.Close()); err != nil {
		return err
	}
	_, err = g.imports.run(ctx, order{source: importSource{file: path}, told: "the demo, which made it up"})
	return err
}

// fillDemo sets the demo's passwords and delivers its sample mail, unless a kept state has them.
func (g *Gateway) fillDemo(ctx context.Context) error {
	snap := g.snapshot.Load()
	for _, a := range snap.Accounts() {
		if !a.Kind.Nominative() || a.State != policy.Active {
			continue
		}
		if _, err := g.st.settings.Password(ctx, a.ID); !errors.Is(err, auth.ErrUnset) {
			continue
		}
		if err := g.auth.SetPassword(ctx, a.ID, auth.NewSecret(demoPassword+a.Address.Local())); err != nil {
			return fmt.Errorf("setting the password of %s: %w", a.Address, err)
		}
	}
	boxes := make(map[string]*mailbox.Account)
	for _, m := range demo.Messages(time.Now()) {
		box := boxes[m.Mailbox]
		if box == nil {
			a, ok := demoAccount(snap, m.Mailbox)
			if !ok {
				continue // removed from a kept demo's file
			}
			var err error
			if box, err = g.st.boxes.Account(ctx, a.ID, a.Quota); err != nil {
				return err
			}
			usage, err := box.Usage(ctx)
			if err != nil {
				return err
			}
			if usage.Messages > 0 {
				return nil // a kept state has its mail
			}
			boxes[m.Mailbox] = box
		}
		if err := g.deliverDemo(ctx, box, m); err != nil {
			return fmt.Errorf("delivering the sample mail: %w", err)
		}
	}
	return nil
}

func demoAccount(snap *policy.Snapshot, local string) (*policy.Account, bool) {
	for _, a := range snap.Accounts() {
		if a.Address.Local() == local && a.ID != "" {
			return a, true
		}
	}
	return nil, false
}

func (g *Gateway) deliverDemo(ctx context.Context, box *mailbox.Account, m demo.Message) error {
	folder := mailbox.Inbox
	if m.Folder != "" {
		folders, err := box.Folders(ctx)
		if err != nil {
			return err
		}
		for _, f := range folders {
			if strings.EqualFold(string(f.SpecialUse), `\`+m.Folder) {
				folder = f.Name
			}
		}
	}
	flags, err := mailbox.ParseFlags(m.Flags)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(m.Encode(w)) }()
	_, err = box.Append(ctx, folder, r, flags, m.Date)
	return err
}
