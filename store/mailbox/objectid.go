package mailbox

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"balorg/mail"
	"balorg/store"
	"balorg/store/body"
)

// ObjectIDs makes the ids by which IMAP names mailboxes and messages for good (RFC 8474). They are made with a key of the state's own, so that
// nobody learns from them how many messages there are, or which came after which; no two objects of a state have the same.
type ObjectIDs struct {
	key   []byte
	block cipher.Block
}

// objects is what a Store keeps of them.
type objects struct {
	mu  sync.Mutex
	ids *ObjectIDs
}

// ObjectIDs answers the makers of ids, whose key is made on first use.
func (s *Store) ObjectIDs(ctx context.Context) (*ObjectIDs, error) {
	s.objects.mu.Lock()
	defer s.objects.mu.Unlock()
	if s.objects.ids != nil {
		return s.objects.ids, nil
	}
	var key []byte
	read := func(r store.Reader) (err error) {
		key, err = r.Get([]byte(keyObjects))
		return err
	}
	err := s.st.View(ctx, read)
	if errors.Is(err, store.ErrNotFound) {
		// A full disk keeps nobody from reading, and this is sixteen octets, once.
		err = s.st.Reclaim(ctx, func(tx store.Writer) error {
			if err := read(tx); !errors.Is(err, store.ErrNotFound) {
				return err // somebody else was first
			}
			key = make([]byte, aes.BlockSize)
			rand.Read(key)
			return tx.Set([]byte(keyObjects), key)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("key of object ids: %w", err)
	}
	key = append([]byte(nil), key...) // what a reader answers is its own
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of object ids: %w", err)
	}
	s.objects.ids = &ObjectIDs{key, block}
	return s.objects.ids, nil
}

// Mailbox is the id of a folder: whatever it is called, it keeps it.
func (o *ObjectIDs) Mailbox(account mail.AccountID, folder uint32) string {
	h := hmac.New(sha256.New, o.key)
	h.Write(folderKey{account, folder}.in(tableFolder))
	return "F" + hex.EncodeToString(h.Sum(nil)[:aes.BlockSize])
}

// Email is the id of a message's content, which copies share.
func (o *ObjectIDs) Email(id body.ID) string {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[8:], uint64(id))
	o.block.Encrypt(b[:], b[:])
	return "M" + hex.EncodeToString(b[:])
}

// Content answers whose id Email made; false when it is none.
func (o *ObjectIDs) Content(email string) (body.ID, bool) {
	if len(email) != 1+2*aes.BlockSize || email[0] != 'M' {
		return 0, false
	}
	b, err := hex.DecodeString(email[1:])
	if err != nil {
		return 0, false
	}
	o.block.Decrypt(b, b)
	id := body.ID(binary.BigEndian.Uint64(b[8:]))
	return id, o.Email(id) == email
}
