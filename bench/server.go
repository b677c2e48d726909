package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"balorg/configs"
)

// server is one of those compared.
type server struct {
	name       string
	plain, tls string // addresses
	user       string
	password   string
	process    *exec.Cmd
}

const (
	person      = "claire.durand@clinique-des-sapins.fr"
	password    = "bench-password"
	startWithin = 20 * time.Second
	clockTicks  = 100 // of /proc/PID/stat, a second: USER_HZ
)

type certificate struct{ cert, key string }

func makeCertificate(dir string) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificate{}, err
	}
	c := certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	if err := os.WriteFile(c.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return c, err
	}
	return c, os.WriteFile(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
}

// startBalorg builds the daemon and starts it on the demo's accounts and an empty state.
func startBalorg(dir string, c certificate) (*server, error) {
	binary := filepath.Join(dir, "balorg")
	if out, err := exec.Command("go", "build", "-o", binary, "balorg/cmd/balorg").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building: %w\n%s", err, out)
	}
	for _, name := range []string{"accounts.yaml", "delegations.yaml"} {
		content, err := configs.Examples.ReadFile("demo/" + name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "balorg.yaml")
	text := fmt.Sprintf("state: state\nlisten: {imap: \"127.0.0.1:0\", imaps: \"127.0.0.1:0\"}\ntls: {certificate: %s, key: %s}\n"+
		"imap: {insecure_login_without_tls: true}\nlog: {level: warn}\n", c.cert, c.key)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	passwd := exec.Command(binary, "account", "passwd", person, "--config", config)
	passwd.Stdin = strings.NewReader(password + "\n")
	if out, err := passwd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("setting the password: %w\n%s", err, out)
	}
	ready := filepath.Join(dir, "ready.json")
	cmd := exec.Command(binary, "serve", "--config", config, "--ready-file", ready)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var l struct{ IMAP, IMAPS []string }
	err := within(startWithin, func() (bool, error) {
		content, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, errors.Join(err, json.Unmarshal(content, &l))
	})
	if err != nil {
		return nil, err
	}
	return &server{name: "balorg", plain: l.IMAP[0], tls: l.IMAPS[0], user: person, password: password, process: cmd}, nil
}

// dovecotConfig is a Dovecot of its own: nothing of the machine's is read or written. sdbox is its fastest format of one file a
// message.
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
first_valid_uid = 1
mail_location = sdbox:%[1]s/mail
mail_uid = nobody
mail_gid = nogroup
passdb {
  driver = static
  args = password=%[4]s
}
userdb {
  driver = static
  args = home=%[1]s/home
}
service imap-login {
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = %[6]d
    ssl = yes
  }
}
`

func startDovecot(dir string, c certificate) (*server, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("dovecot switches users: run this as root")
	}
	base := filepath.Join(dir, "dovecot")
	for _, d := range []string{base, filepath.Join(base, "mail"), filepath.Join(base, "home")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
		if err := os.Chmod(d, 0o777); err != nil { // its user is not known before it starts
			return nil, err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(base, "dovecot.conf")
	text := fmt.Sprintf(dovecotConfig, base, c.cert, c.key, password, ports[0], ports[1])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("dovecot", "-F", "-c", config)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{
		name: "dovecot", plain: fmt.Sprintf("127.0.0.1:%d", ports[0]), tls: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		user: "bench", password: password, process: cmd,
	}
	err = within(startWithin, func() (bool, error) {
		c, err := s.login(false)
		if err == nil {
			err = c.Close()
		}
		return err == nil, nil
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(base, "log"))
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, log), s.stop())
	}
	return s, nil
}

// freePorts asks the system for ports that nobody uses: Dovecot takes numbers only.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // it was only asked for its port
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		ports = append(ports, number)
	}
	return ports, nil
}

// within asks again until done is true, or the time is over.
func within(d time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		ok, err := done()
		if ok || err != nil {
			return err
		}
	}
	return errors.New("it does not come up")
}

func (s *server) login(secure bool) (*conn, error) {
	address := s.plain
	if secure {
		address = s.tls
	}
	c, err := dial(address, secure)
	if err != nil {
		return nil, err
	}
	if _, err := c.do(fmt.Sprintf("LOGIN %s %s", s.user, s.password)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// measure runs a row once, on a connection of its own that has logged in before the clock starts.
func (s *server) measure(r row, n sizes, secure bool) (measure, error) {
	c, err := s.login(secure)
	if err != nil {
		return measure{}, err
	}
	defer c.Close() //nolint:errcheck // everything was answered
	cpu, err := s.cpu()
	if err != nil {
		return measure{}, err
	}
	start := time.Now()
	if err := r.run(c, n); err != nil {
		return measure{}, err
	}
	wall := time.Since(start)
	after, err := s.cpu()
	return measure{wall, after - cpu}, err
}

// cpu is the processor time of the server's processes so far, those that ended included.
func (s *server) cpu() (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	type process struct{ parent, ticks int }
	all := make(map[int]process)
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state ppid …; utime, stime, cutime, cstime are fields 14 to 17.
		text := string(content)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 15 {
			continue
		}
		pid, _ := strconv.Atoi(strings.Fields(text)[0])
		parent, _ := strconv.Atoi(fields[1])
		ticks := 0
		for _, f := range fields[11:15] {
			t, _ := strconv.Atoi(f)
			ticks += t
		}
		all[pid] = process{parent, ticks}
	}
	ticks := 0
	for pid, p := range all {
		for up := pid; up > 1; up = all[up].parent {
			if up == s.process.Process.Pid {
				ticks += p.ticks
				break
			}
		}
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := s.process.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && s.name == "dovecot" {
		return nil // it ends by the signal
	}
	return err
}
