package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store"
	"balorg/store/token"
)

// The operations on device tokens.
const (
	OpTokenAdd    = "token.add"
	OpTokenList   = "token.list"
	OpTokenRevoke = "token.revoke"
)

// Arguments and answers of the operations on device tokens.
type (
	// TokenArgs are for OpTokenAdd.
	TokenArgs struct {
		Person  mail.Address
		Name    string
		Scopes  []string     // none: every protocol
		Mailbox mail.Address // empty: what the person's password opens
	}
	// TokenListArgs are for OpTokenList; no person means everybody's.
	TokenListArgs struct{ Person mail.Address }
	// TokenRevokeArgs are for OpTokenRevoke. Token is an id or, where a person is given, a device's name.
	TokenRevokeArgs struct {
		Person mail.Address
		Token  string
	}
	// TokenAdded is what OpTokenAdd answers: the one time that the secret is told.
	TokenAdded struct {
		TokenEntry
		Secret string `json:"token"`
	}
	// TokenEntry is a device token as it is listed.
	TokenEntry struct {
		ID       string       `json:"id"`
		Person   mail.Address `json:"person"`
		Name     string       `json:"name"`
		Scopes   []string     `json:"scopes"`
		Mailbox  mail.Address `json:"mailbox,omitempty"`
		Created  time.Time    `json:"created"`
		LastUsed time.Time    `json:"last_used,omitzero"`
		Expired  bool         `json:"expired,omitempty"`
	}
)

// maxDeviceName bounds a device's name, in characters.
const maxDeviceName = 64

// tokens are the device tokens as authentication sees them.
type tokens struct {
	*token.Table
	log *slog.Logger
}

// Token implements auth.Tokens.
func (t tokens) Token(ctx context.Context, hash auth.TokenHash) (policy.Token, error) {
	kept, err := t.ByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return policy.Token{}, auth.ErrUnset
	}
	return policyToken(kept), err
}

// Used implements auth.Tokens.
func (t tokens) Used(ctx context.Context, tok policy.Token, now time.Time) {
	err := t.Table.Used(ctx, token.Token{ID: tok.ID, Account: tok.Account, LastUsed: tok.LastUsed}, now)
	if err != nil && ctx.Err() == nil {
		t.log.WarnContext(ctx, "noting the use of a device token", slog.Any("error", err))
	}
}

func policyToken(kept token.Token) policy.Token {
	scopes := make([]policy.Scope, len(kept.Scopes))
	for i, s := range kept.Scopes {
		scopes[i] = policy.Scope(s)
	}
	return policy.Token{
		ID: kept.ID, Account: kept.Account, Name: kept.Name, Scopes: scopes, Mailbox: kept.Mailbox, Created: kept.Created, LastUsed: kept.LastUsed,
	}
}

// addToken makes a device token; its secret is told this once. An empty mailbox means what the person's password opens.
func (g *Gateway) addToken(ctx context.Context, person mail.Address, name string, scopes []string, mailbox mail.Address) (string, token.Token, error) {
	return g.st.addToken(ctx, g.snapshot.Load(), TokenArgs{person, name, scopes, mailbox})
}

// listTokens answers a person's device tokens, the oldest first.
func (g *Gateway) listTokens(ctx context.Context, person mail.Address) ([]token.Token, error) {
	account, err := owner(g.snapshot.Load(), person)
	if err != nil {
		return nil, err
	}
	return g.st.tokens.List(ctx, account.ID)
}

// revokeToken ends a person's device token and the sessions that use it.
func (g *Gateway) revokeToken(ctx context.Context, person mail.Address, id string) error {
	_, err := g.st.revokeToken(ctx, g.snapshot.Load(), TokenRevokeArgs{person, id}, g.sessions.EndCredential)
	return err
}

// owner is the account with an address, which may have device tokens even where it may not log in now.
func owner(snap *policy.Snapshot, address mail.Address) (*policy.Account, error) {
	account, ok := snap.Account(address)
	switch {
	case !ok:
		return nil, fmt.Errorf("no account has the address %s", address)
	case account.ID == "":
		return nil, fmt.Errorf("%s is closed: run `balorg account restore` or `balorg account new` first", address)
	}
	return account, nil
}

// addToken makes a token. To record it is the caller's.
func (st *state) addToken(ctx context.Context, snap *policy.Snapshot, args TokenArgs) (secret string, tok token.Token, err error) {
	name, err := deviceName(args.Name)
	if err != nil {
		return "", token.Token{}, err
	}
	scopes, err := policy.ParseScopes(args.Scopes)
	if err != nil {
		return "", token.Token{}, err
	}
	person, mailbox, decision := snap.ForToken(args.Person, args.Mailbox)
	if !decision.Allowed {
		return "", token.Token{}, fmt.Errorf("%s cannot have this device token: %s", args.Person, decision.Reason)
	}
	tok = token.Token{ID: token.NewID(), Account: person.ID, Name: name, Created: time.Now()}
	for _, s := range scopes {
		tok.Scopes = append(tok.Scopes, string(s))
	}
	if mailbox != nil {
		tok.Mailbox = mailbox.ID
	}
	made, hash := auth.NewToken()
	switch err := st.tokens.Add(ctx, tok, hash); {
	case errors.Is(err, token.ErrNameTaken):
		return "", token.Token{}, fmt.Errorf("%s has a device token named %q already: choose another name, or revoke that one first", person.Address, name)
	case err != nil:
		return "", token.Token{}, err
	}
	return made.Reveal(), tok, nil
}

// deviceName reads the name of a device: one that is shown, in pages and in the trace.
func deviceName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", errors.New("the device needs a name")
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxDeviceName:
		return "", fmt.Errorf("the name of the device is longer than %d characters", maxDeviceName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", errors.New("the name of the device holds characters that cannot be printed")
	}
	return name, nil
}

// revokeToken removes a token and has ended told of it. To record it is the caller's.
func (st *state) revokeToken(ctx context.Context, snap *policy.Snapshot, args TokenRevokeArgs, ended func(credential string)) (token.Token, error) {
	var account mail.AccountID
	if args.Person != "" {
		person, err := owner(snap, args.Person)
		if err != nil {
			return token.Token{}, err
		}
		account = person.ID
	}
	all, err := st.tokens.List(ctx, account)
	if err != nil {
		return token.Token{}, err
	}
	for _, tok := range all {
		if tok.ID != args.Token && (account == "" || tok.Name != args.Token) {
			continue
		}
		// The sessions end even where the trace cannot be written: it is the removal that counts.
		if _, err := st.tokens.Revoke(ctx, tok.Account, tok.ID); err != nil {
			return token.Token{}, err
		}
		ended(auth.TokenCredential(tok.ID))
		return tok, nil
	}
	return token.Token{}, fmt.Errorf("there is no device token %q; `balorg token list` shows them", args.Token)
}

// entry is a token as it is listed.
func (st *state) tokenEntry(snap *policy.Snapshot, tok token.Token, now time.Time) TokenEntry {
	return TokenEntry{
		ID: tok.ID, Person: addressOf(snap, tok.Account), Name: tok.Name, Scopes: tok.Scopes, Mailbox: addressOf(snap, tok.Mailbox),
		Created: tok.Created, LastUsed: tok.LastUsed, Expired: policyToken(tok).Expired(now, st.unused),
	}
}

// administeredToken records what was done about a token at the shell; what a person does about their own is the portal's to record.
func (st *state) administeredToken(ctx context.Context, snap *policy.Snapshot, what string, tok token.Token) error {
	person, ok := snap.ByID(tok.Account)
	if !ok {
		person = &policy.Account{ID: tok.Account}
	}
	return st.administered(ctx, person, fmt.Sprintf("%s %q", what, tok.Name))
}

// tokenOperations are those on device tokens.
func (st *state) tokenOperations(a admin) map[string]control.Op {
	return map[string]control.Op{
		OpTokenAdd: operation(func(ctx context.Context, args TokenArgs, emit func(any) error) error {
			snap, err := a.snapshot(ctx)
			if err != nil {
				return err
			}
			secret, tok, err := st.addToken(ctx, snap, args)
			if err == nil {
				err = st.administeredToken(ctx, snap, "token add", tok)
			}
			if err != nil {
				return err
			}
			return emit(TokenAdded{st.tokenEntry(snap, tok, time.Now()), secret})
		}),
		OpTokenList: operation(func(ctx context.Context, args TokenListArgs, emit func(any) error) error {
			snap, err := a.look(ctx)
			if err != nil {
				return err
			}
			var account mail.AccountID
			if args.Person != "" {
				person, err := owner(snap, args.Person)
				if err != nil {
					return err
				}
				account = person.ID
			}
			all, err := st.tokens.List(ctx, account)
			for i := 0; err == nil && i < len(all); i++ {
				err = emit(st.tokenEntry(snap, all[i], time.Now()))
			}
			return err
		}),
		OpTokenRevoke: operation(func(ctx context.Context, args TokenRevokeArgs, emit func(any) error) error {
			snap, err := a.look(ctx)
			if err != nil {
				return err
			}
			tok, err := st.revokeToken(ctx, snap, args, a.ended)
			if err == nil {
				err = st.administeredToken(ctx, snap, "token revoke", tok)
			}
			if err != nil {
				return err
			}
			return emit(fmt.Sprintf("device token %q of %s revoked", tok.Name, addressOf(snap, tok.Account)))
		}),
	}
}
