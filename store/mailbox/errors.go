package mailbox

import "errors"

// The errors of this package. Callers compare with errors.Is; store.ErrFull and store.ErrUnavailable pass through.
var (
	// ErrNoFolder: no such folder, or the folder of a view has been deleted.
	ErrNoFolder = errors.New("no such folder")
	// ErrFolderExists: the name is taken.
	ErrFolderExists = errors.New("folder exists already")
	// ErrBadName: the name is empty, too long, has an empty level or a control character.
	ErrBadName = errors.New("folder name is not valid")
	// ErrNoSelect: the folder is only a level of the hierarchy and holds no messages.
	ErrNoSelect = errors.New("folder cannot be selected")
	// ErrHasChildren: a folder that is only a level is not deleted while folders stand below it.
	ErrHasChildren = errors.New("folder has children")
	// ErrInbox: INBOX is not deleted, and nothing is renamed over it or below itself.
	ErrInbox = errors.New("INBOX cannot be deleted or replaced")
	// ErrUseTaken: another folder has the special use that a new one is to have.
	ErrUseTaken = errors.New("special use is taken")
	// ErrTooManyFolders: the account has as many folders as it may have.
	ErrTooManyFolders = errors.New("too many folders")
	// ErrOverQuota: the messages would take more than the mailbox's quota.
	ErrOverQuota = errors.New("mailbox is over its quota")
	// ErrTooLarge: one message is larger than the limit.
	ErrTooLarge = errors.New("message is too large")
	// ErrReadOnly: the view was opened read-only.
	ErrReadOnly = errors.New("folder is open read-only")
	// ErrBadFlag: a flag is neither a system flag nor a keyword this package takes.
	ErrBadFlag = errors.New("flag is not valid")
	// ErrTooManyKeywords: the folder has as many different keywords as it may have.
	ErrTooManyKeywords = errors.New("too many keywords in the folder")
	// ErrExpunged: the message is known to the view but has been expunged meanwhile.
	ErrExpunged = errors.New("message has been expunged")
	// ErrUnreadable: the message is in the folder, and what it says is damaged or lost. Check names it.
	ErrUnreadable = errors.New("message is damaged in the store")
	// ErrNoMessage: no message has this sequence number or UID.
	ErrNoMessage = errors.New("no such message")
	// ErrUIDsUsedUp: the folder has given its last UID.
	ErrUIDsUsedUp = errors.New("folder has no UID left")
)
