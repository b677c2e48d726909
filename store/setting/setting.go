// Package setting keeps what belongs to an account and stands in no file: its password's hash, and the choices its owner
// made. All hang on the account's id.
//
// Keys:
//
//	p/<account id>                      → PHC string of the password
//	c/<person id>/<kind>/<mailbox id>   → JSON of Choice
package setting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"balorg/mail"
	"balorg/store"
)

// Table reads and writes settings, each in a transaction of its own.
type Table struct{ st store.Store }

// New answers the settings kept in st.
func New(st store.Store) *Table { return &Table{st} }

// Password answers the hash kept for the account, or store.ErrNotFound.
func (t *Table) Password(ctx context.Context, id mail.AccountID) (hash string, err error) {
	err = t.st.View(ctx, func(r store.Reader) error {
		b, err := r.Get(passwordKey(id))
		hash = string(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("password of %s: %w", id, err)
	}
	return hash, nil
}

// SetPassword keeps hash durably; an empty one removes the password.
func (t *Table) SetPassword(ctx context.Context, id mail.AccountID, hash string) error {
	err := t.st.Update(ctx, func(tx store.Writer) error {
		if hash == "" {
			return tx.Delete(passwordKey(id))
		}
		return tx.Set(passwordKey(id), []byte(hash))
	})
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", id, err)
	}
	return nil
}

// Choice is a person's own setting, laid over the value of an administrator's file. What it means, and when it lapses, is
// policy's to say.
type Choice struct {
	Kind    string         `json:"kind"`
	Person  mail.AccountID `json:"person"`
	Mailbox mail.AccountID `json:"mailbox"`
	On      bool           `json:"on,omitempty"`
	// The file's value when the choice was made.
	FileDefault mail.AccountID `json:"file_default,omitempty"`
	FileNotify  bool           `json:"file_notify,omitempty"`
}

// KindDefault is the kind of which a person has one choice only, whatever its mailbox.
const KindDefault = "default"

// Choices answers every choice of every person.
func (t *Table) Choices(ctx context.Context) ([]Choice, error) {
	var all []Choice
	err := t.st.View(ctx, func(r store.Reader) error {
		prefix := []byte(store.PrefixChoice)
		for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			var c Choice
			if err := json.Unmarshal(v, &c); err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("choices: %w", err)
	}
	return all, nil
}

// SetChoice keeps a choice in place of the one the person made before about the same thing.
func (t *Table) SetChoice(ctx context.Context, c Choice) error {
	if c.Person == "" || c.Kind == "" {
		return errors.New("a choice needs a person and a kind")
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("choice of %s: %w", c.Person, err)
	}
	if err := t.st.Update(ctx, func(tx store.Writer) error { return tx.Set(choiceKey(c), b) }); err != nil {
		return fmt.Errorf("keep a choice of %s: %w", c.Person, err)
	}
	return nil
}

// DeleteChoices forgets these choices, unless the person has chosen anew meanwhile.
func (t *Table) DeleteChoices(ctx context.Context, choices ...Choice) error {
	err := t.st.Update(ctx, func(tx store.Writer) error {
		for _, c := range choices {
			if err := deleteChoice(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget choices: %w", err)
	}
	return nil
}

func deleteChoice(tx store.Writer, c Choice) error {
	b, err := tx.Get(choiceKey(c))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var now Choice
	if err := json.Unmarshal(b, &now); err != nil {
		return err
	}
	if now != c {
		return nil
	}
	return tx.Delete(choiceKey(c))
}

// Forget removes all settings of an account that is no more: its password, its choices, and those of others about it.
func Forget(tx store.Writer, id mail.AccountID) error {
	if err := tx.Delete(passwordKey(id)); err != nil {
		return err
	}
	prefix := []byte(store.PrefixChoice)
	for k, v := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		var c Choice
		if err := json.Unmarshal(v, &c); err != nil {
			return fmt.Errorf("choice %q: %w", k, err)
		}
		if c.Person == id || c.Mailbox == id {
			if err := tx.Delete(choiceKey(c)); err != nil {
				return err
			}
		}
	}
	return tx.Err()
}

func passwordKey(id mail.AccountID) []byte { return []byte(store.PrefixPassword + string(id)) }

func choiceKey(c Choice) []byte {
	k := store.PrefixChoice + string(c.Person) + "/" + c.Kind + "/"
	if c.Kind != KindDefault {
		k += string(c.Mailbox)
	}
	return []byte(k)
}
