package store

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// journal makes batches durable before the engine gets them: one record each, one sync, of one or more, of a file whose blocks are there already. The
// engine, which would sync two mapped files for it, syncs nothing of its own but tables; at a checkpoint its logs are synced, and the
// journal begins anew at its start.
//
// The state is what the engine holds with the journal's records applied over it, in order. A record sets or deletes whole values, so that
// applying one twice, or over what came after it, followed by what came after it, changes nothing.
//
// A record is, numbers big-endian:
//
//	CRC-32C 4   of what follows
//	length  4   of the payload
//	salt    8   random, of this opening: what an old record holds, such as a message that somebody sent, cannot pass for a record
//	number  8   one more than the record before
//	payload     for each key: 0 (set) or 1 (delete), length and key, length and value; lengths as uvarint
//
// The journal ends before the first octets that are no such record: what is behind them is of before the last checkpoint, or was cut off
// while it was written and never answered for, or answered for by Note.
type journal struct {
	file   *os.File
	salt   [8]byte
	number uint64 // of the last record
	end    int64  // where the next record begins
	size   int64  // of the file: all of it has been written to
	buf    []byte
	since  time.Time            // when the first record was written that is not synced; zero: all are
	timed  bool                 // somebody will call flush
	sync   func(*os.File) error // replaced by tests that need a disk that fails
}

const (
	journalName   = "journal"
	journalHeader = 4 + 4 + 8 + 8
	journalLimit  = 16 << 20              // a checkpoint follows: what a start may have to apply again
	journalGrowth = 1 << 20               // the file grows by zeros, so that most syncs have nothing to say about its size and blocks
	journalPiece  = 64 << 10              // of the zeros: a large one would be garbage for long
	journalKeep   = 512 << 10             // a larger buffer is not kept
	journalLag    = 20 * time.Millisecond // a record is synced so much later than it was written at the latest
)

// errJournal is what replay answers of a record that is whole and makes no sense.
var errJournal = errors.New("the journal holds a record that is none")

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// openJournal opens the journal of a folder, or makes an empty one.
func openJournal(dir string) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, sync: datasync}
	rand.Read(j.salt[:]) // never fails (crypto/rand)
	return j, nil
}

// replay calls apply for each record in order.
func (j *journal) replay(apply func([]change) error) (records int, err error) {
	in := bufio.NewReader(io.NewSectionReader(j.file, 0, 1<<62))
	var salt [8]byte
	var number uint64
	for {
		record, ok, err := readRecord(in)
		if err != nil || !ok {
			return records, err
		}
		at := binary.BigEndian.Uint64(record[16:])
		if records == 0 {
			salt = [8]byte(record[8:])
		} else if [8]byte(record[8:]) != salt || at != number+1 {
			return records, nil // of before the last checkpoint
		}
		number = at
		changes, err := decodeChanges(record[journalHeader:])
		if err != nil {
			return records, err
		}
		if err := apply(changes); err != nil {
			return records, err
		}
		records++
	}
}

// readRecord answers the next record, not ok where none is whole.
func readRecord(in io.Reader) (record []byte, ok bool, err error) {
	record = make([]byte, journalHeader)
	if _, err := io.ReadFull(in, record); err != nil {
		return nil, false, beyond(err)
	}
	n := binary.BigEndian.Uint32(record[4:])
	if n == 0 || n > 2*MaxTx {
		return nil, false, nil
	}
	record = append(record, make([]byte, n)...)
	if _, err := io.ReadFull(in, record[journalHeader:]); err != nil {
		return nil, false, beyond(err)
	}
	return record, castagnoli(record[4:]) == binary.BigEndian.Uint32(record), nil
}

// beyond is the error of a read, without those that say that the file ends here.
func beyond(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read the journal: %w", err)
}

// change is one key of a record.
type change struct {
	key, value []byte
	deleted    bool
}

func decodeChanges(b []byte) ([]change, error) {
	var all []change
	field := func() ([]byte, bool) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, false
		}
		f := b[used : used+int(n)]
		b = b[used+int(n):]
		return f, true
	}
	for len(b) > 0 {
		c := change{deleted: b[0] == 1}
		if b[0] > 1 {
			return nil, errJournal
		}
		b = b[1:]
		var ok1, ok2 bool
		c.key, ok1 = field()
		c.value, ok2 = field()
		if !ok1 || !ok2 || len(c.key) == 0 {
			return nil, errJournal
		}
		all = append(all, c)
	}
	return all, nil
}

// append writes the writes of a batch, and syncs nothing. After an error the journal is of no more use: what the disk holds of the record is unknown.
func (j *journal) append(o *overlay) error {
	j.encode(o)
	if _, err := j.file.WriteAt(j.buf, j.end); err != nil {
		return err
	}
	j.end += int64(len(j.buf))
	if cap(j.buf) > journalKeep {
		j.buf = nil
	}
	if j.end >= j.size {
		if err := j.grow(journalPiece); err != nil {
			return err
		}
	}
	if j.since.IsZero() {
		j.since = time.Now()
	}
	return nil
}

// flush makes durable what has been written. After an error the journal is of no more use.
func (j *journal) flush() error {
	if j.since.IsZero() {
		return nil
	}
	j.since = time.Time{}
	return j.sync(j.file)
}

// flushLater has what has been written synced in time, where nobody does it before. The caller writes alone.
func (db *DB) flushLater(j *journal) {
	if j.since.IsZero() || j.timed {
		return
	}
	j.timed = true
	time.AfterFunc(journalLag-time.Since(j.since), func() { db.flushDue(j) })
}

// flushDue syncs what has waited for long enough.
func (db *DB) flushDue(j *journal) {
	db.between(db.ctx, func(e *engine) error { //nolint:errcheck // an error is logged, and the end of the engine; a closed one has synced all
		if e.journal != j {
			return nil // it was opened anew meanwhile
		}
		j.timed = false
		if !j.since.IsZero() && time.Since(j.since) >= journalLag {
			return j.flush()
		}
		db.flushLater(j) // what came since has its own time
		return nil
	})
}

func (j *journal) encode(o *overlay) {
	j.number++
	b := append(j.buf[:0], make([]byte, 8)...)
	b = append(b, j.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, j.number)
	for key, e := range o.entries {
		op := byte(0)
		if e.deleted {
			op = 1
		}
		b = append(b, op)
		b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
		b = append(binary.AppendUvarint(b, uint64(len(e.value))), e.value...)
	}
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-journalHeader))
	binary.BigEndian.PutUint32(b, castagnoli(b[4:]))
	j.buf = b
}

// grow writes zeros, as many at a time as piece says, behind the last record, which has reached the end of the file. They are no constant
// number: those the compiler would put on the stack of whoever commits, such as a session that is idle for hours then, with a stack of 128 KiB.
func (j *journal) grow(piece int) error {
	zeros := make([]byte, piece)
	for j.size = j.end; j.size < j.end+journalGrowth; j.size += int64(piece) {
		if _, err := j.file.WriteAt(zeros, j.size); err != nil {
			return err
		}
	}
	return nil
}

// restart begins anew at the start of the file, once the engine's logs are durable. What is there is written over, its first record at once
// and durably: were the power cut while the next record is written, of which the disk may hold the second block and not yet the first, the
// first of the old records would be found whole there, and applied without those that came after it.
func (j *journal) restart() error {
	if _, err := j.file.WriteAt(make([]byte, journalHeader), 0); err != nil {
		return err
	}
	j.end = 0
	return j.sync(j.file)
}

// clear empties the file, once all of it is durable in the engine.
func (j *journal) clear() error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.end, j.size = 0, 0
	return j.file.Sync()
}

// datasync is fdatasync(2): it leaves out times, with which each sync would write the file's inode.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// syncLogs makes durable what the engine has been given so far and has not made a table of.
func syncLogs(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, name := range append(names, dir) {
		if err := syncFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // it became a table, synced, meanwhile
			return err
		}
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
