package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is one of those compared: a process and all that it starts.
type server struct {
	name       string
	plain, tls string // addresses
	submission string // as well
	ldap       string // as well
	ports      []int  // Dovecot's
	user       string
	password   string
	log        string // file
	process    *exec.Cmd
	ended      chan struct{} // closed when the process has, with exit
	exit       error
	silent     bool // its exit status tells nothing
	grouped    bool // it ends its whole process group, which must not be ours
}

const (
	person      = "claire.durand@clinique-des-sapins.fr"
	password    = "bench-password"
	startWithin = 20 * time.Second
	stopWithin  = 20 * time.Second
	clockTicks  = 100 // of /proc/PID/stat, a second: USER_HZ
)

// start starts the server's process.
func (b *bench) start(s *server, name string, args ...string) error {
	s.process = exec.Command(name, args...)
	s.process.Stderr = os.Stderr
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: s.grouped} // it does not outlive us, whatever ends us
	if err := s.process.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		s.exit = s.process.Wait()
		close(s.ended)
	}()
	return nil
}

// ready waits until somebody can log in; what does not come up is ended.
func (b *bench) ready(s *server) error {
	return b.answers(s, func() error {
		c, err := b.login(s, false)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// answers waits until try errs no more; what does not come up is ended.
func (b *bench) answers(s *server, try func() error) error {
	err := b.within(s, func() (bool, error) { return try() == nil, nil })
	if err == nil {
		return nil
	}
	if text, rerr := os.ReadFile(s.log); rerr == nil {
		err = fmt.Errorf("%w\n%s", err, text)
	}
	return errors.Join(err, s.stop())
}

// within asks again until done is true, or the time is over.
func (b *bench) within(s *server, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(b.ctx, startWithin, errors.New("it does not come up"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended at once: %w", s.exit)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends the server and whatever it started.
func (s *server) stop() error {
	family, err := s.family()
	if err != nil {
		return err
	}
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-s.ended:
		if s.silent {
			return nil
		}
		return s.exit
	case <-timer.C:
	}
	for _, p := range family {
		syscall.Kill(p.pid, syscall.SIGKILL) //nolint:errcheck // some have ended
	}
	<-s.ended
	return fmt.Errorf("%s had to be killed", s.name)
}

// member is one process of a server.
type member struct {
	pid, parent int
	reaped      int // processor time of its children that have ended, in ticks
}

// family answers the server's processes.
func (s *server) family() ([]member, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]member)
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state ppid …; cutime and cstime are fields 16 and 17.
		text := string(content)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 15 {
			continue
		}
		m := member{pid: number(filepath.Base(filepath.Dir(path))), parent: number(fields[1]), reaped: number(fields[13]) + number(fields[14])}
		all[m.pid] = m
	}
	var family []member
	for pid, m := range all {
		for up := pid; up > 1; up = all[up].parent {
			if up == s.process.Process.Pid {
				family = append(family, m)
				break
			}
		}
	}
	return family, nil
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // the kernel wrote it
	return n
}

// usage is what a server has used so far.
type usage struct {
	cpu      time.Duration // its processes that ended included
	resident int           // octets of memory now
	mapped   int           // of those, pages of files: the system takes them back when it needs them
}

func (s *server) usage() (u usage, err error) {
	family, err := s.family()
	for _, m := range family {
		u.cpu += time.Duration(m.reaped) * time.Second / clockTicks
		var spent unix.Timespec
		if unix.ClockGettime(processClock(m.pid), &spent) == nil { // else it ended meanwhile
			u.cpu += time.Duration(spent.Nano())
		}
		statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", m.pid)) // as above
		if fields := strings.Fields(string(statm)); len(fields) > 2 {
			u.resident += number(fields[1]) * os.Getpagesize()
			u.mapped += number(fields[2]) * os.Getpagesize()
		}
	}
	return u, err
}

// processClock is the clock of a process's processor time, in nanoseconds where /proc has ticks (clock_getcpuclockid(3)).
func processClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED
	return int32(^pid)<<3 | scheduled
}

// raiseFiles lets this process and its children open as many files as the machine allows, and answers how many.
func raiseFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking how many files may be open: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raising the number of open files: %w", err)
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
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
