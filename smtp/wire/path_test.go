package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// codeOf answers the reply that an error is, as "501 5.1.3", or "".
func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Reply
	if !errors.As(err, &r) {
		t.Fatalf("error %v is no reply", err)
	}
	code, _, _ := strings.Cut(r.String(), " ")
	return code + " " + r.Enhanced
}

func TestParseMail(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Sender
		code string
	}{
		{in: "FROM:<>", want: Sender{}},
		{in: "from: <A@B.fr>", want: Sender{Address: "a@b.fr"}},
		{in: "FROM:<a@b.fr> SIZE=12 BODY=8bitmime", want: Sender{Address: "a@b.fr", Size: 12, Body: Body8Bit}},
		{in: "FROM:<a@b.fr>  body=7BIT ", want: Sender{Address: "a@b.fr", Body: Body7Bit}},
		{in: "FROM:<a@b.fr> BODY=BINARYMIME", want: Sender{Address: "a@b.fr", Body: BodyBinary}},
		{in: "FROM:<é@bé.fr> SMTPUTF8", want: Sender{Address: "é@xn--b-bga.fr", UTF8: true}},
		{in: "FROM:<> RET=full ENVID=QQ314+2B", want: Sender{Return: ReturnFull, EnvID: "QQ314+"}},
		{in: "FROM:<a@b.fr> AUTH=<>", want: Sender{Address: "a@b.fr"}},
		{in: "FROM:<a@b.fr> AUTH=x+2By@z.fr", want: Sender{Address: "a@b.fr"}},
		{in: "", code: "501 5.5.4"},
		{in: "TO:<a@b.fr>", code: "501 5.5.4"},
		{in: "FROM:a@b.fr", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr>SIZE=1", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr>>", code: "501 5.5.4"},
		{in: "FROM:<<a@b.fr>>", code: "501 5.5.4"},
		{in: "FROM: x <a@b.fr>", code: "501 5.5.4"},
		{in: "FROM:<postmaster>", code: "501 5.1.7"},
		{in: "FROM:<é@b.fr>", code: "553 5.6.7"},
		{in: "FROM:<a@bé.fr>", code: "553 5.6.7"},
		{in: "FROM:<a@b.fr> SIZE=-1", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE=1234567890123456789", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE=", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE=1 SIZE=2", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE=1 size=1", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SIZE=1=2", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> BODY=9BIT", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> SMTPUTF8=1", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> RET=ALL", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> ENVID=a+0D+0AX:+20y", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> ENVID", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> AUTH", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> BODY", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> RET", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> ENVID=a+2", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> ENVID=a+2b", code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> ENVID=" + strings.Repeat("a", 101), code: "501 5.5.4"},
		{in: "FROM:<a@b.fr> NOTIFY=NEVER", code: "555 5.5.4"},
		{in: "FROM:<a@b.fr> XFOO", code: "555 5.5.4"},
		{in: "FROM:<a@b.fr> RCPT TO:<c@d.fr>", code: "555 5.5.4"},
	} {
		got, err := ParseMail(tt.in)
		if code := codeOf(t, err); code != tt.code {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.code)
		} else if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}

func TestParseRcpt(t *testing.T) {
	const postmaster = "admin@clinique.fr"
	for _, tt := range []struct {
		in   string
		utf8 bool
		want Recipient
		code string
	}{
		{in: "TO:<A.B@C.FR>", want: Recipient{Address: "a.b@c.fr"}},
		{in: "TO:<PostMaster>", want: Recipient{Address: postmaster}},
		{in: "TO:<a@b.fr> NOTIFY=NEVER", want: Recipient{Address: "a@b.fr", Notify: NotifyNever}},
		{in: "TO:<a@b.fr> NOTIFY=success,Delay", want: Recipient{Address: "a@b.fr", Notify: NotifySuccess | NotifyDelay}},
		{in: "TO:<a@b.fr> ORCPT=rfc822;x+20y@z.fr", want: Recipient{Address: "a@b.fr", Original: "rfc822;x y@z.fr"}},
		{in: `TO:<a@b.fr> ORCPT=utf-8;\x{E9}@z.fr`, want: Recipient{Address: "a@b.fr", Original: "utf-8;é@z.fr"}},
		{in: "TO:<a@b.fr> ORCPT=utf-8;é@z.fr", utf8: true, want: Recipient{Address: "a@b.fr", Original: "utf-8;é@z.fr"}},
		{in: "TO:<é@b.fr>", utf8: true, want: Recipient{Address: "é@b.fr"}},

		// What might be taken for another address than it is, here or by the next hop.
		{in: `TO:<"victim@out> ORCPT=rfc822;z"@trusted.fr>`, code: "501 5.1.3"},
		{in: `TO:<"victim@out.fr> ORCPT=rfc822;z"@trusted.fr`, code: "501 5.1.3"},
		{in: `TO:<"victim@out.fr"@trusted.fr>`, code: "501 5.1.3"},
		{in: `TO:<"a"@trusted.fr>`, code: "501 5.1.3"},
		{in: `TO:<a\@b@trusted.fr>`, code: "501 5.1.3"},
		{in: "TO:<victim%out.fr@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<out.fr!victim@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<@out.fr:a@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<@trusted.fr,@out.fr:a@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<victim@out.fr@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a@[192.0.2.1]>", code: "501 5.1.3"},
		{in: "TO:<a@[IPv6:2001:db8::1]>", code: "501 5.1.3"},
		{in: "TO:<a@trusted.fr.>", code: "501 5.1.3"},
		{in: "TO:<a@.trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a@trusted..fr>", code: "501 5.1.3"},
		{in: "TO:<a@localhost>", code: "501 5.1.3"},
		{in: "TO:<a..b@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<.a@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a b@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a@trusted.fr, b@out.fr>", code: "501 5.1.3"},
		{in: "TO:<a@trusted.fr b@out.fr>", code: "501 5.1.3"},
		{in: "TO:<a(x)@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a@trusted.fr(x)>", code: "501 5.1.3"},
		{in: "TO:<x <a@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<a@trusted.fr><b@out.fr>", code: "501 5.5.4"},
		{in: "TO:<a@trusted.fr>,<b@out.fr>", code: "501 5.5.4"},
		{in: "TO:<a@trusted.fr> <b@out.fr>", code: "555 5.5.4"},
		{in: "TO:<" + strings.Repeat("a", 65) + "@trusted.fr>", code: "501 5.1.3"},
		{in: "TO:<>", code: "501 5.1.3"},
		{in: "TO:<@>", code: "501 5.1.3"},
		{in: "TO:<root>", code: "501 5.1.3"},
		{in: "TO:<postmaster@>", code: "501 5.1.3"},
		{in: "TO:<é@b.fr>", code: "553 5.6.7"},
		{in: "TO:<a@trusted\u2024fr>", utf8: true, code: "501 5.1.3"}, // looks like a dot
		{in: "TO:<a\u200b@trusted.fr>", utf8: true, code: "501 5.1.3"},
		{in: "TO:<a\uff20out.fr@trusted.fr>", utf8: true, code: "501 5.1.3"},                 // a wide @
		{in: "TO:<a@trusted\u3002fr>", utf8: true, want: Recipient{Address: "a@trusted.fr"}}, // the dot of IDNA, printed as ours
		{in: "TO:<a@trust\u0435d.fr>", utf8: true, want: Recipient{Address: "a@xn--trustd-7of.fr"}},

		{in: "TO:<a@b.fr> NOTIFY=NEVER,SUCCESS", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> NOTIFY=SUCCESS,SUCCESS", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> NOTIFY=", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> NOTIFY", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=;x", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822;a+0D+0Ab", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822;a+00", code: "501 5.5.4"},
		{in: `TO:<a@b.fr> ORCPT=utf-8;a\x{D}\x{A}b`, code: "501 5.5.4"},
		{in: `TO:<a@b.fr> ORCPT=utf-8;a\x{D800}`, code: "501 5.5.4"},
		{in: `TO:<a@b.fr> ORCPT=utf-8;a\x{110000}`, code: "501 5.5.4"},
		{in: `TO:<a@b.fr> ORCPT=utf-8;a\x41`, code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=utf-8;é", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822;é", utf8: true, code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822;" + strings.Repeat("a", 500), code: "501 5.5.4"},
		{in: "TO:<a@b.fr> ORCPT=rfc822;x ORCPT=rfc822;y", code: "501 5.5.4"},
		{in: "TO:<a@b.fr> SIZE=1", code: "555 5.5.4"},
	} {
		got, err := ParseRcpt(tt.in, tt.utf8, postmaster)
		if code := codeOf(t, err); code != tt.code {
			t.Errorf("%q: %v (%+v), want %q", tt.in, err, got, tt.code)
		} else if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
	if _, err := ParseRcpt("TO:<postmaster>", false, ""); codeOf(t, err) != "501 5.1.3" {
		t.Errorf("nobody is postmaster: %v", err)
	}
}

func TestXText(t *testing.T) {
	for _, s := range []string{"", "a", "a+b=c", "é ü\x00\r\n", "\\x{41}", "日本"} {
		if got, ok := decodeXText(string(AppendXText(nil, s))); !ok || got != s {
			t.Errorf("xtext of %q: %q, %t", s, got, ok)
		}
		encoded := string(AppendUTF8Address(nil, s))
		if got, ok := decodeUTF8Address(encoded, false); !ok || got != s {
			t.Errorf("utf-8-addr-xtext of %q: %q, %t", s, got, ok)
		}
		if strings.ContainsFunc(encoded, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("utf-8-addr-xtext of %q: %q", s, encoded)
		}
	}
}

// FuzzPath: what is accepted is one address of plain form, and reads the same when it is written anew.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"TO:<a@b.fr>", `TO:<"victim@out> ORCPT=rfc822;z"@trusted>`, "TO:<@a.fr:b@c.fr>", "TO:<a%b@c.fr>", "TO:<a@[1.2.3.4]>", "TO:<é@bé.fr> NOTIFY=NEVER",
		"TO: <a@b.fr> ORCPT=rfc822;x+20y", `TO:<a@b.fr> ORCPT=utf-8;\x{E9}`, "TO:<postmaster>",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, in string, utf8 bool) {
		cmd, err := ParseCommand([]byte("RCPT " + in))
		if err != nil {
			return
		}
		r, err := ParseRcpt(cmd.Args, utf8, "")
		if err != nil {
			codeOf(t, err)
			return
		}
		a := string(r.Address)
		if strings.Count(a, "@") != 1 || strings.ContainsAny(a, "<>\"\\()[],;: \t\r\n\x00%!") || strings.HasSuffix(a, ".") || !strings.Contains(r.Address.Domain(), ".") {
			t.Errorf("%q: address %q", in, a)
		}
		if strings.ContainsAny(r.Original, "\r\n\x00") {
			t.Errorf("%q: ORCPT %q", in, r.Original)
		}
		again, err := ParseRcpt("TO:<"+a+">", utf8, "")
		if err != nil || again.Address != r.Address {
			t.Errorf("%q: %q reads as %q, %v", in, a, again.Address, err)
		}
	})
}
