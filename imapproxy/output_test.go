package imapproxy

import (
	"bytes"
	"strings"
	"testing"

	"balorg/imapproxy/wire"
)

// TestTornResponse: nothing follows a response that a mail store did not bring to its end, for a client would take it for the rest of
// a message.
func TestTornResponse(t *testing.T) {
	const half = "* 1 FETCH (BODY[] {100}\r\nhalf of"
	var sent bytes.Buffer
	o := newOutput(&sent)
	in := wire.NewResponseReader(strings.NewReader(half))
	if _, err := in.Next(); err != nil {
		t.Fatal(err)
	}
	if err := o.relay(in); err == nil {
		t.Error("half a response was relayed")
	}
	o.printf("* BYE the store is lost\r\n")
	o.write([]byte("* 2 EXISTS\r\n"))
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	if sent.String() != half {
		t.Errorf("the client got %q", sent.String())
	}
}
