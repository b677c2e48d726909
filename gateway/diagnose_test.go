package gateway_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/doctor"
	"balorg/gateway/gatewaytest"
)

// noDNS knows no name.
type noDNS struct{}

var errNoDNS = errors.New("there is no resolver in this test")

func (noDNS) LookupHost(context.Context, string) ([]string, error) { return nil, errNoDNS }
func (noDNS) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errNoDNS
}
func (noDNS) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, errNoDNS }

// diagnosed are the findings of one check.
func diagnosed(t *testing.T, config, check string) (all []doctor.Finding) {
	t.Helper()
	gateway.Diagnose(t.Context(), config, noDNS{}, func(f doctor.Finding) {
		if f.Check == "configuration" {
			t.Logf("%+v", f)
		}
		if f.Check == check {
			all = append(all, f)
			if f.Level != doctor.OK && f.Do == "" {
				t.Errorf("%+v does not say what to do", f)
			}
		}
	})
	return all
}

// TestDiagnoseSmarthost: it is tried as every attempt tries it, with STARTTLS or TLS and its log-in, here at another gateway.
func TestDiagnoseSmarthost(t *testing.T) {
	other := gatewaytest.Start(t, nil, claire)
	submission, submissions := other.Listeners().Submission[0], other.Listeners().Submissions[0]
	login := ", user: " + string(address(claire)) + ", password_file: relay-password"
	for _, tt := range []struct {
		name, relay, password string
		level                 doctor.Level
		what                  string
	}{
		{"STARTTLS and a log-in", "smarthost: \"" + submission + "\", ca: other.pem, server_name: localhost" + login, gatewaytest.Password(claire), doctor.OK, "speaks TLS 1.3 with a certificate that is trusted, and takes the log-in"},
		{"TLS and a log-in", "smarthost: \"" + submissions + "\", security: tls, ca: other.pem, server_name: localhost" + login, gatewaytest.Password(claire), doctor.OK, "and takes the log-in"},
		{"without a log-in", "smarthost: \"" + submission + "\", ca: other.pem, server_name: localhost", "x", doctor.OK, "greets, speaks TLS 1.3 with a certificate that is trusted"},
		{"in the clear", "smarthost: \"" + submission + "\", insecure_no_tls: true", "x", doctor.OK, "greets, in the clear"},
		{"a wrong password", "smarthost: \"" + submission + "\", ca: other.pem, server_name: localhost" + login, "wrong", doctor.Broken, "it answers AUTH with 535 5.7.8"},
		{"another authority", "smarthost: \"" + submission + "\", server_name: localhost", "x", doctor.Broken, "certificate signed by unknown authority"},
		{"another name", "smarthost: \"" + submission + "\", ca: other.pem, server_name: mail.example.org", "x", doctor.Broken, "not mail.example.org"},
		{"TLS where STARTTLS is spoken", "smarthost: \"" + submission + "\", security: tls, ca: other.pem", "x", doctor.Broken, "TLS: "},
		{"nobody there", "smarthost: \"127.0.0.1:1\"", "x", doctor.Broken, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := gatewaytest.Folder(t, map[string]string{
				"balorg.yaml": gatewaytest.Balorg + "relay: {" + tt.relay + "}\n", "relay-password": tt.password + "\n", "other.pem": other.Read("tls/ca.pem"),
			})
			found := diagnosed(t, dir+"/balorg.yaml", "smarthost")
			if len(found) != 1 || found[0].Level != tt.level || !strings.Contains(found[0].What, tt.what) || !strings.HasPrefix(found[0].Subject, "relay 127.0.0.1:") {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// TestDiagnoseNational: a running daemon tells how old what it serves is.
func TestDiagnoseNational(t *testing.T) {
	g := gatewaytest.Start(t, nil)
	if found := diagnosed(t, g.Config, "national"); len(found) != 0 {
		t.Errorf("where nobody wants one: %+v", found)
	}
	g.Stop()
	g.Write("balorg.yaml", gatewaytest.Balorg+"directory: {national: {file: national.txt}}\n")
	g = gatewaytest.Run(t, g.Dir)
	g.Eventually("the schedule's look", func() bool {
		found := diagnosed(t, g.Config, "national")
		return len(found) == 1 && found[0].Level == doctor.Broken && strings.Contains(found[0].What, "none was imported yet; the source: ") && strings.HasSuffix(found[0].Subject, "national.txt")
	})
	importRows(t, g, 300)
	if found := diagnosed(t, g.Config, "national"); len(found) != 1 || found[0].Level != doctor.Warning || !strings.Contains(found[0].What, " entries of 20") {
		t.Errorf("imported by hand, and gone where it is looked for: %+v", found)
	}
}
