package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"net/http"

	"balorg/policy"
)

// setupBody is what the page of settings shows.
type setupBody struct {
	Settings
	Mailboxes []policy.Access
}

// Writes are the mailboxes of services that the person may send for.
func (b setupBody) Writes() []*policy.Account {
	var all []*policy.Account
	for _, access := range b.Mailboxes {
		if !access.Own && access.Send != policy.SendNo {
			all = append(all, access.Mailbox)
		}
	}
	return all
}

// setup says how to set up a mail program.
func (p *Portal) setup(c *call) {
	c.show(http.StatusOK, "setup", view{
		Title: c.L("Configurer ma messagerie", "Set up my mail"),
		Body:  setupBody{p.opt.Settings, c.snap.Mailboxes(c.who.ID)},
	})
}

// Security names what a service is protected by.
func (s *Service) Security() string {
	if s.StartTLS {
		return "STARTTLS"
	}
	return "TLS (SSL)"
}

// profile answers an Apple profile for the person, without a password: the device asks for it.
func (p *Portal) profile(c *call) {
	s := p.opt.Settings
	opened := c.snap.Default(c.who.ID).Mailbox
	id := func(part string) string { return profileID(part + "/" + s.Host + "/" + string(c.who.ID)) }
	user := string(c.who.Address)
	var payloads []pairs
	if s.IMAP != nil && s.Submission != nil {
		payloads = append(payloads, pairs{
			{"PayloadType", "com.apple.mail.managed"},
			{"PayloadVersion", 1},
			{"PayloadIdentifier", s.Host + ".mail"},
			{"PayloadUUID", id("mail")},
			{"PayloadDisplayName", s.Name},
			{"EmailAccountType", "EmailTypeIMAP"},
			{"EmailAccountName", opened.Label},
			{"EmailAccountDescription", s.Name},
			{"EmailAddress", string(opened.Published())},
			{"IncomingMailServerAuthentication", "EmailAuthPassword"},
			{"IncomingMailServerHostName", s.Host},
			{"IncomingMailServerPortNumber", s.IMAP.Port},
			{"IncomingMailServerUseSSL", true},
			{"IncomingMailServerUsername", user},
			{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
			{"OutgoingMailServerHostName", s.Host},
			{"OutgoingMailServerPortNumber", s.Submission.Port},
			{"OutgoingMailServerUseSSL", true},
			{"OutgoingMailServerUsername", user},
			{"OutgoingPasswordSameAsIncomingPassword", true},
		})
	}
	if s.LDAP != nil {
		payloads = append(payloads, pairs{
			{"PayloadType", "com.apple.ldap.account"},
			{"PayloadVersion", 1},
			{"PayloadIdentifier", s.Host + ".ldap"},
			{"PayloadUUID", id("ldap")},
			{"PayloadDisplayName", s.Name},
			{"LDAPAccountDescription", s.Name},
			{"LDAPAccountHostName", fmt.Sprintf("%s:%d", s.Host, s.LDAP.Port)},
			{"LDAPAccountUseSSL", true},
			{"LDAPAccountUserName", user},
			{"LDAPSearchSettings", []pairs{{
				{"LDAPSearchSettingDescription", s.Name},
				{"LDAPSearchSettingScope", "LDAPSearchSettingScopeSubtree"},
				{"LDAPSearchSettingSearchBase", s.Base},
			}}},
		})
	}
	var plist bytes.Buffer
	plist.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" + `<plist version="1.0">` + "\n")
	writePlist(&plist, pairs{
		{"PayloadType", "Configuration"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", s.Host},
		{"PayloadUUID", id("profile")},
		{"PayloadDisplayName", s.Name},
		{"PayloadContent", payloads},
	})
	plist.WriteString("\n</plist>\n")
	c.w.Header().Set("Content-Type", "application/x-apple-aspen-config")
	c.w.Header().Set("Content-Disposition", `attachment; filename="messagerie.mobileconfig"`)
	c.w.Write(plist.Bytes()) //nolint:errcheck // the asker is gone
}

// pairs are a dictionary of a property list, in order.
type pairs []struct {
	key   string
	value any
}

// writePlist writes a value of a property list.
func writePlist(b *bytes.Buffer, value any) {
	element := func(name, text string) {
		b.WriteString("<" + name + ">")
		xml.EscapeText(b, []byte(text)) //nolint:errcheck // a buffer takes everything
		b.WriteString("</" + name + ">\n")
	}
	switch v := value.(type) {
	case string:
		element("string", v)
	case int:
		element("integer", fmt.Sprint(v))
	case bool:
		fmt.Fprintf(b, "<%t/>\n", v)
	case pairs:
		b.WriteString("<dict>\n")
		for _, pair := range v {
			element("key", pair.key)
			writePlist(b, pair.value)
		}
		b.WriteString("</dict>\n")
	case []pairs:
		b.WriteString("<array>\n")
		for _, item := range v {
			writePlist(b, item)
		}
		b.WriteString("</array>\n")
	}
}

// profileID is a UUID that stays the same for the same thing, so that a profile taken again replaces the former.
func profileID(of string) string {
	h := sha256.Sum256([]byte(of))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562, 5.8
	return fmt.Sprintf("%X-%X-%X-%X-%X", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
