package gateway_test

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/google/go-cmp/cmp"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/store/audit"
)

// TestDemoAccounts: what each person of the demo opens, and with which rights.
func TestDemoAccounts(t *testing.T) {
	const own, manage, write, read = "lrswitekxpcd", "lrswitekxpcd", "lrswited", "lr"
	g := gatewaytest.Start(t, nil, claire, noemie, paul, lea, sophie)
	for _, tt := range []struct {
		person, opens string
		rights        map[string]string // by the mailbox's folder as the client sees it
	}{
		{claire, claire, map[string]string{"INBOX": own, secretariat: manage, urgences: manage}},
		{noemie, secretariat, map[string]string{"INBOX": write, noemie: own}},
		{paul, paul, map[string]string{"INBOX": own, secretariat: read, urgences: write}},
		{lea, lea, map[string]string{"INBOX": own}},
		{sophie, sophie, map[string]string{"INBOX": own}},
	} {
		t.Run(tt.person, func(t *testing.T) {
			c := login(t, g, tt.person)
			if got := opened(g, tt.person); got != address(tt.opens) {
				t.Errorf("opens %s", got)
			}
			listed, err := c.List("", "*", nil).Collect()
			if err != nil {
				t.Fatal(err)
			}
			var shared []string
			for _, l := range listed {
				if rest, ok := strings.CutPrefix(l.Mailbox, "Comptes/"); ok && strings.HasSuffix(rest, "/INBOX") {
					shared = append(shared, strings.TrimSuffix(rest, "/INBOX"))
				}
			}
			var want []string
			for box, rights := range tt.rights {
				folder := box
				if box != "INBOX" {
					want = append(want, string(address(box)))
					folder = "Comptes/" + string(address(box)) + "/INBOX"
				}
				if got, err := c.MyRights(folder).Wait(); err != nil || sorted(got.Rights) != sorted(imap.RightSet(rights)) {
					t.Errorf("%s: %+v, %v", folder, got, err)
				}
			}
			slices.Sort(shared)
			slices.Sort(want)
			if diff := cmp.Diff(want, shared); diff != "" {
				t.Errorf("shared mailboxes: %s", diff)
			}
		})
	}
}

func sorted(r imap.RightSet) string {
	letters := slices.Clone(r)
	slices.Sort(letters)
	return string(letters)
}

func TestLoginForms(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	user, box := string(address(claire)), string(address(secretariat))
	for _, tt := range []struct{ user, authzid, opens string }{
		{user, "", claire},
		{strings.ToUpper(user), "", claire},
		{"claire.durand@sapins.mssante.fr", "", claire},
		{user, user, claire},
		{user, box, secretariat},
		{user, "secretariat@sapins.mssante.fr", secretariat},
		{box + "*" + user, "", secretariat},
		{user + "/" + box, "", secretariat},
		{user + "/secretariat@SAPINS.mssante.fr", "", secretariat},
		{user + "/" + box, box, secretariat},
		{user + "/" + user, box, ""}, // they disagree
		{user + "/" + box, string(address(urgences)), ""},
		{user + "/" + string(address(noemie)), "", ""},
	} {
		for _, sendAuthzid := range []bool{false, true} {
			if !sendAuthzid && tt.authzid != "" {
				continue
			}
			c := dial(t, g)
			var err error
			if sendAuthzid {
				err = c.Authenticate(sasl.NewPlainClient(tt.authzid, tt.user, gatewaytest.Password(claire)))
			} else {
				err = c.Login(tt.user, gatewaytest.Password(claire)).Wait()
			}
			if (err == nil) != (tt.opens != "") {
				t.Errorf("%s, %s: %v", tt.user, tt.authzid, err)
			} else if got := opened(g, claire); err == nil && got != address(tt.opens) {
				t.Errorf("%s, %s: opens %s", tt.user, tt.authzid, got)
			}
			c.Close()
			g.Eventually("the session's end", func() bool { return len(g.Sessions()) == 0 })
		}
	}
}

// TestRefusals: nothing in the answer tells why somebody may not log in; the trace does.
func TestRefusals(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire, lea)
	for _, tt := range []struct{ name, user, password, reason string }{
		{"wrong password", string(address(claire)), "demo-wrong", "wrong"},
		{"unknown account", "nobody@clinique-des-sapins.fr", "demo-nobody", "no account"},
		{"not an address", "claire", gatewaytest.Password(claire), "user name"},
		{"organisation", string(address(secretariat)), gatewaytest.Password(secretariat), "org"},
		{"pre-registered", "marc.roux@clinique-des-sapins.fr", "demo-marc.roux", "pre-registered"},
		{"application", "imagerie-auto@clinique-des-sapins.fr", "demo-imagerie-auto", "software"},
		{"no delegation", string(address(lea)) + "/" + string(address(secretariat)), gatewaytest.Password(lea), "no delegation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := dial(t, g).Login(tt.user, tt.password).Wait()
			var refusal *imap.Error
			if !errors.As(err, &refusal) || refusal.Code != "AUTHENTICATIONFAILED" || refusal.Text != "Authentication failed" {
				t.Errorf("answered %v", err)
			}
			records := trace(t, g, gateway.AuditArgs{Action: string(audit.Refusal)})
			last := records[len(records)-1]
			if !strings.Contains(last.Reason, tt.reason) || last.Answer != "NO [AUTHENTICATIONFAILED]" {
				t.Errorf("traced %+v", last)
			}
		})
	}
}

func TestPasswordChange(t *testing.T) {
	g := gatewaytest.Start(t, nil, lea)
	login(t, g, lea)
	g.SetPassword(address(lea), "quite another password")
	if err := dial(t, g).Login(string(address(lea)), gatewaytest.Password(lea)).Wait(); err == nil {
		t.Error("the old password still opens")
	}
	if err := dial(t, g).Login(string(address(lea)), "quite another password").Wait(); err != nil {
		t.Errorf("the new one: %v", err)
	}
	for name, args := range map[string]gateway.PasswordArgs{
		"too short":    {Address: address(lea), Password: "short"},
		"organisation": {Address: address(secretariat), Password: "quite another password"},
		"unknown":      {Address: "nobody@example.net", Password: "quite another password"},
	} {
		if err := g.Call(gateway.OpPassword, args, nil); err == nil {
			t.Errorf("%s: set", name)
		}
	}
}

func TestOwnDefault(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	choose := func(box string) error {
		return g.Call(gateway.OpDefault, gateway.DefaultArgs{Person: address(noemie), Mailbox: address(box)}, nil)
	}
	for _, box := range []string{noemie, secretariat} {
		if err := choose(box); err != nil {
			t.Fatal(err)
		}
		login(t, g, noemie)
		if got := opened(g, noemie); got != address(box) {
			t.Errorf("having chosen %s she opens %s", box, got)
		}
	}
	if err := choose(urgences); err == nil {
		t.Error("a mailbox that she may not open was chosen")
	}
}

// TestOwnDefaultLapses: a choice goes for good when the file's value changes, also when that changes back.
func TestOwnDefaultLapses(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	if err := g.Call(gateway.OpDefault, gateway.DefaultArgs{Person: address(noemie), Mailbox: address(noemie)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, edit := range []struct{ from, to string }{
		{"send: as, default: true", "send: as, default: false"}, {"send: as, default: false", "send: as, default: true"},
	} {
		g.Edit("delegations.yaml", edit.from, edit.to)
		if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	login(t, g, noemie)
	if got := opened(g, noemie); got != address(secretariat) {
		t.Errorf("her choice against a former value opens %s", got)
	}
}

func TestNoLoginBeforeTLS(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	plain, err := net.Dial("tcp", g.Listeners().IMAP[0])
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(plain, nil)
	defer c.Close()
	if caps, err := c.Capability().Wait(); err != nil || !caps.Has(imap.CapLoginDisabled) || !caps.Has(imap.CapStartTLS) {
		t.Errorf("capabilities %v, %v", caps, err)
	}
	var refusal *imap.Error
	if err := c.Login(string(address(claire)), gatewaytest.Password(claire)).Wait(); !errors.As(err, &refusal) || refusal.Code != "PRIVACYREQUIRED" {
		t.Errorf("a login in the clear: %v", err)
	}
	plain, err = net.Dial("tcp", g.Listeners().IMAP[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := imapclient.NewStartTLS(plain, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: g.Roots(), ServerName: "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Login(string(address(claire)), gatewaytest.Password(claire)).Wait(); err != nil {
		t.Errorf("after STARTTLS: %v", err)
	}
}
