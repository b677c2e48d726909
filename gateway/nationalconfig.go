package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"balorg/configs"
	"balorg/gateway/fetch"
	"balorg/ldapserver/directory"
)

// NationalConfig is directory.national: where the national directory comes from.
type NationalConfig struct {
	File      configs.Value[string] `yaml:"file"` // an extraction on disk, or
	URL       configs.Value[string] `yaml:"url"`  // where it is published
	CA        configs.Value[string] `yaml:"ca"`   // who alone may vouch for a URL's server, PEM
	Every     ImportPeriod          `yaml:"every"`
	MaxShrink Percent               `yaml:"max_shrink"` // of the mailboxes that are served
}

// Defaults and limits of directory.national.
const (
	defaultImportEvery = 24 * time.Hour
	minImportEvery     = time.Minute // somebody else's server is not to be asked more often
)

func (n *NationalConfig) check(path func(string) string) configs.Problems {
	var problems configs.Problems
	if n.File.Set && n.URL.Set {
		problems.Add(n.URL.Pos, "keep file or url", "the national directory comes from a file or from a URL, not from both")
	}
	if n.File.Set {
		n.checkFile(&problems, path)
	}
	if n.URL.Set {
		if !isPublished(n.URL.V) {
			problems.Add(n.URL.Pos, "https://host/path", "the national directory is fetched over HTTPS only")
		}
		if !n.CA.Set {
			problems.Add(n.URL.Pos, "ca: igc-sante.pem", "the authority of the URL's server must be named: the system's are not trusted for this")
		}
	}
	if n.CA.Set {
		if _, err := loadRoots(path(n.CA.V)); err != nil {
			problems.Add(n.CA.Pos, "", "%v", err)
		}
	}
	return problems
}

// checkFile warns of what may be there when it is needed.
func (n *NationalConfig) checkFile(problems *configs.Problems, path func(string) string) {
	switch info, err := os.Stat(path(n.File.V)); {
	case errors.Is(err, fs.ErrNotExist):
		problems.Warn(n.File.Pos, "", "the file of the national directory is not there")
	case err != nil:
		problems.Warn(n.File.Pos, "", "the file of the national directory: %v", err)
	case !info.Mode().IsRegular():
		problems.Add(n.File.Pos, "the path of an extraction, as text or ZIP", "%s is not a regular file", n.File.V)
	}
}

// isPublished tells whether an address is one that files are fetched from. There are no credentials in it, which would come to be in the log.
func isPublished(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

// source is what is looked at on schedule.
func (n *NationalConfig) source(path func(string) string) importSource {
	switch {
	case n.URL.Set:
		return importSource{url: n.URL.V}
	case n.File.Set:
		file := path(n.File.V)
		if whole, err := filepath.Abs(file); err == nil {
			file = whole // it is told to people who stand in other folders
		}
		return importSource{file: file}
	}
	return importSource{}
}

func (n *NationalConfig) every() time.Duration {
	return cmp.Or(time.Duration(n.Every), defaultImportEvery)
}

func (n *NationalConfig) maxShrink() int { return cmp.Or(int(n.MaxShrink), directory.DefaultShrink) }

// ImportPeriod is how often a source is looked at; zero means the default.
type ImportPeriod time.Duration

// UnmarshalText reads a duration.
func (p *ImportPeriod) UnmarshalText(text []byte) error {
	d, err := configs.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if d < minImportEvery {
		return fmt.Errorf("%q is too often; write 1m at least, such as 24h", text)
	}
	*p = ImportPeriod(d)
	return nil
}

// Percent is a share in per cent; zero means the default.
type Percent int

// UnmarshalText reads a whole number from 1 to 99.
func (p *Percent) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 99 {
		return fmt.Errorf("%q is no share in per cent; write a whole number from 1 to 99", text)
	}
	*p = Percent(n)
	return nil
}

// importSource is a file on disk or a URL; the zero value is neither.
type importSource struct{ file, url string }

// String is the source as it is told, without what may be secret in a URL.
func (s importSource) String() string {
	if s.url != "" {
		return fetch.Shown(s.url)
	}
	return s.file
}
