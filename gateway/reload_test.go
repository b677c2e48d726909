package gateway_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
)

const (
	clairesLine = "      - {account: claire.durand@clinique-des-sapins.fr, rights: manage, send: as}\n"
	noemiesLine = "      - {account: noemie.martin@clinique-des-sapins.fr, rights: write, send: as, default: true, notify: true}\n"
	paulsLine   = "      - {account: paul.bernard@clinique-des-sapins.fr, rights: read, send: no}\n"
	lessened    = "      - {account: claire.durand@clinique-des-sapins.fr, rights: read, send: as}\n"
)

// TestWithdrawal: a delegation that goes, or gets less, ends the sessions in that mailbox within a second, and no others.
func TestWithdrawal(t *testing.T) {
	for name, replacement := range map[string]string{"withdrawn": "", "lessened": lessened} {
		t.Run(name, func(t *testing.T) {
			g := gatewaytest.Start(t, nil, claire, noemie)
			inside := rawLogin(t, g, claire, "Comptes/"+string(address(secretariat))+"/INBOX")
			inside.send("c IDLE")
			inside.until("+ ")
			other := login(t, g, claire)
			elsewhere := login(t, g, noemie)

			content := strings.Replace(g.Read("delegations.yaml"), clairesLine, replacement, 1)
			g.Write("delegations.yaml", content)
			began := time.Now()
			if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
				t.Fatal(err)
			}
			bye := inside.until("* BYE ")
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("%q after %v", bye, waited)
			}
			if _, err := inside.in.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after BYE: %v", err)
			}
			for _, c := range []*imapclient.Client{other, elsewhere} {
				if err := c.Noop().Wait(); err != nil {
					t.Errorf("another session: %v", err)
				}
			}
			_, err := other.Select("Comptes/"+string(address(secretariat))+"/INBOX", nil).Wait()
			if (err == nil) != (replacement != "") {
				t.Errorf("opening it again: %v", err)
			}
			if replacement != "" {
				if err := other.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err == nil {
					t.Error("a reader changed a flag")
				}
			}
		})
	}
}

// TestReloadOnChangeBack: a file is put back to what an earlier change had put into effect, right after a reload by command.
func TestReloadOnChangeBack(t *testing.T) {
	g := gatewaytest.Start(t, nil, noemie)
	with := g.Read("delegations.yaml")
	without := strings.Replace(with, noemiesLine, "", 1)
	c := login(t, g, noemie)
	g.Write("delegations.yaml", without)
	<-c.Closed()
	g.Write("delegations.yaml", with)
	if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
		t.Fatal(err)
	}
	c = login(t, g, noemie)
	g.Write("delegations.yaml", without)
	select {
	case <-c.Closed():
	case <-time.After(20 * time.Second):
		t.Error("the second withdrawal was missed")
	}
}

// guarded holds reloads that remove two delegations of the demo's five.
const guarded = gatewaytest.Balorg + "limits: {guard_at_least: 2}\n"

func cutShort(delegations string) string {
	return strings.NewReplacer(noemiesLine, "", paulsLine, "").Replace(delegations)
}

// TestReloadOnChange: saving a file is enough, for good and for bad.
func TestReloadOnChange(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": guarded}, claire)
	inside := rawLogin(t, g, claire, "Comptes/"+string(address(secretariat))+"/INBOX")
	inside.send("c IDLE")
	inside.until("+ ")
	gauge := func(name string) float64 { return g.Metrics()["balorg_gateway_"+name] }
	good := g.Read("delegations.yaml")

	g.Write("delegations.yaml", "delegations:\n  - mailbox: nowhere\n")
	g.Eventually("the alarm of a broken file", func() bool { return gauge("reload_failed_bool") == 1 })
	g.Write("delegations.yaml", cutShort(good))
	g.Eventually("the alarm of a file cut short", func() bool { return gauge("reload_held_bool") == 1 })
	g.Write("delegations.yaml", good)
	g.Eventually("the end of the first alarm", func() bool { return gauge("reload_failed_bool") == 0 })
	g.Eventually("the end of the second alarm", func() bool { return gauge("reload_held_bool") == 0 })
	inside.send("DONE")
	inside.until("c OK ") // it has lived through all this

	g.Write("delegations.yaml", strings.Replace(good, clairesLine, "", 1))
	inside.until("* BYE ")
	if got := gauge("reloads_total"); got < 1 {
		t.Errorf("%v reloads", got)
	}
}

func TestReloadGuards(t *testing.T) {
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": guarded}, noemie)
	c := login(t, g, noemie)
	reload := func(force bool) error { return g.Call(gateway.OpReload, gateway.ReloadArgs{Force: force}, nil) }
	delegations := g.Read("delegations.yaml")
	for _, tt := range []struct{ name, file, content, want string }{
		{"many removed", "delegations.yaml", cutShort(delegations), "this reload needs --force: the files remove 2 of 5 delegations; reload by force if this is meant"},
		{"a key that is frozen", "balorg.yaml", strings.Replace(guarded, "100MB", "101MB", 1), "store has changed, which takes a restart"},
		{"no certificate", "balorg.yaml", strings.Replace(guarded, "cert.pem", "none.pem", 1), "none.pem: no such file or directory"},
		{"not YAML", "accounts.yaml", "accounts: [", "accounts.yaml:2:1: not valid YAML"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			good := g.Read(tt.file)
			g.Write(tt.file, tt.content)
			if err := reload(false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
			if got := g.Metrics()["balorg_gateway_reload_failed_bool"]; got != 1 {
				t.Errorf("the alarm is at %v", got)
			}
			if err := c.Noop().Wait(); err != nil {
				t.Errorf("a session did not survive: %v", err)
			}
			g.Write(tt.file, good)
			if err := reload(false); err != nil {
				t.Errorf("the good file again: %v", err)
			}
		})
	}
	g.Write("delegations.yaml", cutShort(delegations))
	if err := reload(true); err != nil {
		t.Fatalf("by force: %v", err)
	}
	<-c.Closed()
	c = login(t, g, noemie)
	if got := opened(g, noemie); got != address(noemie) {
		t.Errorf("without her delegation she opens %s", got)
	}
}

// TestAddressReturns: an address that was removed and comes back opens for nobody until an administrator has spoken.
func TestAddressReturns(t *testing.T) {
	for _, tt := range []struct {
		op       string
		password bool // the former one opens again
	}{{gateway.OpRestore, true}, {gateway.OpRenew, false}} {
		t.Run(tt.op, func(t *testing.T) {
			g := gatewaytest.Start(t, nil, sophie)
			accounts := g.Read("accounts.yaml")
			others, _, _ := strings.Cut(accounts, "  - address: sophie.moreau@")
			reload := func() {
				t.Helper()
				if err := g.Call(gateway.OpReload, gateway.ReloadArgs{}, nil); err != nil {
					t.Fatal(err)
				}
			}
			c := login(t, g, sophie)
			g.Write("accounts.yaml", others)
			reload()
			<-c.Closed()
			g.Write("accounts.yaml", accounts)
			reload()
			try := func() error {
				return dial(t, g).Login(string(address(sophie)), gatewaytest.Password(sophie)).Wait()
			}
			if err := try(); err == nil {
				t.Fatal("a closed address opens")
			}
			if err := g.Call(gateway.OpPassword, gateway.PasswordArgs{Address: address(sophie), Password: "somebody else's"}, nil); err == nil {
				t.Error("a closed address gets a password")
			}
			if err := g.Call(tt.op, gateway.AddressArgs{Address: address(sophie)}, nil); err != nil {
				t.Fatal(err)
			}
			if err := try(); (err == nil) != tt.password {
				t.Errorf("the former password: %v", err)
			}
			if err := g.Call(tt.op, gateway.AddressArgs{Address: address(sophie)}, nil); err == nil {
				t.Error("an address that is in use was opened again")
			}
		})
	}
}

// TestCertificateReload: a certificate that is replaced serves new connections, and old ones go on.
func TestCertificateReload(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire)
	c := login(t, g, claire)
	before := g.DialIMAPS().ConnectionState().PeerCertificates[0]
	gatewaytest.Certificates(t, g.Dir+"/tls")
	g.Eventually("the new certificate", func() bool {
		conn, err := tls.Dial("tcp", g.Listeners().IMAPS[0], &tls.Config{RootCAs: g.Roots()})
		if err != nil {
			return false
		}
		defer conn.Close()
		return !conn.ConnectionState().PeerCertificates[0].Equal(before)
	})
	if err := c.Noop().Wait(); err != nil {
		t.Errorf("a session of the old certificate: %v", err)
	}
}
