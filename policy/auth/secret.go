package auth

import "log/slog"

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

func (Secret) String() string { return redacted }

// GoString answers for %#v, which would otherwise print the field.
func (Secret) GoString() string { return redacted }

// LogValue answers for slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText answers for encoding/json and other encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
