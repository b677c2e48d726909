package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// segments keep large values out of Badger, where each goes through a mem table, level zero and compactions, and through the memory that all of
// these take. A value under PrefixLarge is appended to a file instead, and Badger's value is its place there.
//
// A segment is the octets of values, one behind the other. Nothing is written to one that an earlier opening began: what is at its end may have
// been lost with the power. The journal has every value that was written since the last checkpoint, which syncs the segments too; a start writes
// those once more, wherever their places were. So a place that counts names octets that are durable, or that the journal holds as well.
//
// A value that is deleted stays where it is until sweep (sweep.go) finds that little of its segment is left.
type segments struct {
	dir     string
	next    uint32     // number of the next one; of who writes alone, as what follows
	current *segment   // nil: the next value begins one
	dirty   []*segment // written to since the last sync
	limit   int64      // segmentLimit, but in tests
	sync    func(*os.File) error

	freed atomic.Int64 // octets of values deleted since the last sweep
	live  atomic.Int64 // octets that the last sweep found alive
}

// segment is a file that is written to.
type segment struct {
	file    *os.File
	size    int64
	started int64 // octets whose way to the disk has begun
}

const (
	apartFrom     = 1 << 10  // octets of a value from which on a read of its own costs less than its way through Badger
	streamFrom    = 16 << 10 // of one from which on its reader reads it piece by piece
	segmentLimit  = 64 << 20 // one that has reached it gets no more
	segmentStep   = 1 << 20  // octets that go on their way to the disk at once, so that a checkpoint finds few that have not
	segmentSuffix = ".values"
	metaApart     = 1 // of a Badger entry whose value is a place
	placeSize     = 4 * 4
)

// errPlace is what a read answers of a value whose octets are not what was written.
var errPlace = errors.New("the octets of a value have changed")

// place is where a value is.
type place struct {
	segment, offset, length uint32
	sum                     uint32 // CRC-32C
}

func (p place) encode() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, placeSize), p.segment)
	b = binary.BigEndian.AppendUint32(b, p.offset)
	b = binary.BigEndian.AppendUint32(b, p.length)
	return binary.BigEndian.AppendUint32(b, p.sum)
}

func decodePlace(b []byte) (place, error) {
	if len(b) != placeSize {
		return place{}, fmt.Errorf("place of a value has %d octets", len(b))
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	return place{field(0), field(1), field(2), field(3)}, nil
}

// placeOf answers where the value of an item is, false for one that is in Badger itself.
func placeOf(item *badger.Item) (p place, apart bool, err error) {
	if item.UserMeta() != metaApart {
		return p, false, nil
	}
	err = item.Value(func(b []byte) (err error) {
		p, err = decodePlace(b)
		return err
	})
	return p, true, err
}

// openSegments looks for the segments of a folder.
func openSegments(dir string) (*segments, error) {
	s := &segments{dir: dir, limit: segmentLimit, sync: datasync}
	all, err := s.list()
	if err != nil {
		return nil, err
	}
	for number := range all {
		s.next = max(s.next, number+1)
	}
	return s, nil
}

// list answers the segments there are, with their sizes.
func (s *segments) list() (map[uint32]int64, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list the segments: %w", err)
	}
	all := make(map[uint32]int64)
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), segmentSuffix)
		number, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a sweep has removed it
		}
		if err != nil {
			return nil, fmt.Errorf("list the segments: %w", err)
		}
		all[uint32(number)] = info.Size()
	}
	return all, nil
}

// size is how many octets all of them take, as far as that can be told.
func (s *segments) size() (sum int64) {
	if s == nil {
		return 0
	}
	all, err := s.list()
	if err != nil {
		return 0
	}
	for _, n := range all {
		sum += n
	}
	return sum
}

func (s *segments) path(number uint32) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d%s", number, segmentSuffix))
}

// append writes a value. It syncs nothing.
func (s *segments) append(value []byte) (place, error) {
	if s.current != nil && s.current.size >= s.limit {
		s.current = nil
	}
	if s.current == nil {
		f, err := os.OpenFile(s.path(s.next), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return place{}, fmt.Errorf("begin a segment: %w", err)
		}
		s.next++
		s.current = &segment{file: f}
		s.dirty = append(s.dirty, s.current)
	}
	if len(s.dirty) == 0 {
		s.dirty = append(s.dirty, s.current)
	}
	at := place{segment: s.next - 1, offset: uint32(s.current.size), length: uint32(len(value)), sum: castagnoli(value)}
	if _, err := s.current.file.WriteAt(value, s.current.size); err != nil {
		return place{}, fmt.Errorf("write a value to its segment: %w", err)
	}
	s.current.size += int64(len(value))
	return at, s.current.start()
}

// start has the system begin to write what it has been given. It waits for nothing, and makes nothing durable.
func (s *segment) start() error {
	n := s.size - s.started
	if n < segmentStep {
		return nil
	}
	err := unix.SyncFileRange(int(s.file.Fd()), s.started, n, unix.SYNC_FILE_RANGE_WRITE)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) { // it is for speed: a sandbox may not have it
		return fmt.Errorf("write a segment to the disk: %w", err)
	}
	s.started = s.size
	return nil
}

// settle makes durable what has been written. The folder is not: syncLogs does that.
func (s *segments) settle() error {
	for _, d := range s.dirty {
		err := s.sync(d.file)
		if d != s.current {
			err = errors.Join(err, d.file.Close())
		}
		if err != nil {
			return fmt.Errorf("make values durable: %w", err)
		}
	}
	s.dirty = s.dirty[:0]
	return nil
}

// openFile is os.Open for a regular file of ours: that would first try to have the runtime wait for it as for a socket, which is six calls of the
// system more.
func openFile(name string) (*os.File, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// read answers a value. Segments are opened for each read: there are as many of them as the mail takes up 64 MiB.
func (s *segments) read(at place) ([]byte, error) {
	f, err := openFile(s.path(at.segment))
	if err != nil {
		return nil, fmt.Errorf("read a value: %w", err)
	}
	defer func() { _ = f.Close() }()
	value := make([]byte, at.length)
	if _, err := f.ReadAt(value, int64(at.offset)); err != nil {
		return nil, fmt.Errorf("read a value: %w", err)
	}
	if castagnoli(value) != at.sum {
		return nil, fmt.Errorf("read a value: %w", errPlace)
	}
	return value, nil
}

// open opens a value. A large one is not read now, nor is its sum compared: who reads it whole does so.
func (s *segments) open(at place) (*Value, error) {
	if at.length < streamFrom {
		value, err := s.read(at)
		return newValue(value), err
	}
	f, err := openFile(s.path(at.segment))
	if err != nil {
		return nil, fmt.Errorf("open a value: %w", err)
	}
	return NewFileValue(f, int64(at.offset), int64(at.length)), nil
}

// close gives the files back.
func (s *segments) close() error {
	if s == nil {
		return nil
	}
	var err error
	for _, d := range s.dirty {
		if d != s.current {
			err = errors.Join(err, d.file.Close())
		}
	}
	if s.current != nil {
		err = errors.Join(err, s.current.file.Close())
	}
	s.current, s.dirty = nil, nil
	return err
}
