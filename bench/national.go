package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ownDirectory answers a balorg that serves an extraction, and what taking it in cost. It prints what memory that takes, and how long starts do.
func (b *bench) ownDirectory(file string) (s *server, taken measure, err error) {
	dir := filepath.Join(b.dir, "directory-balorg")
	if s, err = b.startBalorg(dir, directoryConfig); err != nil {
		return nil, taken, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if taken, err = b.importExtraction(s, dir, file); err != nil {
		return s, taken, err
	}
	after, err := s.usage()
	if err != nil {
		return s, taken, err
	}
	if err := s.forgetPeak(); err != nil {
		return s, taken, err
	}
	if _, err := b.importExtraction(s, dir, file); err != nil {
		return s, taken, err
	}
	peak, err := s.peak()
	if err != nil {
		return s, taken, err
	}
	var quick, slow []time.Duration
	for range b.sizes.rounds {
		for _, way := range []struct {
			times *[]time.Duration
			index bool
		}{{&slow, false}, {&quick, true}} {
			if s, err = b.restartBalorg(s, dir, way.index, way.times); err != nil {
				return s, taken, err
			}
		}
	}
	started, err := s.usage()
	if err != nil {
		return s, taken, err
	}
	slices.Sort(quick)
	slices.Sort(slow)
	fmt.Fprintf(b.out, "balorg's memory: %d MB resident after it took the directory in, %d MB at most while it took it again, %d MB after a start\n", //nolint:errcheck // the terminal is gone
		after.resident/1e6, peak/1e6, started.resident/1e6)
	fmt.Fprintf(b.out, "balorg starts in %v with the file of its index and in %v without, %.1f ×\n\n", //nolint:errcheck // as above
		ms(quick[len(quick)/2]), ms(slow[len(slow)/2]), ratio(slow[len(slow)/2], quick[len(quick)/2]))
	return s, taken, nil
}

// importExtraction has the daemon take a file, and tells what that takes, with the command that asks for it.
func (b *bench) importExtraction(s *server, dir, file string) (m measure, err error) {
	before, err := s.usage()
	if err != nil {
		return m, err
	}
	start := time.Now()
	command := exec.CommandContext(b.ctx, b.binary, "directory", "import", file, "--force", "--config", filepath.Join(dir, "balorg.yaml"))
	if out, err := command.CombinedOutput(); err != nil {
		return m, fmt.Errorf("importing: %w\n%s", err, out)
	}
	m.wall = time.Since(start)
	after, err := s.usage()
	m.cpu = after.cpu - before.cpu + command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return m, err
}

// restartBalorg ends the daemon and starts it anew, with the file from which that is quick or without, until its listeners answer.
func (b *bench) restartBalorg(s *server, dir string, index bool, times *[]time.Duration) (*server, error) {
	if err := s.stop(); err != nil {
		return s, err
	}
	if !index {
		if err := os.Remove(filepath.Join(dir, "state", "directory", "national.idx")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	start := time.Now()
	next, err := b.spawnBalorg(dir)
	if err != nil {
		return s, err
	}
	*times = append(*times, time.Since(start))
	return next, nil
}

// forgetPeak has the system count anew how much memory the process has had at most (proc(5), clear_refs).
func (s *server) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.process.Process.Pid), []byte("5"), 0)
}

// peak is how much memory the process has had at most, in octets.
func (s *server) peak() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return number(strings.Fields(rest)[0]) << 10, nil
		}
	}
	return 0, errors.New("the system does not tell how much memory a process has had at most")
}
