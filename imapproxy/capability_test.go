package imapproxy

import (
	"strings"
	"testing"
)

// sayingStore is a mail store that says what it can do.
type sayingStore struct {
	MailStore
	caps []string
}

func (s sayingStore) Capabilities() []string { return s.caps }

// TestCapabilitiesOffered: a session is offered what its mail store can do and we pass on, and the smaller limit.
func TestCapabilitiesOffered(t *testing.T) {
	for _, tt := range []struct {
		stores  map[string][]string
		has     string
		without string
	}{
		{map[string][]string{"local": {"IDLE", "SORT", "NOTIFY", "APPENDLIMIT=1000"}}, "IDLE SORT COMPRESS=DEFLATE APPENDLIMIT=1000", "NOTIFY"},
		{map[string][]string{"local": {"IDLE", "APPENDLIMIT=99999999999", "APPENDLIMIT="}}, "IDLE COMPRESS=DEFLATE APPENDLIMIT=104857600", "SORT"},
		// A message that is copied to another mailbox keeps its id where the store does it.
		{map[string][]string{"local": {"OBJECTID", "XCOPYTO"}}, "OBJECTID COMPRESS=DEFLATE APPENDLIMIT=104857600", "XCOPYTO"},
		{map[string][]string{"local": {"OBJECTID"}}, "RIGHTS=kxte COMPRESS=DEFLATE APPENDLIMIT=104857600", "OBJECTID"},
		{map[string][]string{"other": {"IDLE"}}, "RIGHTS=kxte COMPRESS=DEFLATE APPENDLIMIT=104857600", "IDLE"},
	} {
		f := newFixture(t, func(o *Options) {
			o.MaxMessage = defaultMaxMessage
			all := make(map[string]MailStore)
			for name, caps := range tt.stores {
				all[name] = sayingStore{o.Stores["local"], caps}
			}
			o.Stores = all
		})
		c := f.login(noemie)
		got := c.ok("CAPABILITY")[0]
		if !strings.HasSuffix(got, " "+tt.has) || strings.Contains(got, " "+tt.without) {
			t.Errorf("of %v: %s", tt.stores, got)
		}
	}
}
