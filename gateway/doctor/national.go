package doctor

import (
	"fmt"
	"time"
)

// National is the national directory as it is served.
type National struct {
	Source  string    // that is looked at on schedule; empty: it is imported by hand
	Made    time.Time // zero: none was imported
	Entries int
	Served  bool
	Failure string // why the source could not be had lately
}

const (
	// nationalOld is the age at which the source has been silent for longer than it ever was without trouble.
	nationalOld = 10 * 24 * time.Hour
	// nationalDead is the age at which people have come and gone.
	nationalDead = 60 * 24 * time.Hour
)

// NationalDirectory judges the age of the national directory, and whether it is renewed.
func NationalDirectory(n National, now time.Time) Finding {
	subject := n.Source
	if subject == "" {
		subject = "imported by hand"
	}
	do := "`balorg directory status` says why; `balorg directory import` tries at once"
	if n.Source == "" {
		do = "`balorg directory import` a newer file, or have it fetched: directory.national in balorg.yaml"
	}
	because := ""
	if n.Failure != "" {
		because = "; the source: " + n.Failure
	}
	what := fmt.Sprintf("%d entries of %s", n.Entries, n.Made.Format(time.DateOnly))
	switch age := now.Sub(n.Made); {
	case n.Made.IsZero():
		return broken("national", subject, "none was imported yet"+because, do)
	case !n.Served:
		return broken("national", subject, "what was imported cannot be read", "`balorg check-store`, then `balorg directory import --force`")
	case age > nationalDead:
		return broken("national", subject, what+": people have come and gone since"+because, do)
	case age > nationalOld:
		return warning("national", subject, what+because, do)
	case n.Failure != "":
		return warning("national", subject, what+because, do)
	}
	return good("national", subject, what)
}
