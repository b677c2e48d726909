package auth

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "<redacted>"

// Secret is a password or token. However it is printed, logged or encoded, it reads <redacted>; Reveal is the one way to
// its content, so that a search for it finds every use.
type Secret struct{ text string }

// NewSecret wraps a password or token.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

// IsEmpty tells whether there is nothing to reveal.
func (s Secret) IsEmpty() bool { return s.text == "" }

// Format answers for fmt, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue answers for slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText answers for encoding/json and other encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
