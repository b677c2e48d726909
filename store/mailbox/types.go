package mailbox

import (
	"time"

	"balorg/store/body"
)

// SpecialUse is a folder's special use (RFC 6154) as IMAP writes it, empty for none.
type SpecialUse string

// The special uses this package creates or takes.
const (
	NoUse   SpecialUse = ""
	Drafts  SpecialUse = `\Drafts`
	Sent    SpecialUse = `\Sent`
	Junk    SpecialUse = `\Junk`
	Trash   SpecialUse = `\Trash`
	Archive SpecialUse = `\Archive`
)

// Folder is a folder and its counters at one moment.
type Folder struct {
	ID            uint32 // never changes and is never given again in the account
	Name          string // UTF-8, levels separated by Delimiter; the inbox is "INBOX"
	SpecialUse    SpecialUse
	NoSelect      bool // a level of the hierarchy only: the counters are zero
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	Recent        uint32
	Size          int64 // octets of all messages
	Keywords      []string
}

// Delimiter separates the levels of a folder's name.
const Delimiter = '/'

// Inbox is the name of the folder every account has.
const Inbox = "INBOX"

// Usage is what an account holds, and may hold.
type Usage struct {
	Messages int64
	Octets   int64
	Limit    int64 // octets, 0: none
}

// Placed says where a delivered message is.
type Placed struct {
	Folder      uint32
	UIDValidity uint32
	UID         uint32
	ModSeq      uint64
	Body        body.ID
}

// Copied says what Copy and Move did: Source[i] became Target[i], both ascending.
type Copied struct {
	UIDValidity uint32
	Source      []uint32
	Target      []uint32
}

// Meta is what a view knows of a message without touching the disk.
type Meta struct {
	UID    uint32
	Flags  Flags
	Recent bool // \Recent in this session
	ModSeq uint64
	Size   int64
	Date   time.Time // internal date, with the zone it was given in
	Saved  time.Time // when it was put into the folder; zero: it came before that was noted
	Body   body.ID
}

// EventKind says what an Event is.
type EventKind uint8

// What a view's session has to tell its client.
const (
	// EventExpunge: message Seq is gone and all later ones move down by one. Events of this kind come first and are to be told
	// in order.
	EventExpunge EventKind = iota
	// EventExists: the view holds Seq messages now.
	EventExists
	// EventRecent: Seq messages of the view are \Recent.
	EventRecent
	// EventKeywords: the folder's list of keywords grew (View.Keywords).
	EventKeywords
	// EventFlags: the flags of message Seq changed.
	EventFlags
)

// Event is one change of a view.
type Event struct {
	Kind EventKind
	Seq  uint32 // sequence number or count, see EventKind
	UID  uint32 // of EventExpunge and EventFlags
}

// Want says what Details reads.
type Want uint8

// The two rows of a message's detail: read only what is needed.
const (
	WantStructure Want = 1 << iota // Envelope, Body, BodyStructure, Section
	WantHeader                     // Header
)
