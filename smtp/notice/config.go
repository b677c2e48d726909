package notice

import (
	"net/mail"
	"net/url"
	"time"

	"balorg/configs"
	ours "balorg/mail"
)

// Config is what the section notifications says of notices themselves. Nobody is notified without the section. The zero value of every
// key but From means its default.
type Config struct {
	Pos        configs.Pos           // of the section
	From       configs.Value[string] `yaml:"from"`
	Link       configs.Value[string] `yaml:"link"`
	Every      time.Duration         `yaml:"every,positive"`
	Templates  configs.Value[string] `yaml:"templates"`
	MaxWatched int                   `yaml:"max_watched,positive"`
	PollEvery  time.Duration         `yaml:"poll_every,positive"`
}

// On tells whether there is a section.
func (c Config) On() bool { return !c.Pos.IsZero() }

// Sender reads From, whose name is otherwise when it gives none.
func (c Config) Sender(otherwise string) (From, error) {
	parsed, err := mail.ParseAddress(c.From.V)
	if err != nil {
		return From{}, err
	}
	address, err := ours.ParseAddress(parsed.Address)
	if err != nil {
		return From{}, err
	}
	if parsed.Name == "" {
		parsed.Name = otherwise
	}
	return From{Name: parsed.Name, Address: address}, nil
}

// Check answers what is wrong with the section, and the texts that it names. path makes a path of the configuration absolute.
func (c Config) Check(path func(string) string) (*Templates, configs.Problems) {
	var problems configs.Problems
	if !c.On() {
		return nil, nil
	}
	if !c.From.Set {
		problems.Add(c.Pos, "from: Messagerie de la clinique <notifications@example.org>", "notifications are from nobody")
	} else if _, err := c.Sender(""); err != nil {
		problems.Add(c.From.Pos, "Messagerie de la clinique <notifications@example.org>", "%q is no address: %v", c.From.V, err)
	}
	if c.Link.Set {
		if u, err := url.Parse(c.Link.V); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || len(c.Link.V) > maxLink {
			problems.Add(c.Link.Pos, "https://mail.example.org/", "%q is no link", c.Link.V)
		}
	}
	folder := ""
	if c.Templates.Set {
		folder = path(c.Templates.V)
	}
	templates, found := LoadTemplates(folder)
	return templates, append(problems, found...)
}

// maxLink keeps the link on a line of its own.
const maxLink = 500
