package text

import (
	"encoding/base64"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// Undo takes a transfer encoding off what is read (RFC 2045, 6); false: nobody knows it. What cannot be decoded ends what is read, or stands
// for itself: mail is often broken.
func Undo(r io.Reader, encoding string) (io.Reader, bool) {
	switch encoding {
	case "", "7bit", "8bit", "binary":
		return r, true
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, &base64Only{r: r}), true
	case "quoted-printable":
		return transform.NewReader(r, quotedPrintable{}), true
	}
	return r, false
}

// UTF8 makes UTF-8 of text in a charset. What is none of it is replaced.
func UTF8(r io.Reader, charset string) io.Reader {
	if charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return transform.NewReader(r, charsetOf(charset).NewDecoder())
	}
	return transform.NewReader(r, encoding.Replacement.NewEncoder())
}
