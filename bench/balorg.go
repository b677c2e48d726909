package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"balorg/configs"
)

func buildBalorg(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "balorg")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "balorg/cmd/balorg").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return binary, nil
}

// balorgConfig lets a crowd in from one address; everything else is as it comes, the trace on.
const balorgConfig = `state: state
listen: {imap: "127.0.0.1:0", imaps: "127.0.0.1:0", submission: "127.0.0.1:0", ldap: "127.0.0.1:0"}
tls: {certificate: %s, key: %s}
imap: {insecure_login_without_tls: true, max_connections: 20000, max_connections_per_address: 20000}
submission: {insecure_login_without_tls: true, max_connections_per_address: 1000, messages_per_hour: 100000000, recipients_per_hour: 100000000}
log: {level: error}
`

// mailstoreOf is the section about a Dovecot.
func mailstoreOf(store *server) string {
	return fmt.Sprintf("mailstores:\n  dovecot: {type: imap, addresses: %q, insecure_no_tls: true, login: master, user: %s, password_file: master-password, max_connections: 20000}\n",
		store.plain, masterUser)
}

// startBalorg starts the daemon on the demo's accounts and an empty state, with more sections of its configuration. The accounts live on the
// mail store of those, or on the embedded one when there is none.
func (b *bench) startBalorg(dir, sections string) (*server, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "balorg.yaml")
	files := map[string]string{
		"balorg.yaml":     fmt.Sprintf(balorgConfig, b.cert.cert, b.cert.key) + sections,
		"master-password": masterPassword + "\n",
	}
	for _, name := range []string{"accounts.yaml", "delegations.yaml"} {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			return nil, err
		}
		files[name] = string(content)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	passwd := exec.CommandContext(b.ctx, b.binary, "account", "passwd", person, "--config", config)
	passwd.Stdin = strings.NewReader(password + "\n")
	if out, err := passwd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("setting the password: %w\n%s", err, out)
	}
	return b.launchBalorg(dir)
}

// launchBalorg starts the daemon on the configuration and the state that are in a folder.
func (b *bench) launchBalorg(dir string) (*server, error) {
	s, err := b.spawnBalorg(dir)
	if err != nil {
		return nil, err
	}
	return s, b.ready(s)
}

// spawnBalorg is launchBalorg up to the moment at which its listeners answer.
func (b *bench) spawnBalorg(dir string) (*server, error) {
	ready := filepath.Join(dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier one
		return nil, err
	}
	s := &server{name: "balorg", user: person, password: password}
	if err := b.start(s, b.binary, "serve", "--config", filepath.Join(dir, "balorg.yaml"), "--ready-file", ready); err != nil {
		return nil, err
	}
	var l struct{ IMAP, IMAPS, Submission, LDAP []string }
	err := b.within(s, func() (bool, error) {
		content, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, errors.Join(err, json.Unmarshal(content, &l))
	})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.plain, s.tls, s.submission, s.ldap = l.IMAP[0], l.IMAPS[0], l.Submission[0], l.LDAP[0]
	return s, nil
}
