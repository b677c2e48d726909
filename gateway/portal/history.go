package portal

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"balorg/policy"
	"balorg/store/audit"
)

// mostEvents bounds what one page of the history shows.
const mostEvents = 300

// periods are what may be looked back upon, in days.
func periods() []int { return []int{1, 7, 30, 90} }

// historyBody is what the page of the history shows.
type historyBody struct {
	Mailboxes []policy.Access // whose history the person may see
	Mailbox   *policy.Account
	Days      int
	Periods   []int
	Events    []event // the latest first
	More      bool    // there are older ones in the period
}

// event is one thing that was done in a mailbox.
type event struct {
	When     time.Time
	Who      string
	What     string
	Where    string // a folder
	Count    int64
	Protocol string
}

// history shows what was done in the person's own mailbox, or in one they manage: there also by colleagues on the red list, whom the person
// works with. Refused attempts are no history: they would name people who have nothing to do with the mailbox.
func (p *Portal) history(c *call) {
	body := historyBody{Days: 7, Periods: periods()}
	for _, access := range c.snap.Mailboxes(c.who.ID) {
		if access.Own || access.Rights.Has(policy.PresetManage) {
			body.Mailboxes = append(body.Mailboxes, access)
		}
	}
	query := c.r.URL.Query()
	for _, days := range body.Periods {
		if query.Get("days") == strconv.Itoa(days) {
			body.Days = days
		}
	}
	for _, access := range body.Mailboxes {
		if asked := query.Get("mailbox"); asked == string(access.Mailbox.Address) || asked == "" && access.Own {
			body.Mailbox = access.Mailbox
		}
	}
	if body.Mailbox == nil {
		c.fail(http.StatusNotFound)
		return
	}
	if err := c.events(&body); err != nil {
		c.broken("reading the trace", err)
		return
	}
	c.show(http.StatusOK, "history", view{Title: c.L("Historique", "History"), Body: body})
}

// events reads the latest of the period.
func (c *call) events(body *historyBody) error {
	var ring [mostEvents]audit.Record
	n := 0
	f := audit.Filter{Mailbox: body.Mailbox.ID, Since: time.Now().AddDate(0, 0, -body.Days)}
	err := c.p.opt.Trace.List(c.r.Context(), f, func(r audit.Record) bool {
		if c.deed(r.Action) != "" {
			ring[n%mostEvents] = r
			n++
		}
		return true
	})
	body.More = n > mostEvents
	for i := range min(n, mostEvents) {
		body.Events = append(body.Events, c.event(ring[(n-1-i)%mostEvents]))
	}
	return err
}

func (c *call) event(r audit.Record) event {
	e := event{When: r.Time.Local(), Who: string(r.Person.Address), What: c.deed(r.Action), Where: r.Folder, Count: r.Count, Protocol: strings.ToUpper(r.Protocol)}
	if person, ok := c.snap.ByID(r.Person.ID); ok && person.Label != "" {
		e.Who = person.Label
	}
	if n := inSet(r.UIDs); n > 0 {
		e.Count = n
	}
	return e
}

// deed says in words what was done; nothing for what is no part of the history.
func (c *call) deed(a audit.Action) string {
	switch a {
	case audit.Login:
		return c.L("connexion", "logged in")
	case audit.Open:
		return c.L("dossier ouvert", "folder opened")
	case audit.Read:
		return c.L("lecture", "read")
	case audit.Append:
		return c.L("ajout", "added")
	case audit.StoreDeleted:
		return c.L("marqué à supprimer", "marked for deletion")
	case audit.Expunge:
		return c.L("suppression", "deleted")
	case audit.Copy:
		return c.L("copie", "copied")
	case audit.Move:
		return c.L("déplacement", "moved")
	case audit.FolderChange:
		return c.L("dossiers modifiés", "folders changed")
	case audit.Send:
		return c.L("envoi", "sent")
	case audit.Receive:
		return c.L("réception", "received")
	case audit.Deliver:
		return c.L("remise", "delivered")
	case audit.Undelivered:
		return c.L("non remis", "not delivered")
	case audit.SessionEnd:
		return c.L("déconnexion", "logged out")
	case audit.Administer:
		return c.L("réglage", "settings")
	case audit.Refusal:
	}
	return ""
}

// inSet counts the messages of an IMAP set; zero for one that is none, or open.
func inSet(set string) (n int64) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if err1 != nil || err2 != nil {
			return 0
		}
		n += int64(max(from, to)-min(from, to)) + 1
	}
	return n
}
