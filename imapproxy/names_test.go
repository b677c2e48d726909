package imapproxy

import "testing"

// TestNames: each name of one side has one at the other, and a name space that is not the mailbox's own has none.
func TestNames(t *testing.T) {
	cyrus := Names{Prefix: "INBOX.", Delimiter: '.', Foreign: []string{"user.", "shared."}}
	flat := Names{Delimiter: '/', Foreign: []string{"Public/", "user/"}}
	for _, test := range []struct {
		names         Names
		folder, store string // store "": there is none
	}{
		{Names{}, "INBOX", "INBOX"},
		{Names{}, "A/B.c", "A/B.c"},
		{cyrus, "INBOX", "INBOX"},
		{cyrus, "Sent", "INBOX.Sent"},
		{cyrus, "A/B", "INBOX.A.B"},
		{cyrus, "2026.11/x", "INBOX.2026/11.x"},
		{cyrus, "user/x", "INBOX.user.x"}, // one's own folder of that name
		{flat, "Sent", "Sent"},
		{flat, "Public/x", ""},
		{flat, "Public", ""},
		{flat, "Publications", "Publications"},
		{flat, "user/claire/INBOX", ""},
	} {
		got, ok := test.names.toStore(test.folder)
		if ok != (test.store != "") || ok && got != test.store {
			t.Errorf("%+v: %s is %q, %v at the store, want %q", test.names, test.folder, got, ok, test.store)
			continue
		}
		if !ok {
			continue
		}
		if back, ok := test.names.fromStore(got); !ok || back != test.folder {
			t.Errorf("%+v: %s comes back as %q, %v", test.names, test.folder, back, ok)
		}
	}
	for _, name := range []string{"user.claire", "shared.x", "Sent", "INBOX."} {
		if folder, ok := cyrus.fromStore(name); ok {
			t.Errorf("%s is shown as %s", name, folder)
		}
	}
	if folder, ok := cyrus.fromStore("inbox"); !ok || folder != "INBOX" {
		t.Errorf("inbox: %q, %v", folder, ok)
	}
}
