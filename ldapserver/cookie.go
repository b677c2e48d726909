package ldapserver

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
)

// cookie is where a search by pages goes on (RFC 2696). It is sealed, for it holds a name that the client may not be allowed to see any more. Nothing is kept
// for it here: the next page is found anew, on the view of that moment.
type cookie struct {
	Query    []byte   `json:"q"` // hash of the search
	Person   string   `json:"p"`
	Mailbox  string   `json:"m"`
	Answered int      `json:"n"`
	Part     int      `json:"s"` // which part the last entry was of: containers are parts of their own
	Keys     [][]byte `json:"k"` // what it is sorted by; nil: none
	Name     []byte   `json:"c"` // its folded common name
	Mail     []byte   `json:"a"` // its address
}

// newSeal makes the key that cookies are sealed with: they hold as long as the process runs.
func newSeal() cipher.AEAD {
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // of the length of the key alone
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // as above
	}
	return gcm
}

// errCookie is a cookie that is not of this search.
var errCookie = errors.New("the cookie is not one of this search")

func (s *Server) sealCookie(k *cookie) ([]byte, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return s.seal.Seal(nil, nil, text, nil), nil
}

// openCookie reads a cookie that must be of the same search by the same person in the same mailbox.
func (c *conn) openCookie(query, sealed []byte) (*cookie, error) {
	fresh := c.newCookie(query)
	if len(sealed) == 0 {
		return fresh, nil
	}
	text, err := c.srv.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errCookie
	}
	k := new(cookie)
	if json.Unmarshal(text, k) != nil || string(k.Query) != string(fresh.Query) || k.Person != fresh.Person || k.Mailbox != fresh.Mailbox {
		return nil, errCookie
	}
	return k, nil
}

func (c *conn) newCookie(query []byte) *cookie {
	sum := sha256.Sum256(query)
	k := &cookie{Query: sum[:], Part: -1}
	if who := c.who.Load(); who != nil {
		k.Person, k.Mailbox = string(who.personID), string(who.mailboxID)
	}
	return k
}
