package embedded

import (
	"reflect"
	"strings"
	"testing"

	"balorg/imapproxy/order"
)

func TestPackedThreads(t *testing.T) {
	for _, m := range []order.Threaded{
		{Seq: 7},
		{Seq: 1, Sent: -5, Subject: "RÉSULTATS", Reply: true, ID: "a@b"},
		{Seq: 2, Sent: 1 << 40, References: []string{"a@b", "", strings.Repeat("x", 200)}},
	} {
		if got := packThread(&m).threaded(m.Seq); !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, want %+v", got, m)
		}
	}
	if keys := packThread(&order.Threaded{References: []string{strings.Repeat("x", 300), strings.Repeat("y", 300)}}); keys != "" {
		t.Errorf("%d octets are remembered", len(keys))
	}
}
