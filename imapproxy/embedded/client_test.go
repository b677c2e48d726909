package embedded_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/imapproxy/embedded"
)

// TestGoIMAPClient: a client that others wrote understands the answers.
func TestGoIMAPClient(t *testing.T) {
	for _, enabled := range [][]imap.Cap{nil, {imap.CapIMAP4rev2}, {imap.CapUTF8Accept}, {imap.CapIMAP4rev2, imap.CapUTF8Accept}} {
		t.Run(fmt.Sprint(enabled), func(t *testing.T) { testGoIMAPClient(t, enabled) })
	}
}

func testGoIMAPClient(t *testing.T, enabled []imap.Cap) {
	t.Helper()
	conn, err := newServer(t).Open(t.Context(), embedded.Who{Account: claire, Person: claire, Quota: mb})
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("greeting", c.WaitGreeting())
	if len(enabled) > 0 {
		data, err := c.Enable(enabled...).Wait()
		must("enable", err)
		for _, capability := range enabled {
			if !data.Caps.Has(capability) {
				t.Fatalf("%s is not enabled: %v", capability, data)
			}
		}
	}

	for _, msg := range []string{plain, mixed} {
		app := c.Append("INBOX", int64(len(msg)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, "$Work"}})
		_, err := io.WriteString(app, msg)
		must("append", err)
		must("append", app.Close())
		if data, err := app.Wait(); err != nil || data.UIDValidity != 1_800_000_000 {
			t.Fatalf("append: %+v, %v", data, err)
		}
	}
	list, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, Size: true}}).Collect()
	must("list", err)
	inbox := list[slices.IndexFunc(list, func(l *imap.ListData) bool { return l.Mailbox == "INBOX" })]
	if len(list) != 6 || *inbox.Status.NumMessages != 2 || *inbox.Status.Size != int64(len(plain)+len(mixed)) {
		t.Errorf("list: %d folders, %+v", len(list), inbox.Status)
	}
	sel, err := c.Select("INBOX", nil).Wait()
	must("select", err)
	if sel.NumMessages != 2 || sel.UIDNext != 3 {
		t.Errorf("select: %+v", sel)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.SeqSetNum(1, 2), &imap.FetchOptions{
		Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		BodySection: []*imap.FetchItemBodySection{section},
	}).Collect()
	must("fetch", err)
	if len(messages) != 2 || messages[0].Envelope.Subject != "Résultats du patient" || string(messages[1].FindBodySection(section)) != mixed {
		t.Errorf("fetch: %+v", messages)
	}
	var parts []string
	messages[1].BodyStructure.Walk(func(path []int, part imap.BodyStructure) bool {
		parts = append(parts, part.MediaType())
		return true
	})
	if got := strings.Join(parts, " "); !strings.HasPrefix(got, "multipart/mixed text/plain message/rfc822") {
		t.Errorf("structure: %s", got)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"potassium"}}, &imap.SearchOptions{ReturnAll: true}).Wait()
	must("search", err)
	if got := found.AllUIDs(); !slices.Equal(got, []imap.UID{2}) {
		t.Errorf("search: %v", got)
	}
	moved, err := c.Move(imap.UIDSetNum(1), "Envoyés").Wait()
	must("move", err)
	if moved.DestUIDs.String() != "1" {
		t.Errorf("move: %+v", moved)
	}
	quota, err := c.GetQuotaRoot("Envoyés").Wait()
	must("quota", err)
	if len(quota) != 1 || quota[0].Resources[imap.QuotaResourceStorage].Limit != 1024 {
		t.Errorf("quota: %+v", quota)
	}
	must("logout", c.Logout().Wait())
}
