package header

import (
	"crypto/sha256"
	"hash"
	"io"
)

// Hash is the SHA-256 of a message's body: of all octets behind the empty line that ends its header.
type Hash [sha256.Size]byte

// Hashing is a body that is hashed as it is read.
type Hashing struct {
	r    io.Reader
	hash hash.Hash
}

// NewHashing hashes what is read of body through it.
func NewHashing(body io.Reader) *Hashing { return &Hashing{r: body, hash: sha256.New()} }

// Read implements io.Reader.
func (h *Hashing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	return n, err
}

// Sum is the hash of what has been read so far.
func (h *Hashing) Sum() (sum Hash) {
	h.hash.Sum(sum[:0])
	return sum
}
