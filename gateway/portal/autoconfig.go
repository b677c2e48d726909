package portal

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"balorg/mail"
)

// Service is where a mail program connects.
type Service struct {
	Port     int
	StartTLS bool // else TLS from the first octet
}

// Settings are what mail programs are told. A service that is nil is not offered.
type Settings struct {
	Host             string
	IMAP, Submission *Service
	LDAP             *Service
	Base             string // of the directory
	Name             string // what programs call the account
}

// domainOf answers the domain of an address that a program asks for. That is all that is looked at: an address that is nobody's is
// answered like one that is somebody's.
func (p *Portal) domainOf(address string) (mail.Address, bool) {
	parsed, err := mail.ParseAddress(address)
	if err != nil || !p.opt.Snapshot().IsLocal(parsed.Domain()) {
		return "", false
	}
	return parsed, true
}

// thunderbird is the document of Mozilla's autoconfiguration, which other programs read as well.
type thunderbird struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider struct {
		ID        string             `xml:"id,attr"`
		Domains   []string           `xml:"domain"`
		Name      string             `xml:"displayName"`
		ShortName string             `xml:"displayShortName"`
		Incoming  *thunderbirdServer `xml:"incomingServer"`
		Outgoing  *thunderbirdServer `xml:"outgoingServer"`
	} `xml:"emailProvider"`
}

type thunderbirdServer struct {
	Type           string `xml:"type,attr"`
	Host           string `xml:"hostname"`
	Port           int    `xml:"port"`
	Socket         string `xml:"socketType"`
	User           string `xml:"username"`
	Authentication string `xml:"authentication"`
}

func (s Settings) thunderbird(kind string, service *Service) *thunderbirdServer {
	if service == nil {
		return nil
	}
	t := &thunderbirdServer{Type: kind, Host: s.Host, Port: service.Port, Socket: "SSL", User: "%EMAILADDRESS%", Authentication: "password-cleartext"}
	if service.StartTLS {
		t.Socket = "STARTTLS"
	}
	return t
}

// autoconfig answers Thunderbird. The address, where one is given, only says the domain.
func (p *Portal) autoconfig(w http.ResponseWriter, r *http.Request) {
	s := p.opt.Settings
	domain := s.Host
	if asked := r.URL.Query().Get("emailaddress"); asked != "" {
		address, ok := p.domainOf(asked)
		if !ok {
			http.NotFound(w, r)
			return
		}
		domain = address.Domain()
	}
	t := thunderbird{Version: "1.1"}
	t.Provider.ID, t.Provider.Domains, t.Provider.Name, t.Provider.ShortName = s.Host, []string{domain}, s.Name, s.Name
	t.Provider.Incoming, t.Provider.Outgoing = s.thunderbird("imap", s.IMAP), s.thunderbird("smtp", s.Submission)
	answerXML(w, t)
}

func answerXML(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	io.WriteString(w, xml.Header) //nolint:errcheck // the asker is gone
	e := xml.NewEncoder(w)
	e.Indent("", "\t")
	e.Encode(document) //nolint:errcheck // as above
}

// maxAutodiscover bounds Outlook's question.
const maxAutodiscover = 16 << 10

// What Outlook's question and its answer are written in.
const (
	autodiscoverAnswer = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	outlookAnswer      = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// outlook is the answer to Outlook ("plain old XML" autodiscover).
type outlook struct {
	XMLName  xml.Name `xml:"Autodiscover"`
	Space    string   `xml:"xmlns,attr"`
	Response struct {
		Space   string `xml:"xmlns,attr"`
		Account struct {
			Type      string            `xml:"AccountType"`
			Action    string            `xml:"Action"`
			Protocols []outlookProtocol `xml:"Protocol"`
		} `xml:"Account"`
	} `xml:"Response"`
}

type outlookProtocol struct {
	Type           string
	Server         string
	Port           int
	DomainRequired string
	LoginName      mail.Address
	SPA            string
	SSL            string
	Encryption     string
	AuthRequired   string
}

// autodiscover answers Outlook: with the address that it asks about, whether that is somebody's or not.
func (p *Portal) autodiscover(w http.ResponseWriter, r *http.Request) {
	asked, err := readAutodiscover(io.LimitReader(r.Body, maxAutodiscover))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	address, ok := p.domainOf(asked)
	if !ok {
		http.NotFound(w, r)
		return
	}
	o := outlook{Space: autodiscoverAnswer}
	o.Response.Space = outlookAnswer
	o.Response.Account.Type, o.Response.Account.Action = "email", "settings"
	for _, offered := range []struct {
		kind    string
		service *Service
	}{{"IMAP", p.opt.Settings.IMAP}, {"SMTP", p.opt.Settings.Submission}} {
		if offered.service == nil {
			continue
		}
		encryption := "SSL"
		if offered.service.StartTLS {
			encryption = "TLS"
		}
		o.Response.Account.Protocols = append(o.Response.Account.Protocols, outlookProtocol{
			Type: offered.kind, Server: p.opt.Settings.Host, Port: offered.service.Port, DomainRequired: "off", LoginName: address,
			SPA: "off", SSL: "on", Encryption: encryption, AuthRequired: "on",
		})
	}
	answerXML(w, o)
}

// errAutodiscover is a question that is none.
var errAutodiscover = errors.New("this is no question of autodiscover")

// readAutodiscover finds the address in Outlook's question. A document type is refused, entities are those of XML alone: nothing that is
// read makes anything else be read, or grow.
func readAutodiscover(r io.Reader) (address string, err error) {
	d := xml.NewDecoder(r)
	for {
		token, err := d.Token()
		if err != nil {
			return "", fmt.Errorf("%w: %w", errAutodiscover, err)
		}
		switch token := token.(type) {
		case xml.Directive:
			return "", errAutodiscover
		case xml.StartElement:
			if token.Name.Local != "EMailAddress" {
				continue
			}
			if err := d.DecodeElement(&address, &token); err != nil {
				return "", fmt.Errorf("%w: %w", errAutodiscover, err)
			}
			return strings.TrimSpace(address), nil
		}
	}
}
