package store

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultMinFree leaves room for what Badger maps into memory and a full disk would make fault: logs of mem tables, their tables at level
	// zero, and a compaction that writes anew before it deletes; and for the journal, whose values a start after a crash writes once more, and for
	// what a sweep moves.
	defaultMinFree = 256 << 20
	// reclaimShare of the guard is kept even from transactions that free space: their tombstones go through the same logs.
	reclaimShare = 4
	// spaceAge is how old a reading of the free space may be.
	spaceAge = time.Second
	// writeAmplification is what an octet written counts until the next reading: journal, log, level zero, one compaction. Large values take less.
	writeAmplification = 4
)

// space guards the free space of the state's disk. An engine that maps its files is killed by a full disk (SIGBUS), so
// writes stop while there is room left.
type space struct {
	minFree int64
	read    func() (int64, error) // nil: there is no disk

	mu      sync.Mutex
	free    int64
	at      time.Time
	written int64 // by the engine since the reading
	files   int64 // reserved for files since the reading
}

// allows answers ErrFull when the free space is below the guard, or for a reclaiming transaction below its share of it.
func (s *space) allows(reclaim bool) error {
	need := s.minFree
	if reclaim {
		need /= reclaimShare
	}
	return s.room(need)
}

func (s *space) room(need int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.look(need)
}

// reserve is room for n octets of files above need. They count as written from now on: a reading is a second old, in which
// files could take all the guard keeps.
func (s *space) reserve(need, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.look(need + n)
	if err == nil {
		s.files += n
	}
	return err
}

// look compares what is left, read anew when it is old or too little, with need. The caller holds s.mu.
func (s *space) look(need int64) error {
	if s.read == nil {
		return nil
	}
	left := s.free - s.written*writeAmplification - s.files
	if left < need || time.Since(s.at) > spaceAge || s.at.IsZero() {
		free, err := s.read()
		if err != nil {
			return fmt.Errorf("read the free space of the state's disk: %w", err)
		}
		s.free, s.at, s.written, s.files = free, time.Now(), 0, 0
		left = free
	}
	if left < need {
		return ErrFull
	}
	return nil
}

func (s *space) wrote(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += int64(n)
}

// statfs answers the octets an unprivileged process can still write below dir.
func statfs(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
