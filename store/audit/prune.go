package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"balorg/store"
)

// DefaultRetention is how long records are kept: six months.
const DefaultRetention = 182 * 24 * time.Hour

// pruneChunk is how many records leave in one transaction.
const pruneChunk = 2000

// checkpoint stands for the records that left the trace by age.
type checkpoint struct {
	Seq    uint64    `json:"seq"`    // of the last of them
	Hash   string    `json:"hash"`   // of the same, in hexadecimal
	Before time.Time `json:"before"` // they were older
	Pruned time.Time `json:"pruned"` // when they left
	Key    string    `json:"key"`    // Ed25519 public key, in hexadecimal
	// Signature of the JSON of this object with an empty signature, in hexadecimal.
	Signature string `json:"signature"`
}

func (c checkpoint) signed() ([]byte, error) {
	c.Signature = ""
	return json.Marshal(c)
}

// Prune lets the records older than before leave and answers how many did. It stops at the first one that is not older: what
// is kept is a chain without holes. A chain that is already broken where it begins is not pruned.
func (l *Log) Prune(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for {
		var n int
		err := l.st.Reclaim(ctx, func(tx store.Writer) (err error) {
			n, err = pruneSome(ctx, tx, before)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("prune the trace: %w", err)
		}
		total += n
		if n < pruneChunk {
			return total, nil
		}
	}
}

func pruneSome(ctx context.Context, tx store.Writer, before time.Time) (int, error) {
	at, err := readCheckpoint(tx)
	if err != nil {
		return 0, err
	}
	prefix := recordPrefix()
	n := 0
	for k, v := range tx.Scan(prefix, store.PrefixEnd(prefix)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		s, err := follow(at, k, v)
		if err != nil {
			return 0, err
		}
		r, err := s.record()
		if err != nil {
			return 0, err
		}
		if n == pruneChunk || !r.Time.Before(before) {
			break
		}
		for _, gone := range append(indexKeys(r), recordKey(s.seq)) {
			if err := tx.Delete(gone); err != nil {
				return 0, err
			}
		}
		at = position{s.seq, s.hash}
		n++
	}
	if err := tx.Err(); err != nil || n == 0 {
		return 0, err
	}
	if err := pruneHours(tx, at.seq); err != nil {
		return 0, err
	}
	return n, writeCheckpoint(tx, at, before)
}

// pruneHours removes the hours of which no record is left.
func pruneHours(tx store.Writer, last uint64) error {
	for k, v := range tx.Scan(hourPrefix(), store.PrefixEnd(hourPrefix())) {
		h, err := decodeHour(v)
		if err != nil {
			return err
		}
		if h.first > last {
			break // hours whose clock was set back come later and are found by a later pruning
		}
		if h.last > last {
			continue
		}
		if err := tx.Delete(append([]byte(nil), k...)); err != nil {
			return err
		}
	}
	return tx.Err()
}

func writeCheckpoint(tx store.Writer, at position, before time.Time) error {
	key, err := signingKey(tx)
	if err != nil {
		return err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("key of checkpoints is not an Ed25519 key")
	}
	c := checkpoint{
		Seq: at.seq, Hash: hex.EncodeToString(at.hash[:]), Before: before, Pruned: time.Now(), Key: hex.EncodeToString(public),
	}
	text, err := c.signed()
	if err != nil {
		return fmt.Errorf("checkpoint of the trace: %w", err)
	}
	c.Signature = hex.EncodeToString(ed25519.Sign(key, text))
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("checkpoint of the trace: %w", err)
	}
	return tx.Set(checkpointKey(), b)
}

// signingKey answers the key of checkpoints, made when it is first needed.
func signingKey(tx store.Writer) (ed25519.PrivateKey, error) {
	seed, err := tx.Get(seedKey())
	if errors.Is(err, store.ErrNotFound) {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails (crypto/rand)
		err = tx.Set(seedKey(), seed)
	}
	if err != nil {
		return nil, fmt.Errorf("key of checkpoints: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("key of checkpoints has %d octets", len(seed))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// readCheckpoint answers where the chain that is kept begins: after the checkpoint, or at the very beginning. Its error is
// damage when the checkpoint is not as it was signed.
func readCheckpoint(r store.Reader) (position, error) {
	b, err := r.Get(checkpointKey())
	if errors.Is(err, store.ErrNotFound) {
		return position{}, nil
	}
	if err != nil {
		return position{}, fmt.Errorf("checkpoint of the trace: %w", err)
	}
	seed, err := r.Get(seedKey())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return position{}, fmt.Errorf("key of checkpoints: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(b, &c); err != nil {
		return position{}, damaged("the checkpoint cannot be read: %v", err)
	}
	if len(seed) != ed25519.SeedSize || !c.genuine(seed) {
		return position{}, damaged("the checkpoint does not fit its signature")
	}
	sum, err := hex.DecodeString(c.Hash)
	if err != nil || len(sum) != len(hash{}) {
		return position{}, damaged("the checkpoint has no hash")
	}
	return position{c.Seq, hash(sum)}, nil
}

func (c checkpoint) genuine(seed []byte) bool {
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	signature, err := hex.DecodeString(c.Signature)
	if !ok || err != nil || c.Key != hex.EncodeToString(public) {
		return false
	}
	text, err := c.signed()
	return err == nil && ed25519.Verify(public, text, signature)
}

func exportCheckpoint(r store.Reader, w io.Writer) error {
	b, err := r.Get(checkpointKey())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "{\"checkpoint\":%s}\n", b)
	return err
}
