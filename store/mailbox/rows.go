package mailbox

import (
	"encoding/binary"
	"errors"
	"fmt"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
)

// Keys. Numbers are big-endian, so that order of key is order of number; an account id has no slash.
//
//	m/v                                     the highest UIDVALIDITY given to any folder: 4 octets
//	m/o                                     the key that ids of objects are made with: 16 octets
//	m/a/<account>                           accountRow
//	m/n/<account>/<name>                    folder id
//	m/f/<account>/<folder:4>                folderRow
//	m/m/<account>/<folder:4><uid:4>         message
//	m/x/<account>/<folder:4><modseq:8>      the UIDs expunged with this modification sequence
//	m/c/<account>/<folder:4><modseq:8>      mark: the change of flags of many messages with this modification sequence
//	m/d/<body:8><n:1>                       structure of the message in a body, in pieces
//	m/h/<body:8><n:1>                       its header block
//	m/s/<account>/<folder:4><uid:4><uid:4><version:2>  Signature of the messages between two UIDs
const (
	keyValidity    = "m/v"
	keyObjects     = "m/o"
	tableAccount   = "m/a/"
	tableName      = "m/n/"
	tableFolder    = "m/f/"
	tableMessage   = "m/m/"
	tableExpunged  = "m/x/"
	tableMark      = "m/c/"
	tableStructure = "m/d/"
	tableHeader    = "m/h/"
	tableSignature = "m/s/"
)

// folderKey names a folder across accounts.
type folderKey struct {
	account mail.AccountID
	folder  uint32
}

func accountKey(id mail.AccountID) []byte { return append([]byte(tableAccount), id...) }

func accountPrefix(table string, id mail.AccountID) []byte {
	return append(append([]byte(table), id...), '/')
}

func nameKey(id mail.AccountID, name string) []byte {
	return append(accountPrefix(tableName, id), name...)
}

func (k folderKey) in(table string) []byte {
	return binary.BigEndian.AppendUint32(accountPrefix(table, k.account), k.folder)
}

func (k folderKey) message(uid uint32) []byte {
	return binary.BigEndian.AppendUint32(k.in(tableMessage), uid)
}

func (k folderKey) expunged(modseq uint64) []byte {
	return binary.BigEndian.AppendUint64(k.in(tableExpunged), modseq)
}

func bodyKey(table string, id body.ID, piece byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(table), uint64(id)), piece)
}

// lastUint32 is the number a key ends with.
func lastUint32(key []byte) uint32 {
	if len(key) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(key[len(key)-4:])
}

// rowVersion leads every row, so that a later form is told from this one. Rows that have had another form since have a number of their
// own; what was written before is read for ever.
const (
	rowVersion       = 1
	structureVersion = 2 // with References
	messageVersion   = 2 // with the time it was saved
	folderVersion    = 2 // with Unfolded
)

var errRow = errors.New("stored row is damaged")

// accountRow is what an account has in all.
type accountRow struct {
	LastFolder uint32 // the highest folder id given
	Messages   int64
	Octets     int64
}

func (r accountRow) encode() []byte {
	b := []byte{rowVersion}
	for _, v := range []uint64{uint64(r.LastFolder), uint64(r.Messages), uint64(r.Octets)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func decodeAccount(b []byte) (r accountRow, err error) {
	d := newDecoder(b)
	r.LastFolder = uint32(d.uint())
	r.Messages, r.Octets = int64(d.uint()), int64(d.uint())
	return r, d.end("account")
}

// folderRow is a folder with its counters. Its HighestModSeq grows by exactly one with each transaction that changes its
// messages: the index of an open folder relies on it to apply changes in their order.
type folderRow struct {
	Name          string
	SpecialUse    SpecialUse
	NoSelect      bool
	Dying         bool // deleted; its messages are being removed, its name is free
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	FirstRecent   uint32 // messages from this UID on have been in no read-write session
	Recent        uint32 // how many these are
	Size          int64
	Keywords      []string
	Unfolded      uint32 // what its marks weigh
}

func (r *folderRow) encode() []byte {
	b := appendText([]byte{folderVersion}, r.Name)
	b = appendText(b, string(r.SpecialUse))
	var bits uint64
	if r.NoSelect {
		bits |= 1
	}
	if r.Dying {
		bits |= 2
	}
	for _, v := range []uint64{
		bits, uint64(r.UIDValidity), uint64(r.UIDNext), r.HighestModSeq, uint64(r.Messages), uint64(r.Unseen),
		uint64(r.Deleted), uint64(r.FirstRecent), uint64(r.Recent), uint64(r.Size), uint64(len(r.Keywords)),
	} {
		b = binary.AppendUvarint(b, v)
	}
	for _, k := range r.Keywords {
		b = appendText(b, k)
	}
	return binary.AppendUvarint(b, uint64(r.Unfolded))
}

func decodeFolder(b []byte) (r folderRow, err error) {
	d, version := newDecoderOf(b, folderVersion)
	r.Name, r.SpecialUse = d.text(), SpecialUse(d.text())
	bits := d.uint()
	r.NoSelect, r.Dying = bits&1 != 0, bits&2 != 0
	r.UIDValidity, r.UIDNext, r.HighestModSeq = uint32(d.uint()), uint32(d.uint()), d.uint()
	r.Messages, r.Unseen, r.Deleted = uint32(d.uint()), uint32(d.uint()), uint32(d.uint())
	r.FirstRecent, r.Recent, r.Size = uint32(d.uint()), uint32(d.uint()), int64(d.uint())
	for range min(d.uint(), MaxKeywords) {
		r.Keywords = append(r.Keywords, d.text())
	}
	if version > rowVersion {
		r.Unfolded = uint32(d.uint())
	}
	return r, d.end("folder")
}

// folder is the row as callers see it.
func (r *folderRow) folder(id uint32) Folder {
	return Folder{
		ID: id, Name: r.Name, SpecialUse: r.SpecialUse, NoSelect: r.NoSelect, UIDValidity: r.UIDValidity, UIDNext: r.UIDNext,
		HighestModSeq: r.HighestModSeq, Messages: r.Messages, Unseen: r.Unseen, Deleted: r.Deleted, Recent: r.Recent,
		Size: r.Size, Keywords: r.Keywords,
	}
}

// message is one message of a folder: its row, and its entry in the index of an open folder.
type message struct {
	UID    uint32 // not in the row: the key says it
	Saved  uint32 // when it was put into the folder, Unix seconds; 0: not known
	Zone   int16  // of the internal date, minutes east
	Flags  Flags
	ModSeq uint64
	Size   int64
	Date   int64 // internal date, Unix seconds
	Body   body.ID
}

func (m *message) encode() []byte {
	b := make([]byte, 0, 48)
	b = append(b, messageVersion, byte(m.Flags.System))
	b = binary.AppendUvarint(b, m.Flags.Keywords)
	b = binary.AppendUvarint(b, m.ModSeq)
	b = binary.AppendUvarint(b, uint64(m.Size))
	b = binary.AppendVarint(b, m.Date)
	b = binary.AppendVarint(b, int64(m.Zone))
	b = binary.AppendUvarint(b, uint64(m.Body))
	return binary.AppendUvarint(b, uint64(m.Saved))
}

func decodeMessage(uid uint32, b []byte) (m message, err error) {
	d, version := newDecoderOf(b, messageVersion)
	m.UID = uid
	m.Flags = Flags{System(d.byte()), d.uint()}
	m.ModSeq, m.Size = d.uint(), int64(d.uint())
	m.Date, m.Zone = d.int(), int16(d.int())
	m.Body = body.ID(d.uint())
	if version > rowVersion {
		m.Saved = uint32(d.uint())
	}
	return m, d.end("message")
}

func encodeUIDs(uids []uint32) []byte {
	b := []byte{rowVersion}
	last := uint32(0)
	for _, uid := range uids {
		b = binary.AppendUvarint(b, uint64(uid-last))
		last = uid
	}
	return b
}

func decodeUIDs(b []byte) (uids []uint32, err error) {
	d := newDecoder(b)
	last := uint32(0)
	for !d.bad && len(d.b) > 0 {
		last += uint32(d.uint())
		uids = append(uids, last)
	}
	return uids, d.end("expunged UIDs")
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads a row; once bad it answers zeroes.
type decoder struct {
	b   []byte
	bad bool
}

func newDecoder(b []byte) decoder {
	if len(b) == 0 || b[0] != rowVersion {
		return decoder{bad: true}
	}
	return decoder{b: b[1:]}
}

// newDecoderOf is newDecoder for a row of any version up to the latest.
func newDecoderOf(b []byte, latest byte) (d decoder, version byte) {
	if len(b) == 0 || b[0] < rowVersion || b[0] > latest {
		return decoder{bad: true}, 0
	}
	return decoder{b: b[1:]}, b[0]
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// bytes answers a slice of the row.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) end(what string) error {
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%s: %w", what, errRow)
	}
	return nil
}

func readAccount(r store.Reader, id mail.AccountID) (accountRow, error) {
	b, err := r.Get(accountKey(id))
	if err != nil {
		return accountRow{}, fmt.Errorf("read account %s: %w", id, err)
	}
	return decodeAccount(b)
}

// readFolder answers ErrNoFolder when there is none or it is being deleted.
// readValidity answers the highest UIDVALIDITY given, 0 before the first.
func readValidity(r store.Reader) (uint32, error) {
	b, err := r.Get([]byte(keyValidity))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read UIDVALIDITY: %w", err)
	}
	if len(b) != 4 {
		return 0, errRow
	}
	return binary.BigEndian.Uint32(b), nil
}

func readFolder(r store.Reader, key folderKey) (folderRow, error) {
	b, err := r.Get(key.in(tableFolder))
	if errors.Is(err, store.ErrNotFound) {
		return folderRow{}, ErrNoFolder
	}
	if err != nil {
		return folderRow{}, fmt.Errorf("read folder: %w", err)
	}
	row, err := decodeFolder(b)
	if err == nil && row.Dying {
		err = ErrNoFolder
	}
	return row, err
}

// findFolder answers the folder of that name.
func findFolder(r store.Reader, id mail.AccountID, name string) (folderKey, error) {
	b, err := r.Get(nameKey(id, name))
	if errors.Is(err, store.ErrNotFound) {
		return folderKey{}, ErrNoFolder
	}
	if err != nil {
		return folderKey{}, fmt.Errorf("find folder: %w", err)
	}
	return folderKey{id, lastUint32(b)}, nil
}

// scanMessages yields the folder's messages from UID from on, with the marks over them, until fn answers false.
func scanMessages(r store.Reader, key folderKey, over marks, from uint32, fn func(message) bool) error {
	for k, v := range r.Scan(key.message(from), store.PrefixEnd(key.in(tableMessage))) {
		m, err := decodeMessage(lastUint32(k), v)
		if err != nil {
			return err
		}
		over.lay(&m)
		if !fn(m) {
			break
		}
	}
	return r.Err()
}

// dense is how far apart the wanted rows of a run may be on average for a scan to beat single reads: a step of a scan takes
// about a tenth of a read.
const dense = 8

// readMessages answers those of uids (ascending) that the folder has, with the marks over them.
func readMessages(r store.Reader, key folderKey, over marks, uids []uint32) ([]message, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	found := make([]message, 0, len(uids))
	if span := int64(uids[len(uids)-1]) - int64(uids[0]); span <= dense*int64(len(uids)) {
		i := 0
		err := scanMessages(r, key, over, uids[0], func(m message) bool {
			for i < len(uids) && uids[i] < m.UID {
				i++
			}
			if i < len(uids) && uids[i] == m.UID {
				found = append(found, m)
			}
			return i < len(uids)
		})
		return found, err
	}
	for _, uid := range uids {
		b, err := r.Get(key.message(uid))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read message: %w", err)
		}
		m, err := decodeMessage(uid, b)
		if err != nil {
			return nil, err
		}
		over.lay(&m)
		found = append(found, m)
	}
	return found, nil
}
