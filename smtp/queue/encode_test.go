package queue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/smtp/wire"
	"balorg/store/audit"
)

func aMessage() Message {
	return Message{
		ID: "06h0tp6nqilgr1md", Body: 77, Size: 4171, Person: audit.Party{ID: claire, Address: "claire@sapins.fr"}, Mailbox: audit.Party{ID: "secsecsecsecsecs", Address: "sec@sapins.fr"},
		From:   wire.Sender{Address: "sec@sapins.mssante.fr", Size: 4000, Body: wire.Body8Bit, UTF8: true, Return: wire.ReturnHeaders, EnvID: "env"},
		Origin: Submission, Accepted: time.Date(2026, 11, 24, 9, 0, 0, 5, time.FixedZone("", 3600)), Waiting: 2, Held: true,
	}
}

func anItem() Item {
	return Item{
		Message: "06h0tp6nqilgr1md", N: 3, Route: Relay, Account: claire, Arg: "arg", State: Waiting, Attempts: 2,
		Recipient: wire.Recipient{Address: "dr.martin@chu.fr", Notify: wire.NotifyFailure, Original: "rfc822;dr@chu.fr"},
		Next:      time.Date(2026, 11, 24, 9, 7, 30, 0, time.UTC), Tried: time.Date(2026, 11, 24, 9, 0, 0, 1, time.UTC), Reply: "450 4.2.0 Later", Peer: "127.0.0.1:25",
		TLS: "TLS 1.3", Delayed: true,
	}
}

// TestRows: what is written is read back; rows look as they did, so that those on disk can be read by whatever comes; and rows of before, which were
// JSON, are read as well.
func TestRows(t *testing.T) {
	check := func(row []byte, golden string, got, want any, err error, old []byte, gotOld any, errOld error) {
		t.Helper()
		if text := hex.EncodeToString(row); text != golden {
			t.Errorf("the row is %s, want %s", text, golden)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("read back: %v\n%s", err, diff)
		}
		if diff := cmp.Diff(want, gotOld); diff != "" || errOld != nil {
			t.Errorf("%s: %v\n%s", old, errOld, diff)
		}
	}
	old := func(v any) []byte {
		row, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	m, mrow, mold := aMessage(), aMessage().encode(), old(aMessage())
	got, err := decodeMessage(mrow)
	gotOld, errOld := decodeMessage(mold)
	check(mrow, goldenMessage, got, m, err, mold, gotOld, errOld)
	it, irow, iold := anItem(), anItem().encode(), old(anItem())
	gotItem, err := decodeItem(irow)
	gotOldItem, errOld := decodeItem(iold)
	check(irow, goldenItem, gotItem, it, err, iold, gotOldItem, errOld)
}

const (
	goldenMessage = "0110303668307470366e71696c6772316d644dcb201573656340736170696e732e6d7373616e74652e6672a01f08384249544d494d45044844525303656e7610636c61697265636c61697265636c6169" +
		"10636c6169726540736170696e732e667210736563736563736563736563736563730d73656340736170696e732e66720a7375626d697373696f6e018090aab00d05a0380203"
	goldenItem = "0210303668307470366e71696c6772316d64030572656c61791064722e6d617274696e406368752e667204107266633832323b6472406368752e667210636c61697265636c61697265636c6169036172" +
		"670777616974696e670201a4cfaab00d000001a0c8aab00d01000f34353020342e322e30204c617465720c3132372e302e302e313a323507544c5320312e3301"
)

// FuzzRows: whatever a row is, reading it ends; what is read of it is written and read as the same.
func FuzzRows(f *testing.F) {
	for _, row := range [][]byte{aMessage().encode(), anItem().encode(), []byte(`{"id":"x"}`), {}, {messageRow}, {itemRow, 255}} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		if m, err := decodeMessage(row); err == nil {
			again, err := decodeMessage(m.encode())
			if err != nil || !bytes.Equal(again.encode(), m.encode()) {
				t.Errorf("%+v is read as %+v, %v", m, again, err)
			}
		}
		if it, err := decodeItem(row); err == nil {
			again, err := decodeItem(it.encode())
			if err != nil || !bytes.Equal(again.encode(), it.encode()) {
				t.Errorf("%+v is read as %+v, %v", it, again, err)
			}
		}
	})
}
