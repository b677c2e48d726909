package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params are the costs of one argon2id hash.
type params struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// standard is the second choice of OWASP's list and RFC 9106's spirit: 19 MiB, 2 passes, 30 ms on the machines we
// measured.
func standard() params { return params{memory: 19 * 1024, time: 2, threads: 1} }

const (
	saltOctets = 16
	keyOctets  = 32
	// Bounds on what a stored hash may ask for: it may come from another system's export.
	maxMemory = 64 * 1024
	maxTime   = 10
	maxKey    = 64
)

var errHashForm = errors.New("not an argon2id hash in PHC form")

// deriver computes the key of a password; tests count its calls.
type deriver func(password, salt []byte, p params, length uint32) []byte

func argon2id(password, salt []byte, p params, length uint32) []byte {
	return argon2.IDKey(password, salt, p.time, p.memory, p.threads, length)
}

// hashed is a stored password hash, read.
type hashed struct {
	params
	salt, key []byte
}

// newHash hashes a password under a fresh salt.
func newHash(password string, derive deriver) hashed {
	h := hashed{params: standard(), salt: make([]byte, saltOctets)}
	rand.Read(h.salt) // never fails (crypto/rand)
	h.key = derive([]byte(password), h.salt, h.params, keyOctets)
	return h
}

// dummyHash stands in for the hash of an account that has none. No password fits it: its key is random.
func dummyHash() hashed {
	h := hashed{params: standard(), salt: make([]byte, saltOctets), key: make([]byte, keyOctets)}
	rand.Read(h.salt)
	rand.Read(h.key)
	return h
}

// fits tells in constant time whether the password is the hash's.
func (h hashed) fits(password string, derive deriver) bool {
	key := derive([]byte(password), h.salt, h.params, uint32(len(h.key))) // at most maxKey
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// String is the PHC form: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func (h hashed) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt), b64(h.key))
}

// credential is the policy.Means.ID of sessions with the password. That each hash has a salt makes it tell nothing.
func (h hashed) credential() string {
	sum := sha256.Sum256([]byte(h.String()))
	return "password/" + hex.EncodeToString(sum[:8])
}

// parseHash reads the PHC form and refuses costs that would let one log-in take the machine.
func parseHash(s string) (hashed, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hashed{}, errHashForm
	}
	var h hashed
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) {
		return hashed{}, errHashForm
	}
	var err, err2 error
	h.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case err != nil, err2 != nil:
		return hashed{}, errHashForm
	case h.memory == 0, h.memory > maxMemory, h.time == 0, h.time > maxTime, h.threads == 0,
		len(h.salt) < 8, len(h.salt) > maxKey, len(h.key) < 16, len(h.key) > maxKey:
		return hashed{}, fmt.Errorf("argon2id hash with costs out of bounds: m=%d,t=%d,p=%d", h.memory, h.time, h.threads)
	}
	return h, nil
}
