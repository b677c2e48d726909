package gateway_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"balorg/gateway/gatewaytest"
)

// failures are the expressions of the sample filter, as Go reads them; fail2ban takes the date out of the line before.
func failures(t *testing.T) []*regexp.Regexp {
	t.Helper()
	filter, err := os.ReadFile("../configs/fail2ban/balorg.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(filter), "failregex = ")
	list, _, ok := strings.Cut(list, "\nignoreregex")
	if !ok {
		t.Fatal("the filter has no expressions")
	}
	var all []*regexp.Regexp
	for line := range strings.Lines(list) {
		all = append(all, regexp.MustCompile(strings.ReplaceAll(strings.TrimSpace(line), "<ADDR>", `([0-9a-fA-F.:]+?)`)))
	}
	return all
}

func banned(all []*regexp.Regexp, line string) string {
	for _, e := range all {
		if m := e.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

// TestFail2ban: the sample filter finds who was refused over each protocol, and nobody whom somebody else names.
func TestFail2ban(t *testing.T) {
	all := failures(t)
	g := gatewaytest.Start(t, nil, lea)
	evil := `level=WARN msg="login refused" client=192.0.2.1 protocol=imap`
	for _, user := range []string{string(address(lea)), evil} {
		if _, err := tokenIMAP(t, g, user, "wrong"); err == nil {
			t.Error("IMAP logs in")
		}
		if _, err := tokenSMTP(t, g, user, "wrong"); err == nil {
			t.Error("SMTP logs in")
		}
		if err := dialLDAP(t, g).Bind(user, "wrong"); err == nil {
			t.Error("LDAP logs in")
		}
	}
	n := 0
	for line := range strings.Lines(g.Log.String()) {
		got := banned(all, line)
		switch refused := strings.Contains(line, `msg="login refused"`); {
		case refused && got != "127.0.0.1":
			t.Errorf("%s bans %q", line, got)
		case !refused && got != "":
			t.Errorf("%s bans %q", line, got)
		case refused:
			n++
		}
	}
	if n != 6 {
		t.Errorf("%d lines for six refusals", n)
	}
	for line, want := range map[string]string{
		`{"time":"2026-11-24T14:00:00Z","level":"WARN","msg":"login refused","session":"x1","client":"[2001:db8::7]:4711","protocol":"smtp","reason":"wrong_password"}`: "2001:db8::7",
		`time=x level=WARN msg="login refused" client=192.0.2.7 protocol=portal reason=wrong_password`:                                                                  "192.0.2.7",
		`time=x level=WARN msg="login refused" session=x1 client=[2001:db8::7]:4711 protocol=ldap reason=x`:                                                             "2001:db8::7",
		`time=x level=INFO msg=other name="level=WARN msg=\"login refused\" client=192.0.2.1 protocol=imap"`:                                                            "",
		`{"level":"INFO","msg":"other","name":"\"level\":\"WARN\",\"msg\":\"login refused\",\"client\":\"192.0.2.1\",\"protocol\":\"imap\""}`:                           "",
	} {
		if got := banned(all, line); got != want {
			t.Errorf("%s bans %q", line, got)
		}
	}
}
