package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The user that proxies log in to the mail store with.
const (
	masterUser     = "balorg"
	masterPassword = "master-password"
)

// dovecotConfig is a Dovecot of its own: nothing of the machine's is read or written.
const dovecotConfig = `
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
disable_plaintext_auth = no
auth_username_chars =
first_valid_uid = 1
service imap-login {
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = %[5]d
    ssl = yes
  }
}
`

// directConfig is a mail server. sdbox is its fastest format of one file a message.
const directConfig = `
mail_location = sdbox:DIR/mail
mail_uid = nobody
mail_gid = nogroup
passdb {
  driver = static
  args = password=` + password + `
}
userdb {
  driver = static
  args = home=DIR/home
}
`

// crowdConfig is for thousands of connections: login processes that serve many each (Dovecot's high-performance mode), as many of
// them as there are cores here.
const crowdConfig = `
default_vsz_limit = 8G
default_client_limit = 15000
service imap-login {
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  client_limit = 12000
}
service anvil {
  client_limit = 15000
}
service auth {
  client_limit = 15000
}
`

// storeConfig is the mail server behind all proxies. Its mail processes serve many sessions each: one for each would measure how the
// machine starts processes.
const storeConfig = directConfig + crowdConfig + `
auth_master_user_separator = *
mail_max_userip_connections = 0
mail_fsync = never
passdb {
  driver = passwd-file
  args = DIR/masters
  master = yes
}
service imap {
  service_count = 0
  client_limit = 400
  process_limit = 100
  process_min_avail = 2
}
`

// proxyConfig is a Dovecot that sends everybody on to where its users' file says.
const proxyConfig = crowdConfig + `
auth_cache_size = 10M
auth_cache_verify_password_with_worker = no
passdb {
  driver = passwd-file
  args = DIR/users
}
`

// proxyUsers is a users' file with a person whose mail is on the store.
func proxyUsers(store *server) string {
	host, port, _ := strings.Cut(store.plain, ":")
	return fmt.Sprintf("%s:{PLAIN}%s::::::proxy=y host=%s port=%s master=%s pass=%s\n", person, password, host, port, masterUser, masterPassword)
}

// startDovecot starts one with its files in a folder of the run; DIR in text is that folder, users the content of its users' file.
func (b *bench) startDovecot(name, text, users string) (*server, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("dovecot switches users: run this as root")
	}
	dir := filepath.Join(b.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	for _, d := range []string{dir, filepath.Join(dir, "mail"), filepath.Join(dir, "home")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
		if err := os.Chmod(d, 0o777); err != nil { // its user is not known before it starts
			return nil, err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"masters": masterUser + ":{PLAIN}" + masterPassword + "\n",
		"users":   users,
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	s := &server{
		name: name, ports: ports, plain: fmt.Sprintf("127.0.0.1:%d", ports[0]), tls: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		user: person, password: password, log: filepath.Join(dir, "log"), silent: true,
	}
	return s, b.launchDovecot(s, text)
}

// launchDovecot starts one on the files that are there.
func (b *bench) launchDovecot(s *server, text string) error {
	dir := filepath.Dir(s.log)
	config := fmt.Sprintf(dovecotConfig, dir, b.cert.cert, b.cert.key, s.ports[0], s.ports[1]) + strings.ReplaceAll(text, "DIR", dir)
	file := filepath.Join(dir, "dovecot.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	if err := b.start(s, "dovecot", "-F", "-c", file); err != nil {
		return err
	}
	return b.ready(s)
}

// configureDovecot ends one and starts it with another configuration on the mail that it has.
func (b *bench) configureDovecot(s *server, text string) error {
	if err := s.stop(); err != nil {
		return fmt.Errorf("stopping %s: %w", s.name, err)
	}
	if err := b.launchDovecot(s, text); err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	return nil
}
