package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// postfixMain is a Postfix that takes mail from this machine and sends all of it on to one next hop. What is not said here is as it comes:
// it syncs what it accepts. It writes no log, as balorg does here.
const postfixMain = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:%[2]s
in_flow_delay = 0
`

// postfixMaster are Debian's services, but for those that nothing here comes through; none in a chroot, for which files would have to be copied.
const postfixMaster = `
127.0.0.1:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`

// startPostfix starts one that sends on to a next hop.
func (b *bench) startPostfix(hop string) (*server, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("postfix switches users: run this as root")
	}
	dir := filepath.Join(b.dir, "postfix")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return nil, err
	}
	for _, d := range []string{dir, filepath.Join(dir, "queue"), filepath.Join(dir, "data")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chown(filepath.Join(dir, "data"), number(owner.Uid), -1); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(hop)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"main.cf": fmt.Sprintf(postfixMain, dir, port), "master.cf": fmt.Sprintf(postfixMaster, ports[0])} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	s := &server{name: "postfix", submission: "127.0.0.1:" + strconv.Itoa(ports[0]), silent: true, grouped: true}
	if out, err := exec.CommandContext(b.ctx, "postfix", "-c", dir, "check").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making its folders: %w\n%s", err, out)
	}
	// Not postfix's own start-fg: that is a script between us and the master, which would outlive us.
	if err := b.start(s, "/usr/lib/postfix/sbin/master", "-c", dir, "-d"); err != nil {
		return nil, err
	}
	return s, b.answers(s, func() error {
		conn, err := net.DialTimeout("tcp", s.submission, time.Second)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // it was only asked for its greeting
		if err := conn.SetDeadline(time.Now().Add(startWithin)); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "220 ") {
			err = fmt.Errorf("greeting %q", line)
		}
		return err
	})
}
