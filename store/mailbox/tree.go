package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"balorg/store"
)

// Bounds of folders. A listing is one scan, and a rename one transaction of the folder and all below it.
const (
	maxFolders = 1000
	maxName    = 500 // octets: a key holds the name
	maxLevels  = 32
)

// canonical answers the one spelling of a folder name, or ErrBadName.
func canonical(name string) (string, error) {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return "", ErrBadName
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '*' || r == '%' { // wildcards of LIST: such a folder could not be named alone
			return "", ErrBadName
		}
	}
	first, rest, below := strings.Cut(name, string(Delimiter))
	if strings.EqualFold(first, Inbox) { // RFC 3501, 5.1: INBOX is the inbox in any case
		name = Inbox
		if below {
			name += string(Delimiter) + rest
		}
	}
	levels := strings.Split(name, string(Delimiter))
	if len(levels) > maxLevels || slices.Contains(levels, "") {
		return "", ErrBadName
	}
	return name, nil
}

// newName is canonical for a folder that is to be: whatever shows it must not take a part of it for a control (RFC 9755, 3). Folders that were
// made before this was looked at keep their names.
func newName(name string) (string, error) {
	for _, r := range name {
		if 0x80 <= r && r <= 0x9f || r == '\u2028' || r == '\u2029' {
			return "", ErrBadName
		}
	}
	return canonical(strings.TrimSuffix(name, string(Delimiter)))
}

// parents answers the levels above name, the topmost first.
func parents(name string) (out []string) {
	for i := range len(name) {
		if name[i] == Delimiter {
			out = append(out, name[:i])
		}
	}
	return out
}

// Folders answers the account's folders, INBOX first, the others in order of name.
func (a *Account) Folders(ctx context.Context) ([]Folder, error) {
	var out []Folder
	err := a.s.st.View(ctx, func(r store.Reader) error {
		out = out[:0]
		return scanFolders(r, a, func(key folderKey, row *folderRow) error {
			if row.Dying {
				return nil
			}
			out = append(out, a.withRecent(key, row))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list folders: %w", err)
	}
	slices.SortFunc(out, func(x, y Folder) int {
		switch {
		case x.Name == Inbox:
			return -1
		case y.Name == Inbox:
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return out, nil
}

func scanFolders(r store.Reader, a *Account, fn func(folderKey, *folderRow) error) error {
	prefix := accountPrefix(tableFolder, a.id)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		row, err := decodeFolder(v)
		if err != nil {
			return err
		}
		if err := fn(folderKey{a.id, lastUint32(k)}, &row); err != nil {
			return err
		}
	}
	return r.Err()
}

// withRecent answers the folder; sessions may have taken \Recent messages since the row was written.
func (a *Account) withRecent(key folderKey, row *folderRow) Folder {
	f := row.folder(key.folder)
	x := a.s.open.lookup(key)
	if x == nil {
		return f
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.firstRecent > row.FirstRecent {
		from, _ := x.find(x.firstRecent)
		f.Recent = uint32(len(x.messages) - from)
	}
	return f
}

// Status answers one folder.
func (a *Account) Status(ctx context.Context, name string) (Folder, error) {
	name, err := canonical(name)
	if err != nil {
		return Folder{}, ErrNoFolder
	}
	var f Folder
	err = a.s.st.View(ctx, func(r store.Reader) error {
		key, err := findFolder(r, a.id, name)
		if err != nil {
			return err
		}
		row, err := readFolder(r, key)
		f = a.withRecent(key, &row)
		return err
	})
	return f, err
}

// Create makes a folder, and levels above it that are missing (RFC 3501, 6.3.3). A delimiter at the end of the name is
// ignored. A level that could not be selected becomes a folder. ErrUseTaken when another folder has that special use.
func (a *Account) Create(ctx context.Context, name string, use SpecialUse) error {
	name, err := newName(name)
	if err != nil {
		return err
	}
	defer a.s.known.changed()
	err = a.s.update(ctx, func(tx store.Writer) error {
		if err := a.unused(tx, use); err != nil {
			return err
		}
		e := a.s.edit(tx)
		switch key, err := findFolder(tx, a.id, name); {
		case err == nil:
			row, err := readFolder(tx, key)
			if err != nil {
				return err
			}
			if !row.NoSelect {
				return ErrFolderExists
			}
			f, err := e.adopt(key, row)
			if err != nil {
				return err
			}
			f.row.NoSelect, f.row.SpecialUse = false, use
			if f.row.UIDValidity, err = e.validity(); err != nil {
				return err
			}
			return e.save()
		case !errors.Is(err, ErrNoFolder):
			return err
		}
		if err := a.makeLevels(e, name); err != nil {
			return err
		}
		if err := e.create(a.id, name, use, false); err != nil {
			return err
		}
		return a.saveTree(e)
	})
	if err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return nil
}

// unused answers ErrUseTaken when a folder has that special use: which of two is meant nobody would know.
func (a *Account) unused(r store.Reader, use SpecialUse) error {
	if use == NoUse {
		return nil
	}
	return scanFolders(r, a, func(_ folderKey, row *folderRow) error {
		if row.SpecialUse == use && !row.Dying {
			return ErrUseTaken
		}
		return nil
	})
}

// makeLevels makes the levels above name that are missing.
func (a *Account) makeLevels(e *edit, name string) error {
	for _, level := range parents(name) {
		if level == Inbox {
			continue
		}
		_, err := findFolder(e.tx, a.id, level)
		if errors.Is(err, ErrNoFolder) {
			err = e.create(a.id, level, NoUse, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// saveTree saves after folders have been added.
func (a *Account) saveTree(e *edit) error {
	if err := e.save(); err != nil {
		return err
	}
	n := 0
	prefix := accountPrefix(tableName, a.id)
	for range e.tx.Scan(prefix, store.PrefixEnd(prefix)) {
		n++
	}
	if n > maxFolders {
		return ErrTooManyFolders
	}
	return e.tx.Err()
}

// below answers the folders below name, ascending.
func (a *Account) below(r store.Reader, name string) (names []string, err error) {
	prefix := nameKey(a.id, name+string(Delimiter))
	skip := len(accountPrefix(tableName, a.id))
	for k := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		names = append(names, string(k[skip:]))
	}
	return names, r.Err()
}

// prune removes the levels above name that only led to it.
func (a *Account) prune(e *edit, name string) error {
	levels := parents(name)
	slices.Reverse(levels)
	for _, level := range levels {
		key, err := findFolder(e.tx, a.id, level)
		if errors.Is(err, ErrNoFolder) { // INBOX/x has no level below INBOX
			continue
		}
		if err != nil {
			return err
		}
		row, err := readFolder(e.tx, key)
		if err != nil {
			return err
		}
		names, err := a.below(e.tx, level)
		if err != nil || !row.NoSelect || len(names) > 0 {
			return err
		}
		if err := e.tx.Delete(nameKey(a.id, level)); err != nil {
			return err
		}
		if err := e.tx.Delete(key.in(tableFolder)); err != nil {
			return err
		}
	}
	return nil
}

// Rename renames a folder and all below it; levels above the new name are made. Renaming INBOX moves its messages into the
// new folder and leaves it empty, and what is below it where it is (RFC 3501, 6.3.5). Sessions that have INBOX open are told
// ErrNoFolder: they would look at the new folder, and hear of no new mail.
func (a *Account) Rename(ctx context.Context, from, to string) error {
	from, err := canonical(from)
	if err != nil {
		return ErrNoFolder
	}
	to, err = newName(to)
	switch {
	case err != nil:
		return err
	case to == Inbox || strings.HasPrefix(to, from+string(Delimiter)) && from != Inbox:
		return ErrInbox
	}
	defer a.s.known.changed()
	var key folderKey
	err = a.s.update(ctx, func(tx store.Writer) (err error) {
		if key, err = findFolder(tx, a.id, from); err == nil {
			err = a.rename(tx, from, to)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("rename folder: %w", err)
	}
	if from == Inbox {
		a.s.open.deleted(key)
	}
	return nil
}

func (a *Account) rename(tx store.Writer, from, to string) error {
	if _, err := findFolder(tx, a.id, to); !errors.Is(err, ErrNoFolder) {
		if err == nil {
			err = ErrFolderExists
		}
		return err
	}
	e := a.s.edit(tx)
	names := []string{from}
	if from != Inbox {
		children, err := a.below(tx, from)
		if err != nil {
			return err
		}
		names = append(names, children...)
	}
	if err := a.makeLevels(e, to); err != nil {
		return err
	}
	for _, name := range names {
		if err := a.renameOne(e, name, to+name[len(from):]); err != nil {
			return err
		}
	}
	if from == Inbox {
		// The inbox's own row goes, with its messages and UIDs, and a new, empty one comes.
		if err := e.create(a.id, Inbox, NoUse, false); err != nil {
			return err
		}
	}
	if err := a.saveTree(e); err != nil {
		return err
	}
	return a.prune(e, from)
}

func (a *Account) renameOne(e *edit, from, to string) error {
	if _, err := canonical(to); err != nil { // a child may become too long
		return err
	}
	if _, err := findFolder(e.tx, a.id, to); !errors.Is(err, ErrNoFolder) {
		if err == nil {
			err = ErrFolderExists
		}
		return err
	}
	key, err := findFolder(e.tx, a.id, from)
	if err != nil {
		return err
	}
	row, err := readFolder(e.tx, key)
	if err != nil {
		return err
	}
	f, err := e.adopt(key, row)
	if err != nil {
		return err
	}
	f.row.Name = to
	if err := e.tx.Delete(nameKey(a.id, from)); err != nil {
		return err
	}
	return e.setName(key, to)
}
