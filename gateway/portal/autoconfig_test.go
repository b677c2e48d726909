package portal

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func settings(o *Options) {
	o.Settings = Settings{
		Host: "mail.clinique-des-sapins.fr", Name: "Messagerie", Base: "dc=mssante,dc=fr",
		IMAP: &Service{Port: 993}, Submission: &Service{Port: 587, StartTLS: true}, LDAP: &Service{Port: 636},
	}
}

const wantThunderbird = `<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
	<emailProvider id="mail.clinique-des-sapins.fr">
		<domain>sapins.mssante.fr</domain>
		<displayName>Messagerie</displayName>
		<displayShortName>Messagerie</displayShortName>
		<incomingServer type="imap">
			<hostname>mail.clinique-des-sapins.fr</hostname>
			<port>993</port>
			<socketType>SSL</socketType>
			<username>%EMAILADDRESS%</username>
			<authentication>password-cleartext</authentication>
		</incomingServer>
		<outgoingServer type="smtp">
			<hostname>mail.clinique-des-sapins.fr</hostname>
			<port>587</port>
			<socketType>STARTTLS</socketType>
			<username>%EMAILADDRESS%</username>
			<authentication>password-cleartext</authentication>
		</outgoingServer>
	</emailProvider>
</clientConfig>`

func TestAutoconfig(t *testing.T) {
	b := newDesk(t, settings).browser()
	for _, path := range []string{"/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"} {
		for _, local := range []string{"claire.durand", "lea.petit", "nobody"} {
			if p := b.get(path + "?emailaddress=" + local + "@sapins.mssante.fr"); p.body != wantThunderbird {
				t.Errorf("%s: %d\n%s", local, p.status, p.body)
			}
		}
	}
	if p := b.get("/mail/config-v1.1.xml"); p.status != http.StatusOK || !strings.Contains(p.body, "<domain>mail.clinique-des-sapins.fr</domain>") {
		t.Errorf("no address: %d\n%s", p.status, p.body)
	}
	for _, address := range []string{"a@example.org", "x", "%22%3E%3Cb%3E@sapins.mssante.fr"} {
		if p := b.get("/mail/config-v1.1.xml?emailaddress=" + address); p.status != http.StatusNotFound {
			t.Errorf("%s: %d\n%s", address, p.status, p.body)
		}
	}
}

func question(inner string) string {
	return `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>` +
		inner + `<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
}

func TestAutodiscover(t *testing.T) {
	b := newDesk(t, settings).browser()
	ask := func(path, body string) page { return b.do(http.MethodPost, path, "text/xml", strings.NewReader(body)) }
	var first string
	for _, local := range []string{"claire.durand", "lea.petit", "nobody"} {
		address := local + "@clinique-des-sapins.fr"
		p := ask("/Autodiscover/Autodiscover.xml", question("<EMailAddress>"+address+"</EMailAddress>"))
		alike := strings.ReplaceAll(p.body, address, "")
		if first == "" {
			first = alike
		}
		if p.status != http.StatusOK || alike != first {
			t.Errorf("%s: %d\n%s", local, p.status, p.body)
		}
		for _, want := range []string{
			`<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">`, "<Type>IMAP</Type>", "<Port>993</Port>", "<Encryption>SSL</Encryption>",
			"<Type>SMTP</Type>", "<Port>587</Port>", "<Encryption>TLS</Encryption>", "<LoginName>" + address + "</LoginName>",
		} {
			if !strings.Contains(p.body, want) {
				t.Errorf("%s lacks %s:\n%s", local, want, p.body)
			}
		}
	}
	entities := `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><EMailAddress>&x;@clinique-des-sapins.fr</EMailAddress></a>`
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"a document type":  {entities, http.StatusBadRequest},
		"an entity":        {question("<EMailAddress>&x;</EMailAddress>"), http.StatusBadRequest},
		"nothing":          {"", http.StatusBadRequest},
		"no address":       {question(""), http.StatusBadRequest},
		"too much":         {"<a>" + strings.Repeat(" ", maxAutodiscover) + "<EMailAddress>a@clinique-des-sapins.fr</EMailAddress></a>", http.StatusBadRequest},
		"another's domain": {question("<EMailAddress>a@example.org</EMailAddress>"), http.StatusNotFound},
		"markup":           {question("<EMailAddress>&lt;b&gt;@clinique-des-sapins.fr</EMailAddress>"), http.StatusNotFound},
	} {
		if p := ask("/autodiscover/autodiscover.xml", tt.body); p.status != tt.status || strings.Contains(p.body, "root:") {
			t.Errorf("%s: %d\n%s", name, p.status, p.body)
		}
	}
}

// TestProfile: a property list that is XML whatever the names hold, with what the person opens first.
func TestProfile(t *testing.T) {
	d := newDesk(t, settings)
	d.load("description: Secrétariat - Clinique des Sapins", `description: "Secrétariat <&> Sapins"`)
	p := d.as("noemie.martin").get("/messagerie.mobileconfig")
	if p.header.Get("Content-Type") != "application/x-apple-aspen-config" {
		t.Errorf("%d %q", p.status, p.header.Get("Content-Type"))
	}
	decoder := xml.NewDecoder(strings.NewReader(p.body))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, p.body)
		}
	}
	for _, want := range []string{
		"<key>EmailAddress</key>\n<string>secretariat@sapins.mssante.fr</string>", "Secrétariat &lt;&amp;&gt; Sapins", "com.apple.ldap.account",
		"<key>IncomingMailServerUsername</key>\n<string>noemie.martin@clinique-des-sapins.fr</string>", "<integer>993</integer>", "mail.clinique-des-sapins.fr:636",
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the profile lacks %q:\n%s", want, p.body)
		}
	}
	if strings.Contains(p.body, "demo-") {
		t.Error("the profile holds a password")
	}
	if again := d.as("noemie.martin").get("/messagerie.mobileconfig"); again.body != p.body {
		t.Error("taken again, it is another")
	}
	if p := d.browser().get("/messagerie.mobileconfig"); p.status != http.StatusSeeOther {
		t.Errorf("for anybody: %d", p.status)
	}
}

func TestSetup(t *testing.T) {
	d := newDesk(t, settings)
	p := d.as("noemie.martin").get("/setup")
	for _, want := range []string{
		"<td>993</td>", "STARTTLS", "dc=mssante,dc=fr", "secretariat@clinique-des-sapins.fr*noemie.martin@clinique-des-sapins.fr",
		`Secrétariat - Clinique des Sapins <span class="address">&lt;secretariat@sapins.mssante.fr&gt;</span>`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, p.body)
		}
	}
	if p := d.as("paul.bernard").get("/setup"); !strings.Contains(p.body, "&lt;urgences@clinique-des-sapins.fr&gt;") || strings.Contains(p.body, "&lt;secretariat@") {
		t.Errorf("whom Paul writes as:\n%s", p.body)
	}
}
